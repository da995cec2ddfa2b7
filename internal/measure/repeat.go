package measure

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/llenergymeasure/llem/attribute"
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/note"
)

// work makes the engine's workload from requests, several times over. Each time is a
// round of its own, so that no more requests are under way than in one; a closed loop
// goes on.
func (r *run) work(requests []workload.Request, repeats int) backend.Workload {
	prompts := make([]backend.Prompt, 0, len(requests)*repeats)
	for i := range repeats {
		for _, q := range requests {
			prompts = append(prompts, backend.Prompt{ID: q.ID + i*r.stride(), Tokens: q.Tokens})
		}
	}
	w := backend.Workload{Requests: prompts, OutputTokens: r.Experiment.Workload.OutputTokens,
		Concurrency: r.Experiment.Workload.Concurrency}
	if repeats > 1 && w.Concurrency == 0 {
		w.Round = len(requests)
	}
	return w
}

// stride separates the request ids of two repetitions of the workload.
func (r *run) stride() int {
	top := 0
	for _, q := range r.requests {
		top = max(top, q.ID)
	}
	return top + 1
}

// batch is the most requests that are processed together: all of them where the engine
// decides.
func (r *run) batch() int {
	if n := r.Experiment.BatchSize(); n > 0 {
		return min(n, len(r.requests))
	}
	return len(r.requests)
}

// warmUp runs every batch size of the window once, a full batch and a smaller last
// one, and throws the result away.
func (r *run) warmUp(ctx context.Context, session backend.Session) error {
	began := r.Clock.Mono()
	full := r.batch()
	rest := len(r.requests) % full
	sample := slices.Concat(r.requests[:full], r.requests[len(r.requests)-rest:])
	runs := r.Experiment.Warmup.Runs
	if runs == 1 && r.minWindow() > 0 {
		runs = 2 // the first one is slow: it says little about how long the window will be
	}
	for i := range runs {
		r.phase(event.Warmup, fmt.Sprintf("%d of %d", i+1, runs))
		start := r.Clock.Mono()
		if _, err := session.Run(ctx, r.work(sample, 1)); err != nil {
			return err
		}
		r.warmNS = (r.Clock.Mono() - start) * int64(full) / int64(len(sample))
	}
	r.record.Timing.WarmupS = r.Clock.Since(began)
	if r.Experiment.Warmup.Runs == 0 {
		r.record.Warn(note.NoWarmUp, "warmup.runs is 0: the first requests include one-time costs")
	}
	return nil
}

// minWindow is the least length of the window in seconds: what the study asks for,
// else what the self-test of the GPUs found to be enough for a total within ±1 %.
func (r *run) minWindow() float64 {
	if w := r.Experiment.Energy.MinWindow; w > 0 || len(r.Meters) == 0 {
		return w
	}
	var w float64
	for _, p := range r.Profiles {
		w = max(w, p.MinWindowS)
	}
	return w
}

// wanted is the least length of a window that is measured, and who wants it.
func (r *run) wanted() (seconds float64, who string) {
	switch {
	case len(r.Meters) == 0:
		return 0, ""
	case r.Experiment.Energy.MinWindow > 0:
		return r.minWindow(), "energy.min_window asks for"
	}
	return r.minWindow(), "the self-test of the GPUs found to be enough for ±1 %"
}

// maxRepeats bounds how often a workload is repeated to fill a window.
const maxRepeats = 10_000

// spare is how much longer than wanted a window is planned: the engine may be faster
// in it than before.
const spare = 1.1

// tolerated is the part of the wanted length that will do.
const tolerated = 0.95

// repeatsFor is how often the workload must run for a window of some seconds,
// judged by the warm-up.
func (r *run) repeatsFor(seconds float64) int {
	if seconds <= 0 || len(r.Meters) == 0 {
		return 1
	}
	if r.warmNS <= 0 {
		r.record.Warn(note.MinWindow,
			"energy.min_window needs a warm-up to know how often to repeat the workload: it runs once; raise "+
				"warmup.runs")
		return 1
	}
	batches := (len(r.requests) + r.batch() - 1) / r.batch()
	return r.repeatsOf(seconds, float64(r.warmNS)/1e9*float64(batches))
}

// repeatsOf is how often the workload must run where one time takes once seconds.
func (r *run) repeatsOf(seconds, once float64) int {
	return min(maxRepeats, max(1, int(math.Ceil(spare*seconds/once))))
}

// longEnough measures the window, and once more where it turns out shorter than
// wanted: the first one then tells how long one time takes, and is thrown away.
func (r *run) longEnough(ctx context.Context, session backend.Session) (*measured, error) {
	w, err := r.window(ctx, session)
	if err != nil || nothingDone(w.log) != nil || !r.lengthen(w.window.Duration().Seconds()) {
		return w, err
	}
	if r.hostMemory != nil {
		r.hostMemory = r.hostMemory.Again()
	}
	return r.window(ctx, session)
}

// lengthen raises the number of repeats where the window got shorter than wanted, and
// says whether it did. Without a warm-up the first requests belong to the window.
func (r *run) lengthen(got float64) bool {
	want, who := r.wanted()
	if got >= tolerated*want || r.warmNS <= 0 {
		return false
	}
	n := r.repeatsOf(want, got/float64(r.repeats))
	if n <= r.repeats {
		return false
	}
	r.record.Timing.DiscardedWindowS = got
	r.warn(note.WindowRepeated, fmt.Sprintf("the warm-up was slower than the window: the workload ran %d times in "+
		"%.3g s, less than the %.3g s that %s; "+
		"that window is thrown away and measured again with %d times", r.repeats, got, want, who, n))
	r.repeats = n
	return true
}

// tooShort warns of a window that is shorter than wanted.
func (r *run) tooShort(w attribute.Window) {
	want, who := r.wanted()
	if got := w.Duration().Seconds(); got < want && r.warmNS > 0 {
		r.warn(note.MinWindow, fmt.Sprintf("the window of %.3g s, in which the workload ran %d times, is shorter "+
			"than the %.3g s that %s: "+
			"use more prompts, or raise energy.min_window", got, r.repeats, want, who))
	}
}
