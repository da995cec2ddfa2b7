package join

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/atload"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// Limits on the difference between counter and integral, in percent.
const (
	agreementWarn = 3.0
	agreementFail = 10.0
)

// modelGain95 is the gain uncertainty of the CPU power model (95 %).
const modelGain95 = 0.50

// deviceEnergy is the energy of one device over the window.
type deviceEnergy struct {
	device         Device
	counted        bool
	samples        []power.Sample
	curve          *attribute.Curve
	total          attribute.Estimate
	alias          float64 // half width of the counter's aliasing, in joules; part of total's
	method         string
	source         string
	counter        bool // whether total is from the counter
	integral       float64
	series         attribute.Estimate
	doubt          string // why a jump of the counter could have been missed
	bare, resident result.Idle
	err            error
	within         bool           // whether the window is a part of a load
	longer         string         // how the window becomes longer, if not by the workload
	out            *result.Device // the device's row in the record
}

// devices computes every metered device, whether it is counted or not.
func (j *join) devices() []*deviceEnergy {
	var out []*deviceEnergy
	for i, dev := range j.Devices {
		d := &deviceEnergy{device: dev, counted: j.Engine.Counts(dev.Device), out: &j.record.Energy.Devices[i],
			longer: j.longer(""), within: j.Load != nil}
		d.measure(between(j.samples(dev.ID), j.Window), j.readings(dev.ID), j.Window)
		d.bare, d.resident = j.idleOf(dev.ID, d.counter, j.Bare), j.idleOf(dev.ID, d.counter, j.Resident)
		if dev.Known != nil {
			d.bare = *dev.Known
		}
		d.err = j.because(dev.ID, d.err)
		d.describe(j.Window)
		out = append(out, d)
	}
	return out
}

// because adds the sensor's error to the reason why a device has no energy, for example that the driver has
// lost the GPU.
func (j *join) because(device string, err error) error {
	if err == nil {
		return nil
	}
	for _, msg := range j.Errors {
		for part := range strings.SplitSeq(msg, "; ") { // one per device, as a sampler records them
			if _, said, ok := strings.Cut(" "+part, " "+device+": "); ok {
				return fmt.Errorf("%w; the sensor: %s", err, said)
			}
		}
	}
	return err
}

// unmetered returns the first GPU of the engine that no meter reads although others are read: without it, the
// sum would be a part that looks like the whole. It cannot be determined if a GPU without UUID is read.
func (j *join) unmetered() (uuid string, ok bool) {
	if slices.ContainsFunc(j.Devices, func(d Device) bool { return d.Kind == power.GPU && d.UUID == "" }) {
		return "", false
	}
	for _, uuid := range j.Engine.GPUs {
		if !slices.ContainsFunc(j.Devices, func(d Device) bool { return d.UUID == uuid && d.Kind == power.GPU }) {
			return uuid, true
		}
	}
	return "", false
}

// measure computes the energy of the window by counter and by integral. The counter is preferred; both are
// recorded.
func (d *deviceEnergy) measure(samples []power.Sample, readings []power.Reading, w attribute.Window) {
	d.samples = samples
	d.curve, d.err = attribute.NewCurve(samples)
	if d.err == nil {
		d.series, d.err = d.curve.Integral(w)
	}
	seriesErr := d.err
	if d.err == nil {
		d.total, d.integral = d.series, d.series.Joules
		d.method, d.source = "integral of the power series", samples[0].Source
	}
	if len(readings) == 0 {
		d.out.Agreement = agreement(nil, valueIf(seriesErr == nil, d.integral))
		return
	}
	if d.within {
		readings = atload.Within(atload.Held(readings), w)
	}
	counter, err := attribute.Counter(readings, d.curve, w)
	if err != nil {
		// A counter that misbehaves makes the whole window doubtful.
		d.err = err
		return
	}
	d.err, d.counter = nil, true
	d.total = counter
	d.widen(readings[0], w, seriesErr)
	d.method, d.source = "energy counter, edge-snapped", readings[0].Source
	d.out.Agreement = agreement(&counter.Joules, valueIf(seriesErr == nil, d.integral))
	if d.out.Agreement.Verdict == "ok" && samples[0].Source == readings[0].Source {
		// RAPL's series is computed from its counter, so agreement proves nothing.
		d.out.Agreement.Verdict = "same_source"
	}
	if d.out.Agreement.Verdict == "fail" {
		if math.Abs(counter.Joules-d.integral) <= counter.Half95+d.series.Half95 {
			d.err = fmt.Errorf(
				"the window of %s s is too short for this sensor: the energy counter gives %s and the integral of the "+
					"power series %s; %s",
				digits.Significant(w.Duration().Seconds(), 2), digits.Within(counter.Joules, counter.Half95, "J"),
				digits.Within(d.integral, d.series.Half95, "J"),
				cmp.Or(d.longer, "use more prompts or longer outputs, or set energy.min_window")+
					d.needs(counter, w))
			return
		}
		d.err = fmt.Errorf("the energy counter gives %.4g J and the integral of the power series %.4g J: "+
			"they differ by %.1f %%, more than %.0f %%, so neither is used",
			counter.Joules, d.integral, *d.out.Agreement.DifferencePct, agreementFail)
		return
	}
	d.err = attribute.Jump(readings, d.curve)
	switch {
	case d.err != nil:
	case seriesErr != nil:
		d.doubt, d.err = attribute.Alone(readings, w)
	case d.out.Agreement.Verdict == "same_source": // the verdict already says so
		_, d.err = attribute.Alone(readings, w)
	}
}

