package measure

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/join"
	"github.com/llenergymeasure/llem/internal/sampling"
	"github.com/llenergymeasure/llem/internal/tenants"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// idles has the measurements of the idle machine.
type idles struct {
	// bare is the interval before the engine was started, resident the interval with the model loaded; an
	// empty interval was not measured.
	bare, resident attribute.Window
	// trace has the samples of both.
	trace power.Trace
	// known are bare idle powers of an earlier run, by device.
	known map[string]result.Idle
}

// probeSeconds is the length of the measurement that confirms a stored baseline.
const probeSeconds = 1.0

// confirmPct is the relative difference up to which a measurement confirms a stored baseline, in addition to
// the uncertainty of both.
const confirmPct = 0.02

// measureBare samples the machine before the engine is started, or uses the value of an earlier run if a
// short measurement confirms it.
func (d *desk) measureBare(ctx context.Context, p *tenants.Processes) (idles, error) {
	p.Poll(ctx, d.Meters)
	seconds := d.Experiment.Baseline.Seconds
	if len(d.Meters) == 0 || seconds == 0 {
		return idles{}, nil
	}
	began := d.Clock.Mono()
	if known := d.remembered(); known != nil && seconds > probeSeconds {
		d.phase(event.Baseline, fmt.Sprintf("%g s idle, to confirm an earlier baseline", probeSeconds))
		s, err := d.sampleIdle(ctx, p, probeSeconds)
		if err != nil {
			return idles{}, err
		}
		if confirms(s, known) {
			d.record.Timing.BaselineS = d.Clock.Since(began)
			return idles{known: known, trace: s.Trace}, nil
		}
	}
	d.phase(event.Baseline, fmt.Sprintf("%g s idle", seconds))
	s, err := d.sampleRest(ctx, p, seconds)
	if err != nil {
		return idles{}, err
	}
	d.record.Timing.BaselineS = d.Clock.Since(began)
	d.remember(s, p)
	return d.recorded(idles{bare: s.Window, trace: s.Trace}), nil
}

// measureResident samples the machine with the model loaded and idle, before the warm-up: afterwards, clocks
// and temperature would still be falling. An engine that has just worked is given time to settle.
func (d *desk) measureResident(ctx context.Context, p *tenants.Processes, worked bool, before idles) (idles, error) {
	seconds := d.Experiment.Baseline.ResidentSeconds
	if len(d.Meters) == 0 || seconds == 0 || d.Experiment.Baseline.Seconds == 0 {
		return before, nil
	}
	d.phase(event.Baseline, fmt.Sprintf("%g s idle with the model loaded", seconds))
	sample := d.sampleIdle
	if worked {
		sample = d.sampleRest
	}
	s, err := sample(ctx, p, seconds)
	if err != nil {
		return before, err
	}
	before.resident, before.trace = s.Window, join.Traces(before.trace, s.Trace)
	return d.recorded(before), nil
}

// recorded writes the intervals to the record at once, because the run may fail later.
func (d *desk) recorded(i idles) idles {
	join.StoreIdle(&join.Material{Bare: i.bare, Resident: i.resident}, d.record, nil)
	return i
}

// sampleRest samples an idle interval, and repeats it while power is falling.
func (d *desk) sampleRest(ctx context.Context, p *tenants.Processes, seconds float64) (sampling.Stretch, error) {
	s, err := d.sampling().Rest(ctx, d.waits(seconds), func() {
		d.phase(event.Baseline, fmt.Sprintf("idle power is still falling, another %g s", seconds))
	})
	p.Add(s.Trace.Processes)
	return s, err
}

// sampleIdle samples for some seconds, with a counter edge on both sides.
func (d *desk) sampleIdle(ctx context.Context, p *tenants.Processes, seconds float64) (sampling.Stretch, error) {
	s, err := d.sampling().Idle(ctx, d.waits(seconds))
	p.Add(s.Trace.Processes)
	return s, err
}

// waits returns a function that waits for some seconds and reports progress.
func (d *desk) waits(seconds float64) func(context.Context) error {
	return func(ctx context.Context) error { return d.wait(ctx, digits.Duration(seconds)) }
}

// wait waits and reports progress.
func (d *desk) wait(ctx context.Context, whole time.Duration) error {
	const ticks = 20
	for i := range ticks {
		d.emit(event.Progress{Phase: event.Baseline, Fraction: float64(i) / ticks})
		if err := d.Clock.Sleep(ctx, whole/ticks); err != nil {
			return err
		}
	}
	return nil
}

// confirms reports whether an interval agrees with the stored values, from the same source.
func confirms(s sampling.Stretch, known map[string]result.Idle) bool {
	for id, k := range known {
		now := join.Idle(s.Trace, id, s.Window)
		if now.Reason != "" || now.Source != k.Source ||
			math.Abs(now.W-k.W) > confirmPct*k.W+math.Hypot(now.Half95, k.Half95) {
			return false
		}
	}
	return true
}

// remembered returns the idle power of every device from an earlier run, or nil if one is missing.
func (d *desk) remembered() map[string]result.Idle {
	maxAge := digits.Duration(d.Experiment.Baseline.MaxAgeSeconds)
	if d.Baselines == nil || maxAge == 0 {
		return nil
	}
	known := map[string]result.Idle{}
	for _, dev := range d.devices() {
		idle, ok := d.Baselines.get(dev, maxAge, d.Clock.Time())
		if !ok {
			return nil
		}
		known[dev.ID] = idle
	}
	return known
}

// remember stores a new baseline for later runs, unless it drifts. A machine with other processes is not
// idle.
func (d *desk) remember(s sampling.Stretch, p *tenants.Processes) {
	if d.Baselines == nil || p.Foreign() {
		return
	}
	for _, dev := range d.devices() {
		idle := join.Idle(s.Trace, dev.ID, s.Window)
		if idle.Reason != "" || idle.W <= 0 || math.Abs(idle.DriftW) > join.MaxDrift*idle.W ||
			join.Worked(s.Trace, dev.ID, s.Window) {
			continue
		}
		if err := d.Baselines.put(dev, idle, d.Clock.Time()); err != nil {
			d.warn(codes.BaselineCache, err.Error())
			return
		}
	}
}
