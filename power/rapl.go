package power

import (
	"context"
	"slices"
	"time"
)

const (
	// raplInterval is a compromise: the counter moves every millisecond, so a
	// difference over 50 ms is good to about 2 %, and twenty reads a second of a
	// few zones cost less than a thousandth of a core.
	raplInterval = 50 * time.Millisecond
	// raplRefresh is the update period of the counter (Intel SDM vol. 3, 16.10).
	raplRefresh = time.Millisecond
)

// RAPL is the meter of CPU packages and of their DRAM, over the powercap files
// of Linux (Intel, and AMD under the same names). Zones nest: psys contains the
// packages, a package contains core and uncore. Only packages (package-0, …) and
// DRAM (dram-0, …), which lies beside the package, are devices, so that their
// sum counts nothing twice.
type RAPL struct {
	zones   zones
	missing []Unavailable
}

// RAPLOptions say where the files are.
type RAPLOptions struct {
	SysfsRoot string // "" means /sys
	ProcRoot  string // "" means /proc
}

// OpenRAPL finds the readable zones. If there is none the error is an
// [Unavailable].
func OpenRAPL(opts RAPLOptions) (*RAPL, error) { return openRAPL(opts, SystemClocks()) }

func openRAPL(opts RAPLOptions, c Clocks) (*RAPL, error) {
	found, err := findZones(opts)
	if err != nil {
		return nil, err
	}
	m := &RAPL{zones: zones{clocks: c}}
	for _, f := range found {
		file := &numberFile{path: f.dir + "/energy_uj"}
		if _, err := file.read(); err != nil {
			m.missing = append(m.missing, zoneUnreadable(f, err))
			continue
		}
		m.zones.list = append(m.zones.list,
			&zone{device: f.device, source: SourceRAPL, read: file.read, wrap: f.wrap, refresh: raplRefresh})
	}
	if len(m.zones.list) == 0 {
		u := m.missing[0]
		u.Source = "rapl"
		return nil, u
	}
	return m, nil
}

// Name is "rapl".
func (m *RAPL) Name() string { return "rapl" }

// Devices lists packages and DRAM in the order of sockets.
func (m *RAPL) Devices() []Device { return m.zones.devices() }

// Missing lists zones that exist but cannot be read.
func (m *RAPL) Missing() []Unavailable { return slices.Clone(m.missing) }

// Interval is 50 ms.
func (m *RAPL) Interval() time.Duration { return raplInterval }

// Poll appends the mean power of every zone since the poll before.
func (m *RAPL) Poll(ctx context.Context, t *Trace) error { return m.zones.poll(ctx, t) }

// Counters reads every zone once. Readings go on across wrap-arounds.
func (m *RAPL) Counters(ctx context.Context) ([]Reading, error) { return m.zones.counters(ctx) }

// Close does nothing: no file stays open between readings.
func (m *RAPL) Close() error { return nil }

// Calls are the ways of reading a device.
func (m *RAPL) Calls(device string) []Call { return m.zones.calls(device) }
