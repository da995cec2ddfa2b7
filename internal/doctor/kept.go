package doctor

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/power"
)

// maxAge is how long a report holds.
const maxAge = 30 * 24 * time.Hour

// unloaded marks the key of a report that has not seen the sensor under load: it must
// not take the place of one that has.
const unloaded = "-unloaded"

// cachePath is where the newest report for a sensor lies.
func cachePath(dir, key string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '-'
	}, key)
	return filepath.Join(dir, "doctor", name+".json")
}

// Save keeps the report for every device. The key names card and driver, since
// another driver is another sensor; a device without a key is not kept.
func (r *Report) Save(dir string, key func(device string) string) error {
	for _, d := range r.Devices {
		k := key(d.Device)
		if k == "" {
			continue
		}
		if d.Sensor == nil {
			k += unloaded
		}
		path := cachePath(dir, k)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("keep the self-test: %w", err)
		}
		if err := disk.WriteSummed(path, r.JSON); err != nil {
			return fmt.Errorf("keep the self-test: %w", err)
		}
	}
	return nil
}

// Cached is the newest report under a key, nil if there is none: of those that saw the
// sensor under load, else of those that did not.
func Cached(dir, key string, now time.Time) *Report {
	if r := cached(cachePath(dir, key), now); r != nil {
		return r
	}
	return cached(cachePath(dir, key+unloaded), now)
}

// cached reads one file; nil if it cannot be read or is older than 30 days.
func cached(path string, now time.Time) *Report {
	text, err := disk.ReadSummed(path, disk.MaxSmall)
	if err != nil {
		return nil
	}
	var r Report
	switch {
	case json.Unmarshal(text, &r) != nil,
		now.Sub(r.When) > maxAge || r.When.After(now.Add(time.Minute)),
		slices.Contains(r.Devices, nil):
		return nil
	}
	return &r
}

// of is the part of a report on one device. The order of GPUs may be another one
// by now; UUIDs stay.
func (r *Report) of(d power.Device) *Device {
	for _, q := range r.Devices {
		if q.UUID == d.UUID && (d.UUID != "" || q.Device == d.ID) {
			return q
		}
	}
	return nil
}

// Merge makes one report of what was kept for the devices as they are called now; nil
// if nothing was. Devices were tested at different times, which each of them states.
func Merge(devices []power.Device, kept map[string]*Report) *Report {
	out := &Report{SchemaVersion: 1, Loads: []string{}, Devices: []*Device{}, Missing: []power.Unavailable{},
		Skipped: []Skipped{}, Verdict: []Finding{}}
	for _, d := range devices {
		r := kept[d.ID]
		if r == nil || r.of(d) == nil {
			out.skip("all tests of "+d.ID, "no self-test of it is kept", "llem doctor")
			continue
		}
		own := *r.of(d)
		for _, f := range r.Verdict {
			if f.Device == own.Device {
				f.Device = d.ID
				out.Verdict = append(out.Verdict, f)
			}
		}
		own.Device, own.When = d.ID, &r.When
		out.Devices = append(out.Devices, &own)
		out.Loads = union(out.Loads, r.Loads)
		out.Skipped = union(out.Skipped, r.Skipped)
		if r.When.After(out.When) {
			out.When, out.Missing = r.When, r.Missing
		}
	}
	if len(out.Devices) == 0 {
		return nil
	}
	return out
}

// union adds what is not there.
func union[T comparable](list, more []T) []T {
	for _, v := range more {
		if !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	return list
}
