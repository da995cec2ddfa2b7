package measure

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// TestOverdue: a window that lasts much longer than expected ends, and says so; one of a run
// with a limit of its own does not, nor one of which nothing is expected.
func TestOverdue(t *testing.T) {
	expect := func(d time.Duration) func(study.Experiment) time.Duration {
		return func(study.Experiment) time.Duration { return d }
	}
	for name, q := range map[string]struct {
		expected func(study.Experiment) time.Duration
		limited  bool
		warm     time.Duration // of one of three batches
		after    time.Duration // the limit; 0 is none
	}{
		"short":                    {expect(time.Second), false, 0, 30 * time.Minute},
		"long":                     {expect(time.Hour), false, 0, 10 * time.Hour},
		"known from the warm-up":   {expect(0), false, 4 * time.Minute, 2 * time.Hour},
		"the warm-up was slower":   {expect(time.Minute), false, 4 * time.Minute, 2 * time.Hour},
		"with a limit of its own":  {expect(time.Second), true, 0, 0},
		"nothing is known":         {nil, false, 0, 0},
		"it cannot be estimated":   {expect(0), false, 0, 0},
		"a warm-up, and its limit": {expect(time.Second), true, time.Minute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				l.options.Meters, l.options.Expected, l.options.Limited = nil, q.expected, q.limited
				l.warm = q.warm
				if l.options.Experiment.Warmup.Runs = 0; q.warm > 0 {
					l.options.Experiment.Warmup.Runs = 1
				}
				const ever = 100 * time.Hour
				var lasted time.Duration
				l.run = func(ctx context.Context, _ backend.Workload) error {
					began := time.Now()
					defer func() { lasted = time.Since(began) }()
					select {
					case <-ctx.Done():
						return context.Cause(ctx)
					case <-time.After(ever):
						return nil
					}
				}
				if q.after == 0 {
					q.after = ever
					l.options.Experiment.Energy.Sources = "none"
				}
				out, err := Run(t.Context(), l.options)
				if err != nil {
					t.Fatal(err)
				}
				if off := lasted - q.after; off < -q.after/10 || off > q.after/10 {
					t.Errorf("it lasted %v, want %v", lasted, q.after)
				}
				r := out.Record
				if q.after == ever {
					return
				}
				if r.Status != result.Failed || r.Failure.Class != codes.ClassTimeout ||
					!strings.Contains(r.Failure.Message, "the phase measure took longer than") ||
					!strings.Contains(r.Failure.Next, "execution.run_timeout") {
					t.Errorf("%s with %+v", r.Status, r.Failure)
				}
			})
		})
	}
}
