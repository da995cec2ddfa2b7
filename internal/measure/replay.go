package measure

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/extent"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/load/trace"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/study"
)

// readTrace reads the recorded requests of a trace.
func (d *desk) readTrace(in *input) error {
	var err error
	in.trace, err = workload.Replayed(d.Experiment.Workload.Load, d.Experiment.Seed)
	if line, ok := errors.AsType[*trace.LineError](err); ok {
		return note.Failf(codes.ClassConfig, line.Next, "%s", line.Error())
	}
	if m, ok := errors.AsType[*load.Mistake](err); ok {
		return note.Failf(codes.ClassConfig, m.Next, "%s", m.Message)
	}
	return err
}

// maxContext returns the maximum length of a request with its output, in tokens.
func (in input) maxContext() int {
	if in.trace == nil {
		return in.experiment.Workload.MaxContext()
	}
	q := in.trace.Requests[in.trace.Longest()]
	return q.Input + q.Output
}

// checkContext returns an error for a recorded request or a conversation that is longer than the model's context, if
// that is known. A study is checked before it starts; this is for models that were not here then.
func (in input) checkContext() error {
	if in.model.ConfigErr != nil || in.engine.Simulated {
		return nil
	}
	limit := in.model.Config.Context
	if in.maxContext() <= limit { // the trace need not be read once more
		return nil
	}
	for _, m := range new(extent.Files).Contexts([]study.Experiment{in.experiment},
		func(study.Experiment) int { return limit }) {
		return note.Failf(codes.ClassConfig, m.Next, "%s", m.Error().Error())
	}
	return nil
}

// Limits of the sample of requests that warms up an engine for recorded requests.
const (
	// mostWarm is the number of requests, spread over all lengths, with the longest.
	mostWarm = 16
	// warmOutput is the number of output tokens of each.
	warmOutput = 64
)

// forWarmUp returns the work of the warm-up: the work itself, or of recorded requests and conversations a sample of
// their lengths. The sample has tokens of its own, so that a prefix cache has none of the load.
func (w work) forWarmUp(vocab workload.Vocab, seed uint64) (work, error) {
	if !w.recorded && w.turns == 1 {
		return w, nil
	}
	type size struct{ prompt, output int }
	sizes := make([]size, len(w.requests))
	for i, n := range w.lengths() {
		sizes[i] = size{n, w.asked(w.requests[i])}
	}
	slices.SortFunc(sizes, func(a, b size) int {
		return cmp.Or(cmp.Compare(a.prompt, b.prompt), cmp.Compare(a.output, b.output))
	})
	n := min(mostWarm, len(sizes))
	made, err := workload.Synthetic(n, sizes[len(sizes)-1].prompt, vocab, seed^warmStream)
	if err != nil {
		return w, err
	}
	for i := range made {
		q := sizes[(i+1)*len(sizes)/n-1]
		made[i].Tokens, made[i].Output = made[i].Tokens[:q.prompt], min(q.output, warmOutput)
	}
	w.requests, w.batch = made, min(w.batch, n)
	return w, nil
}

// warmStream separates the tokens of the warm-up from all others.
const warmStream = 0x7761726d

// shortTrace warns of a trace that is shorter than a window that the sensors need.
func (d *desk) shortTrace(lasts time.Duration) {
	need := d.minWindow() / (1 - load.RampShare)
	if len(d.Meters) == 0 || lasts.Seconds() >= need {
		return
	}
	d.warn(codes.MinWindow, fmt.Sprintf("the trace is replayed in %s s, less than the %s s that a window within ±1 %% "+
		"takes with its ramp: take a longer part of it, or lower workload.load.speed",
		digits.Significant(lasts.Seconds(), 3), digits.Significant(math.Ceil(need), 3)))
}
