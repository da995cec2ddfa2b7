package measure

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/about"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/shapes"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/result"
)

const (
	// fewTokens is the number of output tokens per request when only a shape is warmed up: prefill, and some
	// decode steps.
	fewTokens = 4
	// mostRounds bounds how often the shapes are run until their times settle.
	mostRounds = 5
	// mostGrown is the largest batch that is grown to; servers run at most as many together.
	mostGrown = 256
	// onHost is the device of an engine that computes on the host's processor.
	onHost = "cpu"
)

// Outcomes of a warm-up, as named in results.
const (
	steady, unsteady, limited = "steady", "unsteady", "limit"
)

// warmUp runs the shapes of the window until their times settle, then a full batch and a smaller last one
// with all of their output tokens, and discards the results. It returns the duration of the last run of the
// first batch, in nanoseconds.
func (d *desk) warmUp(ctx context.Context, session backend.Session, w work) (tookNS int64, err error) {
	x := d.Experiment.Warmup
	if x.Runs == 0 {
		d.record.Warn(codes.NoWarmUp, "warmup.runs is 0: the first requests include one-time costs")
		return 0, nil
	}
	began := d.Clock.Mono()
	d.record.Warmup = &result.Warmup{Cover: cmp.Or(x.Cover, terms.CoverAll), Runs: x.Runs}
	c := d.cover(w)
	if err := d.warmShapes(ctx, session, w, c); err != nil {
		return 0, err
	}
	if tookNS, err = d.warmRuns(ctx, session, w, c); err != nil {
		return 0, err
	}
	d.record.Timing.WarmupS = d.Clock.Since(began)
	return tookNS, nil
}

// warmRuns runs the sample of the workload with all of its output tokens warmup.runs times, and before that
// the longest batch once, for the longest context.
func (d *desk) warmRuns(ctx context.Context, session backend.Session, w work, c cover) (tookNS int64, err error) {
	runs, all := d.record.Warmup.Runs, d.record.Warmup.Cover == terms.CoverAll
	if !all && runs == 1 && d.mayRepeat() {
		runs = 2 // the first run is slow and does not predict the length of the window
	}
	d.record.Warmup.Runs = runs
	for i := range runs {
		d.phase(event.Warmup, fmt.Sprintf("%d of %d", i+1, runs))
		if i == 0 && all && len(c.longest) > 0 {
			if _, err := d.warmOnce(ctx, session, w.of(c.longest, 1)); err != nil {
				return 0, err
			}
		}
		took, err := d.warmOnce(ctx, session, w.of(c.sample, 1))
		if err != nil {
			return 0, err
		}
		tookNS = took * int64(w.batch) / int64(len(c.sample))
	}
	return tookNS, nil
}

// warmOnce runs a workload and returns its duration in nanoseconds.
func (d *desk) warmOnce(ctx context.Context, session backend.Session, load backend.Workload) (int64, error) {
	ctx, cancel := d.bounded(ctx, 0)
	defer cancel()
	start := d.Clock.Mono()
	log, err := session.Run(ctx, load)
	d.warmed = warmed{log, attribute.Window{Start: start, End: d.Clock.Mono()}}
	return int64(d.warmed.window.Duration()), err
}

// warmShapes runs the groups with a few output tokens, round after round, until a round takes as long as the
// previous one, or the time limit is reached.
func (d *desk) warmShapes(ctx context.Context, session backend.Session, w work, c cover) error {
	out := d.record.Warmup
	out.Shapes, out.Warmed = c.distinct, c.adds[0]
	if out.Cover == terms.CoverSizes {
		return nil
	}
	w.outputTokens, w.few = min(w.outputTokens, fewTokens), fewTokens
	usual := float64(terms.WarmupSeconds)
	if session.Loaded().Device == onHost {
		usual = terms.HostWarmupSeconds
	}
	end := d.Clock.Mono() + int64(1e9*cmp.Or(d.Experiment.Warmup.MaxSeconds, usual))
	out.Buckets, out.Outcome = c.buckets, unsteady
	var before []float64
	for out.Rounds < mostRounds && out.Outcome == unsteady {
		began := d.Clock.Mono()
		d.phase(event.Warmup, fmt.Sprintf("shapes, round %d", out.Rounds+1))
		now, err := d.warmRound(ctx, session, w, c, end)
		if err != nil {
			return err
		}
		out.Rounds++
		switch at := d.Clock.Mono(); {
		case shapes.Steady(before, now):
			out.Outcome = steady
		case at+(at-began) > end: // another round would take longer
			out.Outcome = limited
		}
		if before == nil {
			out.Warmed = c.warmed(len(now))
		}
		before = now
	}
	d.tellShapes(c)
	return nil
}

