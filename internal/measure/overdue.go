package measure

import (
	"context"
	"fmt"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

const (
	// overdueFactor is how many times as long as expected a phase may take.
	overdueFactor = 10
	// overdueLeast is how long each may take in any case.
	overdueLeast = 30 * time.Minute
)

// overdueAfter is how long a phase may take of which so much is expected; 0 is no limit, as
// where nothing is.
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

// bounded is the context of a phase of a run that has no time limit of its own. It ends, with
// a failure as its cause, when the phase takes much longer than was expected: of the run as it
// is estimated, and of the phase by the one before, where that is known.
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
		Message: fmt.Sprintf("the phase %s took longer than %v, though about %v was expected at most: the engine may "+
			"wait for something in a loop", d.doing, limit.Round(time.Second), max(run, phase).Round(time.Second)),
		Next: "see the engine's log; if it only is that slow, set a limit: --timeout, or execution.run_timeout"})
}
