package measure

import (
	"context"
	"fmt"
	"slices"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/codes"
)

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
		if err := d.warmOnce(ctx, session, w.of(sample, 1)); err != nil {
			return 0, err
		}
		tookNS = (d.Clock.Mono() - start) * int64(w.batch) / int64(len(sample))
	}
	d.record.Timing.WarmupS = d.Clock.Since(began)
	if d.Experiment.Warmup.Runs == 0 {
		d.record.Warn(codes.NoWarmUp, "warmup.runs is 0: the first requests include one-time costs")
	}
	return tookNS, nil
}

func (d *desk) warmOnce(ctx context.Context, session backend.Session, load backend.Workload) error {
	ctx, cancel := d.bounded(ctx, 0)
	defer cancel()
	_, err := session.Run(ctx, load)
	return err
}