// warmRound runs the groups, and returns the duration of each, in seconds. The first one is always run.
func (d *desk) warmRound(ctx context.Context, session backend.Session, w work, c cover, end int64) ([]float64, error) {
	var took []float64
	for i, g := range c.groups {
		if i > 0 && d.Clock.Mono() >= end {
			break
		}
		ns, err := d.warmOnce(ctx, session, w.of(g, 1))
		if err != nil {
			return nil, err
		}
		took = append(took, float64(ns)/1e9)
		d.emit(event.Progress{Phase: event.Warmup, Fraction: float64(i+1) / float64(len(c.groups)),
			Detail: fmt.Sprintf("%d of %d shapes", i+1, len(c.groups))})
	}
	return took, nil
}

// tellShapes warns of shapes that were not run, and of times that did not settle.
func (d *desk) tellShapes(c cover) {
	switch out := d.record.Warmup; {
	case out.Warmed < c.warmed(len(c.groups)):
		d.warn(codes.WarmUpLimit, fmt.Sprintf("the warm-up ran %d of %d shapes of the window before its time limit "+
			"was reached: requests may include a first use; raise warmup.max_seconds", out.Warmed, out.Shapes))
	case out.Outcome == unsteady:
		d.warn(codes.WarmUpLimit, fmt.Sprintf("the times of the warm-up had not settled after %d rounds: something "+
			"disturbs the engine, or it selects its kernels again in each round", out.Rounds))
	}
}

// cover is the work of a warm-up.
type cover struct {
	// sample is a full batch and the smaller last one, and longest the batch with the longest prompt, if it
	// is not in the sample.
	sample, longest []workload.Request
	// groups are run for their shapes; each adds some shapes.
	groups [][]workload.Request
	adds   []int
	// distinct is the number of distinct shapes of the window, and buckets how a group represents others.
	distinct int
	buckets  string
}

func (c *cover) add(group []workload.Request, shapes int) {
	c.groups, c.adds = append(c.groups, group), append(c.adds, shapes)
}

// warmed returns the number of shapes in the first n groups.
func (c cover) warmed(n int) (sum int) {
	for _, k := range c.adds[:n] {
		sum += k
	}
	return sum
}

// cover selects the work of the warm-up.
func (d *desk) cover(w work) cover {
	rest := len(w.requests) % w.batch
	c := cover{sample: slices.Concat(w.requests[:w.batch], w.requests[len(w.requests)-rest:])}
	if about.Static(&d.Engine, d.Experiment.Section) {
		c.batches(w, rest > 0)
	} else {
		c.alone(w)
	}
	return c
}

// batches covers an engine with known batches: first the sample, which has all sizes, because an engine that
// compiles may do so only in its first run; then every other shape.
func (c *cover) batches(w work, rest bool) {
	all := slices.Collect(slices.Chunk(w.requests, w.batch))
	of := make([]shapes.Shape, len(all))
	for i, batch := range all {
		of[i] = shapeOf(batch)
	}
	chosen := shapes.Choose(of)
	c.distinct, c.buckets = chosen.Distinct, chosen.Buckets
	sampled := []shapes.Shape{of[0]}
	if last := of[len(of)-1]; rest && last != of[0] {
		sampled = append(sampled, last)
	}
	c.add(c.sample, len(sampled))
	for k, place := range chosen.Places {
		if slices.Contains(sampled, of[place]) {
			continue
		}
		c.add(all[place], 1)
		if k == 0 {
			c.longest = all[place]
		}
	}
}

// alone covers an engine that batches by itself: the lengths of prompts, and growing batches. The sample has
// all lengths if the engine gets all requests at once.
func (c *cover) alone(w work) {
	of := make([]shapes.Shape, len(w.requests))
	for i := range w.requests {
		of[i] = shapeOf(w.requests[i : i+1])
	}
	chosen := shapes.Choose(of)
	var lengths []workload.Request
	for _, place := range chosen.Places {
		lengths = append(lengths, w.requests[place])
	}
	c.distinct, c.buckets = chosen.Distinct, chosen.Buckets
	if len(c.sample) == len(w.requests) {
		c.buckets = shapes.Exact
		c.add(lengths, chosen.Distinct)
	} else {
		c.add(lengths, len(lengths))
	}
	most := w.batch
	if w.concurrency > 0 {
		most = min(most, w.concurrency)
	}
	for _, n := range shapes.Sizes(min(most, mostGrown)) {
		c.add(w.requests[:n], 0)
	}
}

func shapeOf(batch []workload.Request) shapes.Shape {
	lengths := make([]int, len(batch))
	for i, q := range batch {
		lengths[i] = len(q.Tokens)
	}
	return shapes.Of(lengths)
}
