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

// maxAge is how long a report is valid.
const maxAge = 30 * 24 * time.Hour

// unloaded marks the key of a report without load tests, which must not replace a report with load tests.
const unloaded = "-unloaded"

// cachePath returns the file of the newest report for a sensor.
func cachePath(dir, key string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '-'
	}, key)
	return filepath.Join(dir, "doctor", name+".json")
}

// Save stores the report for each device. The key identifies card and driver, because another driver is
// another sensor; a device without a key is not stored.
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
			return fmt.Errorf("store the self-test: %w", err)
		}
		if err := disk.WriteSummed(path, r.JSON); err != nil {
			return fmt.Errorf("store the self-test: %w", err)
		}
	}
	return nil
}

// Cached returns the newest report under a key, preferring one with load tests, or nil.
func Cached(dir, key string, now time.Time) *Report {
	if r := cached(cachePath(dir, key), now); r != nil {
		return r
	}
	return cached(cachePath(dir, key+unloaded), now)
}

// cached reads one file; it returns nil if the file cannot be read or is older than 30 days.
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

// of returns the part of a report about one device. The order of GPUs may have changed; UUIDs do not.
func (r *Report) of(d power.Device) *Device {
	for _, q := range r.Devices {
		if q.UUID == d.UUID && (d.UUID != "" || q.Device == d.ID) {
			return q
		}
	}
	return nil
}

// Merge returns one report from the stored reports of the devices under their current names, or nil. The
// devices may have been tested at different times, which each of them states.
func Merge(devices []power.Device, kept map[string]*Report) *Report {
	out := &Report{SchemaVersion: 1, Loads: []string{}, Devices: []*Device{}, Missing: []power.Unavailable{},
		Skipped: []Skipped{}, Verdict: []Finding{}}
	for _, d := range devices {
		r := kept[d.ID]
		if r == nil || r.of(d) == nil {
			out.skip("all tests of "+d.ID, "no self-test of it is stored", "llem doctor")
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

// union adds the missing elements.
func union[T comparable](list, more []T) []T {
	for _, v := range more {
		if !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	return list
}
