package measure

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/llenergymeasure/llem/attribute"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/clock"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/stats"
)

// Idle is the power of an idle device.
type Idle struct {
	Watts  float64
	Half95 float64 // 95 % statistical interval of the mean
	Reason string  // why there is no value
}

// measureBaseline samples the machine before the engine is there.
func (r *run) measureBaseline(ctx context.Context) error {
	seconds := r.Experiment.Baseline.Seconds
	r.baseline = map[string]Idle{}
	if len(r.Meters) == 0 || seconds == 0 {
		return nil
	}
	r.phase(event.Baseline, fmt.Sprintf("%g s idle", seconds))
	began := clock.Mono()
	sampler := r.sampler()
	sampler.Start(ctx)
	w := attribute.Window{Start: clock.Mono()}
	err := r.idle(ctx, time.Duration(seconds*float64(time.Second)))
	w.End = clock.Mono()
	if err == nil {
		err = sleep(ctx, settle)
	}
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	trace := sampler.Stop(stopCtx)
	if err != nil {
		return err
	}
	r.idleSamples = trace.Samples
	r.record.Timing.BaselineStartMonoNS, r.record.Timing.BaselineEndMonoNS = w.Start, w.End
	for device, samples := range byDevice(trace.Samples) {
		r.baseline[device] = idlePower(samples, w)
	}
	r.record.Timing.BaselineS = since(began)
	return nil
}

// idle waits and reports progress.
func (r *run) idle(ctx context.Context, d time.Duration) error {
	const ticks = 20
	for i := range ticks {
		r.emit(event.Progress{Phase: event.Baseline, Fraction: float64(i) / ticks})
		if err := sleep(ctx, d/ticks); err != nil {
			return err
		}
	}
	return nil
}

// idlePower is the mean power of an idle window.
func idlePower(samples []power.Sample, w attribute.Window) Idle {
	curve, err := attribute.NewCurve(samples)
	if err != nil {
		return Idle{Reason: err.Error()}
	}
	e, err := curve.Integral(w)
	if err != nil {
		return Idle{Reason: err.Error()}
	}
	seconds := w.Duration().Seconds()
	var inside []float64
	for _, s := range samples {
		if s.MonoNS >= w.Start && s.MonoNS <= w.End {
			inside = append(inside, float64(s.Power))
		}
	}
	half := e.Half95 / seconds
	if sum, ok := stats.Summarize(inside); ok && sum.N > 1 {
		half = math.Hypot(half, 1.96*sum.SD/math.Sqrt(float64(sum.N)))
	}
	return Idle{Watts: e.Joules / seconds, Half95: half}
}

// byDevice groups samples; each device has one source in this version.
func byDevice(samples []power.Sample) map[string][]power.Sample {
	out := map[string][]power.Sample{}
	for _, s := range samples {
		out[s.Device] = append(out[s.Device], s)
	}
	return out
}
