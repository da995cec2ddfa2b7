package measure

import (
	"context"
	"fmt"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

const (
	// overdueFactor is the factor by which a phase may exceed its expected duration.
	overdueFactor = 10
	// overdueLeast is the minimum time limit of a phase.
	overdueLeast = 30 * time.Minute
)

// overdueAfter returns the time limit of a phase with an expected duration; 0 means no limit, as without an
// expectation.
func overdueAfter(expected ...time.Duration) time.Duration {
	var most time.Duration
	for _, e := range expected {
		most = max(most, e)
	}
	if most <= 0 {
		return 0
	}
	return max(overdueLeast, overdueFactor*most)
}

// bounded returns the context of a phase of a run without a time limit of its own. It ends, with a failure as
// its cause, when the phase takes much longer than expected, from the estimate of the run or from the same
// phase of the previous run, if known.
func (d *desk) bounded(ctx context.Context, phase time.Duration) (context.Context, context.CancelFunc) {
	var run time.Duration
	if d.Expected != nil {
		run = d.Expected(d.Experiment)
	}
	limit := overdueAfter(run, phase)
	if d.Limited || limit == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, limit, &note.Failure{Class: codes.ClassTimeout,
		Message: fmt.Sprintf("the phase %s took longer than %v, although at most about %v was expected: the "+
			"engine may "+
			"be stuck", d.doing, limit.Round(time.Second), max(run, phase).Round(time.Second)),
		Next: "see the engine's log; if it is just slow, set a limit: --timeout, or execution.run_timeout"})
}
