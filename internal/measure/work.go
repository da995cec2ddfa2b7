package measure

import (
	"context"
	"fmt"
	"slices"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/study"
)

// work is what the engine is given in the window: requests, once or several times over.
type work struct {
	requests []workload.Request
	// outputTokens are asked of each request, and concurrency is how many are sent at
	// once; 0 is all.
	outputTokens, concurrency int
	// batch is the most requests that are processed together: all of them where the
	// engine decides.
	batch int
}

func newWork(e study.Experiment, requests []workload.Request) work {
	w := work{requests: requests, outputTokens: e.Workload.OutputTokens, concurrency: e.Workload.Concurrency,
		batch: len(requests)}
	if n := e.BatchSize(); n > 0 {
		w.batch = min(n, len(requests))
	}
	return w
}

// repeated makes the engine's workload of all requests, several times over. Each time is
// a round of its own, so that no more requests are under way than in one; a closed loop
// does not stop between them.
func (w work) repeated(times int) backend.Workload { return w.of(w.requests, times) }

func (w work) of(requests []workload.Request, times int) backend.Workload {
	prompts := make([]backend.Prompt, 0, len(requests)*times)
	for i := range times {
		for _, q := range requests {
			prompts = append(prompts, backend.Prompt{ID: q.ID + i*w.stride(), Tokens: q.Tokens})
		}
	}
	out := backend.Workload{Requests: prompts, OutputTokens: w.outputTokens, Concurrency: w.concurrency}
	if times > 1 && w.concurrency == 0 {
		out.Round = len(requests)
	}
	return out
}

// stride separates the request ids of two repetitions of the workload.
func (w work) stride() int {
	top := 0
	for _, q := range w.requests {
		top = max(top, q.ID)
	}
	return top + 1
}

// tasks maps the ids of repeated requests to the kind of task.
func (w work) tasks(times int) map[int]string {
	out := make(map[int]string, len(w.requests))
	for i := range max(1, times) {
		for _, q := range w.requests {
			out[q.ID+i*w.stride()] = q.Task
		}
	}
	return out
}

// batches is the number of batches of the workload.
func (w work) batches() int { return (len(w.requests) + w.batch - 1) / w.batch }

// warmUp runs every batch size of the window once, a full batch and a smaller last
// one, and throws the result away. It returns how long the last warm-up of the first batch
// took, in nanoseconds.
func (d *desk) warmUp(ctx context.Context, session backend.Session, w work) (tookNS int64, err error) {
	began := d.Clock.Mono()
	rest := len(w.requests) % w.batch
	sample := slices.Concat(w.requests[:w.batch], w.requests[len(w.requests)-rest:])
	runs := d.Experiment.Warmup.Runs
	if runs == 1 && d.minWindow() > 0 {
		runs = 2 // the first one is slow: it says little about how long the window will be
	}
	for i := range runs {
		d.phase(event.Warmup, fmt.Sprintf("%d of %d", i+1, runs))
		start := d.Clock.Mono()
		if _, err := session.Run(ctx, w.of(sample, 1)); err != nil {
			return 0, err
		}
		tookNS = (d.Clock.Mono() - start) * int64(w.batch) / int64(len(sample))
	}
	d.record.Timing.WarmupS = d.Clock.Since(began)
	if d.Experiment.Warmup.Runs == 0 {
		d.record.Warn(note.NoWarmUp, "warmup.runs is 0: the first requests include one-time costs")
	}
	return tookNS, nil
}
