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

// hwmonInterval is that of RAPL, for the same reason; reading a value of amdgpu
// asks the card's firmware and may take a tenth of a millisecond and more.
const hwmonInterval = 50 * time.Millisecond

// hwmonMeter is the meter of AMD and Intel GPUs and of Grace modules, over the files of
// the kernel's hardware monitor. AMD and Grace report power, Intel energy. Devices
// are amd0, intel0, … in the order of PCI addresses, grace-cpu-0 and
// grace-module-0 by socket. An APU and a Grace module contain processor and GPU:
// their kind is [power.Module].
type hwmonMeter struct {
	gauges   []*poll.Point
	powered  []power.Device // of the gauges
	zones    zones
	missing  []power.Unavailable
	warnings note.List
}

// errNoHwmon is the reason on a machine that has none of this hardware.
var errNoHwmon = sensor.NoSensor("hwmon", "no AMD or Intel GPU and no Grace module here", "")

// openHwmon finds the sensors that can be read. If there is none the error is a
// [power.Unavailable], and the meter is there for its list of what is missing only.
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

// addGauge adds a power sensor if its file holds power now.
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

// addCounter adds an energy counter if its file holds a number now.
func (m *hwmonMeter) addCounter(d power.Device, source, path string) error {
	file := &numberFile{path: path}
	if _, err := file.read(); err != nil {
		return err
	}
	m.zones.list = append(m.zones.list, &zone{device: d, source: source, read: file.read})
	return nil
}

// Name is "hwmon".
func (m *hwmonMeter) Name() string { return "hwmon" }

// Devices lists sensors of power, then counters of energy.
func (m *hwmonMeter) Devices() []power.Device {
	return slices.Concat(m.powered, m.zones.devices())
}

// Missing lists hardware that is there but cannot be read.
func (m *hwmonMeter) Missing() []power.Unavailable { return slices.Clone(m.missing) }

// Warnings lists doubts about what a sensor covers.
func (m *hwmonMeter) Warnings() note.List { return slices.Clone(m.warnings) }

// Interval is 50 ms.
func (m *hwmonMeter) Interval() time.Duration { return hwmonInterval }

// Refreshes is how often the power values changed.
func (m *hwmonMeter) Refreshes() []sensor.SourceRefresh {
	var list []sensor.SourceRefresh
	for _, g := range m.gauges {
		list = append(list, g.Refresh())
	}
	return list
}

// Poll appends new power values and the mean power of every counter.
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

// Counters reads every energy counter once; AMD and Grace have none.
func (m *hwmonMeter) Counters(ctx context.Context) ([]power.Reading, error) {
	return m.zones.counters(ctx)
}

// Calls are the ways of reading a device.
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

// Close does nothing: no file stays open between readings.
func (m *hwmonMeter) Close() error { return nil }

// Reasons for which a power value is refused.
var (
	errNoPower  = errors.New("the sensor reports 0 W, which nothing that is switched on draws")
	errTooLarge = errors.New("the sensor reports more power than any device draws")
)

// gauge reads power in µW. Zero stands for a part that is asleep or reports
// through another one (the second die of an MI250), never for a measurement.
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
