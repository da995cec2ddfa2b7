package measure

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/llenergymeasure/llem/attribute"
	"github.com/llenergymeasure/llem/internal/join"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// Baselines remembers the bare idle power of devices from run to run, in a file of
// the cache folder. An entry expires, and a short look at the idle machine must
// confirm it before it is used.
type Baselines struct {
	// Path of the file; empty keeps the entries in memory only.
	Path string

	mu      sync.Mutex
	entries map[string]entry
}

// entry is one remembered idle power.
type entry struct {
	Idle result.Idle `json:"idle"`
	At   time.Time   `json:"at"`
	// Source is that of the energy with which the value may be combined.
	Source string `json:"source"`
}

// probeSeconds is the length of the look that confirms a remembered baseline.
const probeSeconds = 1.0

// confirmPct is the difference, relative to the value, up to which a look confirms
// a remembered baseline, beyond the uncertainty of both.
const confirmPct = 0.02

// keyOf names a device across runs.
func keyOf(d power.Device) string {
	if d.UUID != "" {
		return d.UUID
	}
	return d.ID + " " + d.Name
}

// load reads the file; a damaged or missing one is as good as empty.
func (b *Baselines) load() {
	if b.entries != nil {
		return
	}
	b.entries = map[string]entry{}
	if b.Path == "" {
		return
	}
	if text, err := os.ReadFile(b.Path); err == nil {
		if json.Unmarshal(text, &b.entries) != nil {
			b.entries = map[string]entry{}
		}
	}
}

// get returns the remembered value of a device, with its age.
func (b *Baselines) get(d power.Device, maxAge time.Duration, now time.Time) (result.Idle, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.load()
	e, ok := b.entries[keyOf(d)]
	age := now.Sub(e.At)
	if !ok || age < 0 || age > maxAge {
		return result.Idle{}, false
	}
	e.Idle.AgeS = max(age.Seconds(), 1e-3)
	return e.Idle, true
}

// put remembers a value.
func (b *Baselines) put(d power.Device, idle result.Idle, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.load()
	b.entries[keyOf(d)] = entry{Idle: idle, At: now.UTC(), Source: idle.Source}
	if b.Path == "" {
		return nil
	}
	text, err := json.MarshalIndent(b.entries, "", "  ")
	if err != nil {
		return fmt.Errorf("encode baselines: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(b.Path), 0o755); err != nil {
		return fmt.Errorf("remember the baseline: %w", err)
	}
	return result.WriteFile(b.Path, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// cached is the remembered idle power of every device, or nil if one is missing.
func (r *run) cached() map[string]result.Idle {
	maxAge := time.Duration(r.Experiment.Baseline.MaxAgeSeconds * float64(time.Second))
	if r.Baselines == nil || maxAge == 0 {
		return nil
	}
	known := map[string]result.Idle{}
	for _, d := range r.devices() {
		idle, ok := r.Baselines.get(d, maxAge, r.Clock.Time())
		if !ok {
			return nil
		}
		known[d.ID] = idle
	}
	return known
}

// devices are those of all meters.
func (r *run) devices() []power.Device {
	var all []power.Device
	for _, m := range r.Meters {
		all = append(all, m.Devices()...)
	}
	return all
}

// confirmed says whether a short look agrees with what is remembered, from the
// same source.
func (r *run) confirmed(known map[string]result.Idle, trace power.Trace, w attribute.Window) bool {
	for id, k := range known {
		now := join.Idle(trace, id, w)
		if now.Reason != "" || now.Source != k.Source ||
			math.Abs(now.W-k.W) > confirmPct*k.W+math.Hypot(now.Half95, k.Half95) {
			return false
		}
	}
	return true
}

// remember keeps a new baseline for later runs. A machine with other processes on
// it is not idle.
func (r *run) remember(trace power.Trace, w attribute.Window) {
	if r.Baselines == nil || r.processes.Foreign() {
		return
	}
	for _, d := range r.devices() {
		idle := join.Idle(trace, d.ID, w)
		if idle.Reason != "" || idle.W <= 0 || math.Abs(idle.DriftW) > join.MaxDrift*idle.W {
			continue
		}
		if err := r.Baselines.put(d, idle, r.Clock.Time()); err != nil {
			r.warn(note.BaselineCache, err.Error())
			return
		}
	}
}
