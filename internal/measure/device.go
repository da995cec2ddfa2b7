package measure

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/attribute"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// deviceEnergy is one device over the window.
type deviceEnergy struct {
	device   power.Device
	counted  bool
	curve    *attribute.Curve
	total    attribute.Estimate
	method   string
	source   string
	integral float64
	series   attribute.Estimate
	err      error
	out      result.Device
}

// devices computes every metered device, whether it counts or not.
func (r *run) devices(m material) []*deviceEnergy {
	samples := byDevice(m.trace.Samples)
	var out []*deviceEnergy
	for _, meter := range r.Meters {
		for _, dev := range meter.Devices() {
			d := &deviceEnergy{device: dev, counted: r.counts(dev)}
			d.measure(samples[dev.ID], m)
			d.describe(m.window, r.baseline[dev.ID])
			out = append(out, d)
		}
	}
	return out
}

// counts says whether a device runs the model.
func (r *run) counts(d power.Device) bool {
	if r.record.Energy.Scope == "cpu" {
		return d.Kind == power.CPU || d.Kind == power.DRAM
	}
	if d.Kind != power.GPU {
		return false
	}
	return d.UUID == "" || len(r.loaded.DeviceUUIDs) == 0 || slices.Contains(r.loaded.DeviceUUIDs, d.UUID)
}

// measure computes the energy of the window by counter and by integral. The
// counter is preferred; both are kept.
func (d *deviceEnergy) measure(samples []power.Sample, m material) {
	var integral attribute.Estimate
	d.curve, d.err = attribute.NewCurve(samples)
	if d.err == nil {
		integral, d.err = d.curve.Integral(m.window)
	}
	seriesErr := d.err
	if d.err == nil {
		d.total, d.integral, d.series = integral, integral.Joules, integral
		d.method, d.source = "integral of the power series", samples[0].Source
	}
	var readings []power.Reading
	for _, c := range m.trace.Counters {
		if c.Device == d.device.ID {
			readings = append(readings, c)
		}
	}
	if len(readings) == 0 {
		d.out.Agreement = agreement(nil, valueIf(seriesErr == nil, d.integral))
		return
	}
	counter, err := attribute.Counter(readings, d.curve, m.window)
	if err == nil {
		err = monotone(readings)
	}
	if err != nil {
		// A counter that misbehaves makes the whole window doubtful.
		d.err = err
		return
	}
	d.err = nil
	d.total = counter
	d.method, d.source = "energy counter, edge-snapped", readings[0].Source
	d.out.Agreement = agreement(&counter.Joules, valueIf(seriesErr == nil, d.integral))
	if d.out.Agreement.Verdict == "ok" && samples[0].Source == readings[0].Source {
		// RAPL's series is made of its counter: agreeing proves nothing.
		d.out.Agreement.Verdict = "same_source"
	}
	if d.out.Agreement.Verdict == "fail" {
		d.err = fmt.Errorf("the energy counter says %.4g J and the integral of the power series %.4g J: "+
			"they differ by %.1f %%, more than %.0f %%; neither is trusted",
			counter.Joules, d.integral, *d.out.Agreement.DifferencePct, agreementFail)
	}
}

// monotone refuses a counter that was reset while it was read, also where it has
// since grown beyond its first value.
func monotone(readings []power.Reading) error {
	for i, now := range readings {
		if i > 0 && now.Energy < readings[i-1].Energy {
			return fmt.Errorf("the energy counter (%s) went backwards: it was reset during the run", now.Source)
		}
	}
	return nil
}

func valueIf(ok bool, v float64) *float64 {
	if !ok {
		return nil
	}
	return &v
}

// agreement compares two values of one window.
func agreement(counter, integral *float64) *result.Agreement {
	a := &result.Agreement{CounterJ: counter, IntegralJ: integral, Verdict: "single_source"}
	if counter == nil || integral == nil || *counter == 0 {
		return a
	}
	pct := 100 * (*integral - *counter) / *counter
	a.DifferencePct = &pct
	switch {
	case math.Abs(pct) > agreementFail:
		a.Verdict = "fail"
	case math.Abs(pct) > agreementWarn:
		a.Verdict = "warn"
	default:
		a.Verdict = "ok"
	}
	return a
}

// describe fills the device's row.
func (d *deviceEnergy) describe(w attribute.Window, idle Idle) {
	o := &d.out
	o.Device, o.Kind, o.Name, o.Counted = d.device.ID, string(d.device.Kind), d.device.Name, d.counted
	if idle.Reason == "" && idle.Watts > 0 {
		o.BaselineW = &idle.Watts
	}
	if d.curve != nil {
		q := d.curve.Quality(w)
		o.Series = &result.SeriesInfo{
			Source: q.Source, Samples: q.Samples, SamplesPerS: float64(q.Samples) / w.Duration().Seconds(),
			WindowMS: milliseconds(q.Averaging), LargestGapMS: milliseconds(q.LargestGap), Gaps: q.Gaps, CoveragePct: 100 * q.Coverage,
		}
	}
	if d.err != nil {
		o.Reason = d.err.Error()
		return
	}
	o.EnergyJ = d.quantity(d.total.Joules, d.total.Half95)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (d *deviceEnergy) gain() float64 {
	if d.device.Modelled {
		return modelGain95
	}
	return sensorGain95
}

func (d *deviceEnergy) quantity(v, half float64) *result.Quantity {
	return &result.Quantity{Value: v, CI95: [2]float64{v - half, v + half}, Gain95: d.gain() * math.Abs(v), Method: d.method, Source: d.source}
}
