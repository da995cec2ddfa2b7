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
	// fewTokens are asked of each request where a shape is run for its own sake: prefill, and
	// some decode steps.
	fewTokens = 4
	// mostRounds bounds how often the shapes are run until their times settle.
	mostRounds = 5
	// mostGrown is the largest batch that is grown to; servers run no more together.
	mostGrown = 256
	// onHost is the device of an engine that computes on the host's processor.
	onHost = "cpu"
)

// Outcomes of a warm-up, as results name them.
const (
	steady, unsteady, limited = "steady", "unsteady", "limit"
)

// warmUp runs the shapes of the window until their times settle, then a full batch and a
// smaller last one with all of their output tokens, and throws all of it away. It returns how
// long the last run of the first batch took, in nanoseconds.
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

// warmRuns runs the sample of the workload with all of its output tokens, as often as
// warmup.runs says, and the longest batch once before, for the longest context.
func (d *desk) warmRuns(ctx context.Context, session backend.Session, w work, c cover) (tookNS int64, err error) {
	runs, all := d.record.Warmup.Runs, d.record.Warmup.Cover == terms.CoverAll
	if !all && runs == 1 && d.mayRepeat() {
		runs = 2 // the first one is slow: it says little about how long the window will be
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

// warmOnce runs a workload and returns how long that took, in nanoseconds.
func (d *desk) warmOnce(ctx context.Context, session backend.Session, load backend.Workload) (int64, error) {
	ctx, cancel := d.bounded(ctx, 0)
	defer cancel()
	start := d.Clock.Mono()
	log, err := session.Run(ctx, load)
	d.warmed = warmed{log, attribute.Window{Start: start, End: d.Clock.Mono()}}
	return int64(d.warmed.window.Duration()), err
}

// warmShapes runs the groups with a few output tokens, round after round, until a round takes
// as long as the one before, or the time for it is over.
func (d *desk) warmShapes(ctx context.Context, session backend.Session, w work, c cover) error {
	out := d.record.Warmup
	out.Shapes, out.Warmed = c.distinct, c.adds[0]
	if out.Cover == terms.CoverSizes {
		return nil
	}
	w.outputTokens = min(w.outputTokens, fewTokens)
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

// warmRound runs the groups, and returns how long each took, in seconds. The first one is always
// run.
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
		d.warn(codes.WarmUpLimit, fmt.Sprintf("the warm-up ran %d of %d shapes of the window before the time for it "+
			"was over: requests may pay for a first use; raise warmup.max_seconds", out.Warmed, out.Shapes))
	case out.Outcome == unsteady:
		d.warn(codes.WarmUpLimit, fmt.Sprintf("the times of the warm-up had not settled after %d rounds: something "+
			"disturbs the engine, or each round makes it choose its kernels again", out.Rounds))
	}
}

// cover is what a warm-up runs.
type cover struct {
	// sample is a full batch and the smaller last one, and longest the batch with the longest
	// prompt, if it is not in the sample.
	sample, longest []workload.Request
	// groups are run for their shapes; each adds some to those that were run.
	groups [][]workload.Request
	adds   []int
	// distinct is how many shapes the window has, and buckets which of them a group stands for.
	distinct int
	buckets  string
}

func (c *cover) add(group []workload.Request, shapes int) {
	c.groups, c.adds = append(c.groups, group), append(c.adds, shapes)
}

// warmed is how many shapes were run with the first n groups.
func (c cover) warmed(n int) (sum int) {
	for _, k := range c.adds[:n] {
		sum += k
	}
	return sum
}

// cover chooses what the warm-up runs.
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

// batches covers an engine whose batches are known: the sample, which has all sizes, first,
// since an engine that compiles may do so in its first run only; then each other shape.
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

// alone covers an engine that batches by itself: the lengths of prompts, and batches that grow.
// The sample has all lengths where the engine is given all requests at once.
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
