package measure

import (
	"context"
	"fmt"
	"time"

	"github.com/llenergymeasure/llem/attribute"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/join"
	"github.com/llenergymeasure/llem/power"
)

// measureBare samples the machine before the engine is there, or takes over what
// an earlier run measured if a short look confirms it.
func (r *run) measureBare(ctx context.Context) error {
	r.processes.Poll(ctx, r.Meters)
	seconds := r.Experiment.Baseline.Seconds
	if len(r.Meters) == 0 || seconds == 0 {
		return nil
	}
	began := r.Clock.Mono()
	if known := r.cached(); known != nil && seconds > probeSeconds {
		r.phase(event.Baseline, fmt.Sprintf("%g s idle, to confirm an earlier baseline", probeSeconds))
		w, trace, err := r.idleWindow(ctx, probeSeconds)
		if err != nil {
			return err
		}
		if r.confirmed(known, trace, w) {
			r.known = known
			r.trace = join.Traces(r.trace, trace)
			r.record.Timing.BaselineS = r.Clock.Since(began)
			return nil
		}
	}
	r.phase(event.Baseline, fmt.Sprintf("%g s idle", seconds))
	w, trace, err := r.restWindow(ctx, seconds)
	if err != nil {
		return err
	}
	r.bare = w
	r.trace = join.Traces(r.trace, trace)
	r.record.Timing.BaselineS = r.Clock.Since(began)
	r.remember(trace, w)
	return nil
}

// restWindow is an idle window, again while the machine is coming to rest.
func (r *run) restWindow(ctx context.Context, seconds float64) (w attribute.Window, trace power.Trace, err error) {
	w, trace, err = r.idleWindow(ctx, seconds)
	for range restTries {
		if err != nil || !r.stillFalling(trace, w) {
			break
		}
		r.phase(event.Baseline, fmt.Sprintf("idle power is still falling, another %g s", seconds))
		w, trace, err = r.idleWindow(ctx, seconds)
	}
	return w, trace, err
}

// restTries is how often a baseline is measured again while the machine comes to
// rest. An H200 falls from 140 to 80 W within 5 s after another process.
const restTries = 4

// stillFalling says whether the power of a GPU fell by more than chance while it was
// meant to be idle.
func (r *run) stillFalling(trace power.Trace, w attribute.Window) bool {
	for _, d := range r.devices() {
		if d.Kind != power.GPU || d.OverNetwork {
			continue
		}
		if i := join.Idle(trace, d.ID, w); join.Drifts(i) && i.DriftW < 0 {
			return true
		}
	}
	return false
}

// measureResident samples the machine with the model loaded and nothing to do,
// before the warm-up: afterwards clocks and temperature would still be falling.
func (r *run) measureResident(ctx context.Context) error {
	seconds := r.Experiment.Baseline.ResidentSeconds
	if len(r.Meters) == 0 || seconds == 0 || r.Experiment.Baseline.Seconds == 0 {
		return nil
	}
	r.phase(event.Baseline, fmt.Sprintf("%g s idle with the model loaded", seconds))
	look := r.idleWindow
	if r.engine.runs > 1 {
		look = r.restWindow // it has worked a moment ago
	}
	w, trace, err := look(ctx, seconds)
	if err != nil {
		return err
	}
	r.resident = w
	r.trace = join.Traces(r.trace, trace)
	return nil
}

// idleWindow samples for some seconds, with a counter edge on both sides.
func (r *run) idleWindow(ctx context.Context, seconds float64) (w attribute.Window, trace power.Trace, err error) {
	sampler := r.sampler()
	sampler.Start(ctx)
	mark(ctx, sampler)
	w.Start = r.Clock.Mono()
	err = r.idle(ctx, time.Duration(seconds*float64(time.Second)))
	w.End = r.Clock.Mono()
	if err == nil {
		mark(ctx, sampler)
		err = r.Clock.Sleep(ctx, settle)
	}
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	trace = sampler.Stop(stopCtx)
	r.processes.Add(trace.Processes)
	return w, trace, err
}

// idle waits and reports progress.
func (r *run) idle(ctx context.Context, d time.Duration) error {
	const ticks = 20
	for i := range ticks {
		r.emit(event.Progress{Phase: event.Baseline, Fraction: float64(i) / ticks})
		if err := r.Clock.Sleep(ctx, d/ticks); err != nil {
			return err
		}
	}
	return nil
}
