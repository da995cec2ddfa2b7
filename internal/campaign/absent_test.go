package campaign

import (
	"errors"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// without makes an engine of one batch size one that is not installed.
func without(batch int) func(study.Experiment) *note.Failure {
	f := note.Failf(codes.ClassNotInstalled, "install it", "it is not installed")
	return func(e study.Experiment) *note.Failure {
		if e.BatchSize() == batch {
			return f
		}
		return nil
	}
}

// TestAbsentEngine: the runs of an engine that is not installed are recorded before any other run starts, with one
// note, and none of them is started; they are not repeated while it is missing, and run once it is there.
func TestAbsentEngine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &stub{failing: 99}
		c := newCampaign(t, e, newStudy(t, 2, study.Execution{Cycles: 3, Order: terms.Interleave}))
		var told []string
		c.options.Absent = without(2)
		c.options.Emit = func(q event.Event) {
			switch q := q.(type) {
			case event.Note:
				if q.Code == codes.EngineMissing {
					told = append(told, q.Message)
				}
			case event.RunFinished:
				told = append(told, q.Status)
			}
		}
		res, err := Run(t.Context(), c.options)
		if err != nil || res.OK != 3 || res.Failed != 3 || res.LeftOut != 0 || !res.Complete || e.runs != 3 {
			t.Fatalf("%v, %d ok, %d failed, %d left out, %d runs, want 3 ok and 3 failed", err, res.OK, res.Failed,
				res.LeftOut, e.runs)
		}
		want := "embedded: it is not installed; not started, recorded as failed: 3 runs|failed|failed|failed|ok|ok|ok"
		if got := strings.Join(told, "|"); got != want {
			t.Errorf("told %s, want %s", got, want)
		}
		for _, r := range res.Runs {
			if f := r.Failure; f != nil && (f.Class != codes.ClassNotInstalled || f.Next != "install it") {
				t.Errorf("failure %+v, want the one of the missing engine", f)
			}
		}
		c.options.Resume, c.options.RetryFailed, told = res.Dir, true, nil
		if res, err = Run(t.Context(), c.options); err != nil || res.Failed != 3 || len(told) > 0 {
			t.Errorf("%v, %d failed, told %v, want nothing repeated while the engine is missing", err, res.Failed, told)
		}
		c.options.Absent = nil
		if res, err = Run(t.Context(), c.options); err != nil || res.OK != 6 || res.Failed != 0 {
			t.Errorf("%v, %d ok, %d failed, want all ok once the engine is there", err, res.OK, res.Failed)
		}
	})
}

// TestAbsentFailFast: with --fail-fast, the first missing engine ends a study that is resumed.
func TestAbsentFailFast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCampaign(t, &stub{failing: 99}, newStudy(t, 2, study.Execution{Cycles: 3, Order: terms.Interleave}))
		c.options.Absent, c.options.FailFast = without(2), true
		res, err := Run(t.Context(), c.options)
		if err != nil || res.OK != 0 || res.Failed != 1 || res.Ended != result.EndFailFast {
			t.Errorf("%v, %d ok, %d failed, ended %s, want the first failure to end it", err, res.OK, res.Failed,
				res.Ended)
		}
	})
}

// TestAbsentOnWorker: a worker leaves the runs of an engine that it lacks to a worker that has it, and records them as
// failed if there is none.
func TestAbsentOnWorker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newTeam(t, newStudy(t, 2, threeCycles))
		lacks := m.worker("lacks", func(o *Options, _ *stub) { o.Absent = without(2) })
		_, errs := m.run(lacks, m.worker("has", func(o *Options, _ *stub) { o.NoGaps = true }))
		for _, err := range errs {
			if err != nil && !strings.Contains(err.Error(), "embedded: it is not installed; this worker leaves ") {
				t.Error(err)
			}
		}
		if sum := m.complete(6); sum.OK != 6 {
			t.Errorf("%d ok, want all 6: the worker that has the engine executes its runs", sum.OK)
		}
		alone := newTeam(t, newStudy(t, 2, threeCycles))
		worker := alone.worker("lacks", func(o *Options, _ *stub) { o.Absent = without(2) })
		if _, err := Run(t.Context(), worker); err != nil && !errors.Is(err, errLeftOut) {
			t.Fatal(err)
		}
		if sum := alone.complete(6); sum.OK != 3 || sum.Failed != 3 {
			t.Errorf("%d ok, %d failed, want 3 of each", sum.OK, sum.Failed)
		}
	})
}
