package measure

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// Baselines stores the bare idle power of devices from run to run, in a file of the cache folder. An entry
// expires, and a short measurement of the idle machine must confirm it before it is used.
type Baselines struct {
	// Path of the file; empty keeps the entries in memory only.
	Path string

	mu      sync.Mutex
	entries map[string]entry
}

// entry is one stored idle power.
type entry struct {
	Idle result.Idle `json:"idle"`
	At   time.Time   `json:"at"`
	// Source is the source of the energy with which the value may be combined.
	Source string `json:"source"`
}

// keyOf returns the key of a device across runs.
func keyOf(d power.Device) string {
	if d.UUID != "" {
		return d.UUID
	}
	return d.ID + " " + d.Name
}

// load reads the file; a damaged or missing file counts as empty.
func (b *Baselines) load() {
	if b.entries != nil {
		return
	}
	b.entries = map[string]entry{}
	if b.Path == "" {
		return
	}
	if text, err := disk.ReadSummed(b.Path, disk.MaxSmall); err == nil {
		if json.Unmarshal(text, &b.entries) != nil {
			b.entries = map[string]entry{}
		}
	}
}

// get returns the stored value of a device, with its age.
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

// put stores a value.
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
		return fmt.Errorf("store the baseline: %w", err)
	}
	return disk.WriteSummed(b.Path, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}