// needs returns about how long a metered window has to be: the error at its limits is one of time, so its relative
// size is inversely proportional to the length.
func (d *deviceEnergy) needs(counter attribute.Estimate, w attribute.Window) string {
	if most := max(counter.Joules, d.integral); d.longer != "" && most > 0 {
		return fmt.Sprintf(" (±5 %% needs about %s s)",
			digits.Significant(w.Duration().Seconds()*counter.Half95/(0.05*most), 2))
	}
	return ""
}

// assumedSwing is the swing of an unknown counter: it measures 25 of 100 ms, as power readings of Ampere and
// Hopper do (Yang et al., SC'24).
const assumedSwing = 2.0

// gainApart is the largest difference between the gains of counter and series of a good board: −0.35 to +0.64
// % on an H200, see docs/accuracy.md.
const gainApart = 0.01

// widen adds the aliasing of the counter to the interval. Only NVML's counters are known to be sums of
// samples; for others it is added if a self-test found it. If a series resolves the counter's periods, the
// counter misses no more than their difference.
func (d *deviceEnergy) widen(r power.Reading, w attribute.Window, seriesErr error) {
	swing := 0.0
	switch {
	case d.device.SwingPct != nil:
		swing = *d.device.SwingPct / 100
	case r.Source == sensor.SourceEnergy:
		swing = assumedSwing
	}
	curve := d.curve
	if len(d.samples) > 0 && d.samples[0].Source == r.Source { // computed from the counter
		curve = nil
	}
	d.alias = attribute.Aliasing(d.total.Joules, swing, r, curve, w)
	if curve != nil && seriesErr == nil && curve.Sees(r) {
		apart := math.Abs(d.total.Joules-d.series.Joules) + d.series.Half95 + gainApart*math.Abs(d.total.Joules)
		d.alias = min(d.alias, apart)
	}
	d.total.Half95 = math.Hypot(d.total.Half95, d.alias)
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

// describe completes the device's row with the facts of the material.
func (d *deviceEnergy) describe(w attribute.Window) {
	o := d.out
	o.Counted = d.counted
	o.Bare, o.BaselineW = described(&d.bare)
	o.Resident, o.ResidentW = described(&d.resident)
	if d.curve != nil {
		q := d.curve.Quality(w)
		o.Series = &result.SeriesInfo{
			Source: q.Source, Samples: q.Samples, SamplesPerS: float64(q.Samples) / w.Duration().Seconds(),
			WindowMS: milliseconds(q.Averaging), LargestGapMS: milliseconds(q.LargestGap), Gaps: q.Gaps,
			CoveragePct: 100 * q.Coverage,
			Clock:       sensor.ClockOf(d.samples),
		}
	}
	if d.err != nil {
		o.Reason = d.err.Error()
		return
	}
	o.EnergyJ = d.quantity(d.total.Joules, d.total.Half95)
}

// described returns an idle power for the record: the block, and the value alone.
func described(i *result.Idle) (*result.Idle, *float64) {
	switch {
	case *i == result.Idle{}:
		return nil, nil
	case i.Reason != "" || i.W <= 0:
		return i, nil
	}
	return i, &i.W
}

func (d *deviceEnergy) gain() float64 {
	if d.device.Modelled {
		return modelGain95
	}
	return sensor.Gain95
}

func (d *deviceEnergy) quantity(v, half float64) *result.Quantity {
	return &result.Quantity{Value: v, CI95: [2]float64{v - half, v + half}, Gain95: d.gain() * math.Abs(v),
		Method: d.method, Source: d.source}
}
