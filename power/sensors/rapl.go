package sensors

import (
	"context"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
)

const (
	// raplInterval is a compromise: the counter changes every millisecond, so a difference over 50 ms is
	// accurate to about 2 %, and twenty reads per second of a few zones cost less than 0.1 % of a core.
	raplInterval = 50 * time.Millisecond
	// raplRefresh is the update period of the counter (Intel SDM vol. 3, 16.10).
	raplRefresh = time.Millisecond
)

// raplMeter is the meter of CPU packages and their DRAM, over the powercap files of Linux (Intel, and AMD
// under the same names). Zones nest: psys contains the packages, a package contains core and uncore. Only
// packages (package-0, …) and DRAM (dram-0, …), which is outside the package, are devices, so that their sum
// counts nothing twice.
type raplMeter struct {
	zones   zones
	missing []power.Unavailable
}

// openRAPL opens the readable zones. If there is none, the error is a [power.Unavailable].
func openRAPL(opts roots, c power.Clocks) (*raplMeter, error) {
	found, err := findZones(opts)
	if err != nil {
		return nil, err
	}
	m := &raplMeter{zones: zones{clocks: c}}
	for _, f := range found {
		file := &numberFile{path: f.dir + "/energy_uj"}
		if _, err := file.read(); err != nil {
			m.missing = append(m.missing, zoneUnreadable(f, err))
			continue
		}
		m.zones.list = append(m.zones.list,
			&zone{device: f.device, source: sensor.SourceRAPL, read: file.read, wrap: f.wrap, refresh: raplRefresh})
	}
	if len(m.zones.list) == 0 {
		u := m.missing[0]
		u.Source = "rapl"
		return nil, u
	}
	return m, nil
}

// Name returns "rapl".
func (m *raplMeter) Name() string { return "rapl" }

// Devices lists packages and DRAM in the order of sockets.
func (m *raplMeter) Devices() []power.Device { return m.zones.devices() }

// Missing lists zones that exist but cannot be read.
func (m *raplMeter) Missing() []power.Unavailable { return slices.Clone(m.missing) }

// Interval returns 50 ms.
func (m *raplMeter) Interval() time.Duration { return raplInterval }

// Poll appends the mean power of each zone since the previous poll.
func (m *raplMeter) Poll(ctx context.Context, t *power.Trace) error { return m.zones.poll(ctx, t) }

// Counters reads each zone once. Readings continue across wrap-arounds.
func (m *raplMeter) Counters(ctx context.Context) ([]power.Reading, error) {
	return m.zones.counters(ctx)
}

// Close does nothing: files are not kept open between readings.
func (m *raplMeter) Close() error { return nil }

// Calls lists the ways to read a device.
func (m *raplMeter) Calls(device string) []sensor.Call { return m.zones.calls(device) }
