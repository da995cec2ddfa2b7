package sensors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/sensors/internal/poll"
	"github.com/llenergymeasure/llem/unit"
)

// hwmonInterval equals raplInterval, for the same reason; reading a value from amdgpu asks the card's
// firmware, which may take 0.1 ms or more.
const hwmonInterval = 50 * time.Millisecond

// hwmonMeter is the meter of AMD and Intel GPUs and of Grace modules, over the kernel's hardware monitor
// files. AMD and Grace report power, Intel reports energy. Devices are amd0, intel0, … in the order of PCI
// addresses, and grace-cpu-0 and grace-module-0 by socket. An APU and a Grace module contain a processor and
// a GPU; their kind is [power.Module].
type hwmonMeter struct {
	gauges   []*poll.Point
	powered  []power.Device // devices of the gauges
	zones    zones
	missing  []power.Unavailable
	warnings note.List
}

// errNoHwmon is the reason on a machine without this hardware.
var errNoHwmon = sensor.NoSensor("hwmon", "no AMD or Intel GPU and no Grace module was found", "")

// openHwmon opens the readable sensors. If there is none, the error is a [power.Unavailable], and the
// returned meter only serves to list what is missing.
func openHwmon(opts roots, c power.Clocks) (*hwmonMeter, error) {
	m := &hwmonMeter{zones: zones{clocks: c}}
	sysfs := opts.sysfs()
	for _, card := range findCards(sysfs) {
		m.addCard(card)
	}
	m.addGrace(sysfs, opts.proc())
	switch {
	case len(m.gauges)+len(m.zones.list) > 0:
		return m, nil
	case len(m.missing) > 0:
		return m, m.missing[0]
	}
	return nil, errNoHwmon
}

// addGauge adds a power sensor if its file contains a valid power.
func (m *hwmonMeter) addGauge(d power.Device, source, path string, window time.Duration) error {
	file := &numberFile{path: path}
	read := func() (unit.Watts, error) { return gauge(file) }
	if _, err := read(); err != nil {
		return err
	}
	m.gauges = append(m.gauges, poll.New(d.ID, source, window, hwmonInterval, m.zones.clocks, read))
	m.powered = append(m.powered, d)
	return nil
}

// addCounter adds an energy counter if its file contains a number.
func (m *hwmonMeter) addCounter(d power.Device, source, path string) error {
	file := &numberFile{path: path}
	if _, err := file.read(); err != nil {
		return err
	}
	m.zones.list = append(m.zones.list, &zone{device: d, source: source, read: file.read})
	return nil
}

// Name returns "hwmon".
func (m *hwmonMeter) Name() string { return "hwmon" }

// Devices lists power sensors, then energy counters.
func (m *hwmonMeter) Devices() []power.Device {
	return slices.Concat(m.powered, m.zones.devices())
}

// Missing lists hardware that exists but cannot be read.
func (m *hwmonMeter) Missing() []power.Unavailable { return slices.Clone(m.missing) }

// Warnings returns doubts about what a sensor covers.
func (m *hwmonMeter) Warnings() note.List { return slices.Clone(m.warnings) }

// Interval returns 50 ms.
func (m *hwmonMeter) Interval() time.Duration { return hwmonInterval }

// Refreshes returns how often the power values changed.
func (m *hwmonMeter) Refreshes() []sensor.SourceRefresh {
	var list []sensor.SourceRefresh
	for _, g := range m.gauges {
		list = append(list, g.Refresh())
	}
	return list
}

// Poll appends new power values and the mean power of each counter.
func (m *hwmonMeter) Poll(ctx context.Context, t *power.Trace) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var errs []error
	for _, g := range m.gauges {
		if err := g.Poll(t); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", g.Device, err))
		}
	}
	if err := errors.Join(append(errs, m.zones.poll(ctx, t))...); err != nil {
		for _, g := range m.gauges {
			g.Affirm(t)
		}
		return err
	}
	return nil
}

// Counters reads each energy counter once; AMD and Grace have none.
func (m *hwmonMeter) Counters(ctx context.Context) ([]power.Reading, error) {
	return m.zones.counters(ctx)
}

// Calls lists the ways to read a device.
func (m *hwmonMeter) Calls(device string) []sensor.Call {
	var out []sensor.Call
	for _, g := range m.gauges {
		if g.Device == device {
			out = append(out, sensor.Call{Name: g.Source + " power", Source: g.Source,
				Read: func() (float64, uint64, error) {
					w, err := g.Read()
					return float64(w), 0, err
				}})
		}
	}
	return append(out, m.zones.calls(device)...)
}

// Close does nothing: files are not kept open between readings.
func (m *hwmonMeter) Close() error { return nil }

// Reasons to reject a power value.
var (
	errNoPower  = errors.New("the sensor reports 0 W, less than any device that is switched on draws")
	errTooLarge = errors.New("the sensor reports more power than any device draws")
)

// gauge reads a power in µW. Zero is never a measurement: the part is asleep, or reports through another one
// (the second die of an MI250).
func gauge(f *numberFile) (unit.Watts, error) {
	microwatts, err := f.read()
	power := unit.Watts(float64(microwatts) / 1e6)
	switch {
	case err != nil:
		return 0, err
	case power == 0:
		return 0, errNoPower
	case power > zoneMaxWatts:
		return 0, errTooLarge
	}
	return power, nil
}
