package campaign

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/powerfake"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/internal/tick"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
	"github.com/llenergymeasure/llem/unit"
)

// TestLatinSquare: every place once, and every other one follows equally often.
func TestLatinSquare(t *testing.T) {
	for n := 1; n <= 9; n++ {
		rows, follow := n, 1
		if n%2 == 1 && n > 1 {
			rows, follow = 2*n, 2
		}
		places, after := map[[2]int]int{}, map[[2]int]int{}
		for row := range rows {
			order := latinRow(n, row)
			for i, v := range order {
				places[[2]int{v, i}]++
				if i > 0 {
					after[[2]int{order[i-1], v}]++
				}
			}
		}
		for v := range n {
			for i := range n {
				if got := places[[2]int{v, i}]; got != rows/n {
					t.Errorf("n = %d: experiment %d is %d times at place %d, want %d", n, v, got, i, rows/n)
				}
				if got := after[[2]int{v, i}]; v != i && got != follow {
					t.Errorf("n = %d: %d follows %d %d times, want %d", n, i, v, got, follow)
				}
			}
		}
	}
}

// TestResume: what was made is not made again; what was interrupted is.
func TestResume(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &stub{failing: 2}
		c := newCampaign(t, e, newStudy(t, 3, study.Execution{Cycles: 2, Order: terms.Interleave}))
		ctx, cancel := context.WithCancelCause(t.Context())
		runs := 0
		e.inRun = func(context.Context) {
			if runs++; runs == 3 {
				cancel(errors.New("enough"))
			}
		}
		first, _ := Run(ctx, c.options)
		if first.OK != 2 || first.Failed != 1 || first.Interrupted != 1 || first.Complete {
			t.Fatalf("interrupted: %d ok, %d failed, %d interrupted", first.OK, first.Failed, first.Interrupted)
		}
		e.inRun, e.started = nil, 0
		c.options.Resume = first.Dir
		second, err := Run(t.Context(), c.options)
		if err != nil || !second.Complete || second.OK != 4 || second.Failed != 2 || second.Interrupted != 0 ||
			second.Dir != first.Dir {
			t.Fatalf("%v, complete %v, %d ok, %d failed, %d interrupted", err, second.Complete, second.OK,
				second.Failed,
				second.Interrupted)
		}
		made := map[string]int{}
		for _, ev := range c.events {
			if o, ok := ev.(event.StudyStarted); ok {
				for _, r := range o.Made {
					made[fmt.Sprintf("%s c%d", r.Status, r.Cycle)]++
				}
			}
		}
		if diff := cmp.Diff(map[string]int{"ok c1": 2, "failed c1": 1}, made); diff != "" {
			t.Errorf("runs said to be made already (-want +got):\n%s", diff)
		}
		if e.started != 3 {
			t.Errorf("%d engines were started, want 3: the interrupted run and the two that were left", e.started)
		}
		if tries, _ := filepath.Glob(filepath.Join(first.Dir, result.RunsDir, "*.try1")); len(tries) != 1 {
			t.Errorf("earlier tries %v, want the interrupted run", tries)
		}
		e.failing, e.started, c.options.RetryFailed = 0, 0, true
		third, err := Run(t.Context(), c.options)
		if err != nil || third.OK != 6 || e.started != 2 {
			t.Errorf("failed runs again: %v, %d ok, %d started, want 6 and 2", err, third.OK, e.started)
		}
	})
}

// TestResumeInParallel: two processes do not write to one study.
func TestResumeInParallel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCampaign(t, &stub{}, newStudy(t, 1, study.Execution{Cycles: 1, Order: terms.Sequential}))
		res, err := Run(t.Context(), c.options)
		if err != nil {
			t.Fatal(err)
		}
		dir, _, err := store.Reopen(res.Dir)
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		c.options.Resume = res.Dir
		var locked *disk.LockedError
		if _, err := Run(t.Context(), c.options); !errors.As(err, &locked) {
			t.Errorf("error %v, want one about the other process", err)
		}
	})
}

// TestTornJournal: a torn line is cut off, a run without a line is entered, a
// folder that is missing is made again.
func TestTornJournal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &stub{}
		c := newCampaign(t, e, newStudy(t, 3, study.Execution{Cycles: 1, Order: terms.Sequential}))
		res, err := Run(t.Context(), c.options)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(res.Dir, store.JournalFile)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitAfter(string(text), "\n")
		// the third line is torn
		if err := os.WriteFile(path, []byte(lines[0]+lines[1]+lines[2][:20]), 0o600); err != nil {
			t.Fatal(err)
		}
		// the first run is lost
		if err := os.RemoveAll(filepath.Join(res.Dir, result.RunsDir, res.Runs[0].ID+"-c1")); err != nil {
			t.Fatal(err)
		}
		e.started, c.options.Resume = 0, res.Dir
		again, err := Run(t.Context(), c.options)
		if err != nil || again.OK != 3 || e.started != 1 {
			t.Errorf("%v, %d ok, %d started, want 3 ok and the lost run made again", err, again.OK, e.started)
		}
	})
}

// TestCircuitBreaker: a backend that keeps failing is left out, and made up for.
func TestCircuitBreaker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &stub{failing: 1}
		c := newCampaign(t, e, newStudy(t, 2, study.Execution{Cycles: 4, Order: terms.Sequential, MaxFailures: 2}))
		res, err := Run(t.Context(), c.options)
		if err != nil || e.started != 2 || res.Failed != 2 || res.LeftOut != 6 || res.Left != 6 || res.Complete ||
			res.Ended != result.EndFailures || res.Runs[7].Failure.Class != codes.ClassLeftOut {
			t.Fatalf("%v, %d started, %d failed, %d left out, %d left, ended %s", err, e.started, res.Failed,
				res.LeftOut,
				res.Left, res.Ended)
		}
		if msg := res.Runs[7].Failure.Message; !strings.Contains(msg,
			"2 consecutive runs of random:tiny-llama with embedded") ||
			!strings.Contains(msg, "no memory for batch 1") {
			t.Errorf("message %q", msg)
		}
		e.failing, c.options.Resume = 0, res.Dir
		if res, err = Run(t.Context(), c.options); err != nil || res.OK != 6 || res.Failed != 2 {
			t.Errorf("%v, %d ok, %d failed, want the runs that were left out to be made", err, res.OK, res.Failed)
		}
	})
}

// TestBreakerStartsOver: failures in a row count, and a run that is well ends the row.
func TestBreakerStartsOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := study.Execution{Cycles: 4, Order: terms.Interleave, MaxFailures: 2}
		res, err := Run(t.Context(), newCampaign(t, &stub{failing: 1}, newStudy(t, 2, x)).options)
		if err != nil || res.OK != 4 || res.Failed != 4 || res.LeftOut != 0 {
			t.Errorf("%v, %d ok, %d failed, %d left out, want every second run to fail and none left out", err, res.OK,
				res.Failed, res.LeftOut)
		}
	})
}

// TestUntil: more cycles for what is not known well enough, up to the most.
func TestUntil(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := study.Execution{Cycles: 2, Order: terms.Interleave,
			Until: study.Until{Metric: "throughput.output_tokens_per_s", RelativeHalfWidth: 1e-9, MaxCycles: 4}}
		c := newCampaign(t, &stub{failing: 2}, newStudy(t, 2, x))
		res, err := Run(t.Context(), c.options)
		if err != nil || res.OK != 4 || res.Failed != 2 {
			t.Errorf("%v, %d ok, %d failed, want 4 cycles of what works and 2 of what fails", err, res.OK, res.Failed)
		}
		x.Until.RelativeHalfWidth = 1e9
		c.options.Study = newStudy(t, 1, x)
		if res, err = Run(t.Context(), c.options); err != nil || res.OK != 2 {
			t.Errorf("%v, %d ok, want 2", err, res.OK)
		}
	})
}

// TestStudyTimeout: it ends the run in flight, counts over all parts of the study, and
// more time can be given.
func TestStudyTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &stub{}
		e.inRun = func(ctx context.Context) {
			if e.batch == 2 {
				<-ctx.Done()
			}
		}
		// The limit must let the first run finish on a slow machine.
		const limit = 2 * time.Second
		c := newCampaign(t, e, newStudy(t, 3,
			study.Execution{Cycles: 1, Order: terms.Sequential, StudyTimeout: study.Duration(limit)}))
		res, err := Run(t.Context(), c.options)
		var timeout *TimeoutError
		if !errors.As(err, &timeout) || res.OK != 1 || res.Interrupted != 1 || res.Complete || res.Left != 2 ||
			res.Ended != result.EndTimeout {
			t.Fatalf("%v, %d ok, %d interrupted, complete %v, %d left, ended %s", err, res.OK, res.Interrupted,
				res.Complete, res.Left, res.Ended)
		}
		if f := res.Runs[1].Failure; !strings.Contains(f.Message, "study_timeout") ||
			!strings.Contains(f.Next, "--resume="+res.Dir+" -s execution.study_timeout=4s") {
			t.Errorf("failure %+v does not name the limit", f)
		}
		e.inRun, e.started, c.options.Resume = nil, 0, res.Dir
		if res, err = Run(t.Context(), c.options); !errors.As(err, &timeout) || e.started != 0 || res.Left != 2 {
			t.Errorf("resumed: %v, %d started, %d left, want the time of the first part to count", err, e.started,
				res.Left)
		}
		c.options.Study.Execution.StudyTimeout *= 100
		if res, err = Run(t.Context(), c.options); err != nil || !res.Complete || res.OK != 3 ||
			res.Ended != result.EndComplete {
			t.Errorf("with more time: %v, %d ok, ended %s", err, res.OK, res.Ended)
		}
	})
}

// TestGap: a fixed pause is made, recorded, and left out on demand.
func TestGap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCampaign(t, &stub{},
			newStudy(t, 2, study.Execution{Cycles: 1, Order: terms.Sequential,
				Gap: study.Gap{Mode: terms.GapFixed, Seconds: 3600}}))
		res, err := Run(t.Context(), c.options)
		if err != nil || res.Runs[0].Timing.GapS != 0 || res.Runs[1].Timing.GapS != 3600 {
			t.Errorf("%v, gaps %v and %v s", err, res.Runs[0].Timing.GapS, res.Runs[1].Timing.GapS)
		}
		c.options.NoGaps = true
		if res, err = Run(t.Context(), c.options); err != nil || res.Runs[1].Timing.GapS != 0 {
			t.Errorf("%v, a gap of %v s with NoGaps", err, res.Runs[1].Timing.GapS)
		}
	})
}

func TestAtRest(t *testing.T) {
	r := rest{watts: 100, celsius: 40}
	for _, q := range []struct {
		now  rest
		want string
	}{
		{rest{102, 42}, ""},
		{rest{104, 40}, "104 W, at rest 100 W"},
		{rest{90, 44}, "44 °C, at rest 40 °C"},
		{rest{math.NaN(), math.NaN()}, ""},
	} {
		if got := r.above(q.now, restOf(study.Rest{})); got != q.want {
			t.Errorf("%+v: %q, want %q", q.now, got, q.want)
		}
	}
	if got := r.above(rest{104, 44}, restOf(study.Rest{Degrees: 5})); got != "104 W, at rest 100 W" {
		t.Errorf("with 5 °C allowed: %q", got)
	}
	if got := r.above(rest{104, 44}, restOf(study.Rest{Degrees: 5, PowerPct: 5})); got != "" {
		t.Errorf("with 5 °C and 5 %% allowed: %q", got)
	}
}

// TestGapByCondition: the pause ends when the machine has been at rest for two looks in a
// row, or after the longest wait.
func TestGapByCondition(t *testing.T) {
	const s = time.Second
	for name, q := range map[string]struct {
		busy func(elapsed time.Duration) bool
		want time.Duration
		told bool
	}{
		"at rest":              {func(time.Duration) bool { return false }, 2 * s, false},
		"busy for a time":      {func(e time.Duration) bool { return e < 5*s }, 7 * s, false},
		"rest, and busy again": {func(e time.Duration) bool { return e > s+s/10 && e < 4*s }, 6 * s, false},
		"never at rest":        {func(time.Duration) bool { return true }, 21 * s, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := tick.Virtual()
				fake := powerfake.NewFake(powerfake.FakeOptions{Now: c.Mono, Power: func(e time.Duration) unit.Watts {
					if q.busy(e) {
						return 200
					}
					return 100
				}})
				var notes []note.Code
				o := &Options{Study: newStudy(t, 1,
					study.Execution{Cycles: 1, Gap: study.Gap{Mode: terms.GapByCondition},
						Rest: study.Rest{AtMost: study.Duration(20 * s)}}), Meters: []power.Meter{cold{fake}}, Clock: c,
					Emit: func(e event.Event) {
						if n, ok := e.(event.Note); ok {
							notes = append(notes, n.Code)
						}
					}}
				took, err := o.gap(t.Context(), map[string]rest{"gpu0": {100, math.NaN()}})
				if err != nil || took != q.want || (len(notes) > 0) != q.told {
					t.Errorf("the pause took %v, %v with %v, want %v", took, err, notes, q.want)
				}
			})
		})
	}
}

// cold is a fake that passes for a sensor.
type cold struct{ *powerfake.Fake }

func (r cold) Devices() []power.Device {
	all := r.Fake.Devices()
	for i := range all {
		all[i].Modelled = false
	}
	return all
}

// TestBreakerIsPerModel: another model on the same backend goes on.
func TestBreakerIsPerModel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		study2 := newStudy(t, 2, study.Execution{Cycles: 2, Order: terms.Sequential, MaxFailures: 2})
		study2.Experiments[1].Model = "random:tiny-qwen2"
		res, err := Run(t.Context(), newCampaign(t, &stub{failing: 1}, study2).options)
		if err != nil || res.OK != 2 || res.Failed != 2 || res.LeftOut != 0 {
			t.Errorf("%v, %d ok, %d failed, %d left out, want the other model's runs to be made", err, res.OK,
				res.Failed,
				res.LeftOut)
		}
	})
}

// TestPrecision: what was wanted and not reached is said, and so is what could not be
// measured, once at the start and in the summary.
func TestPrecision(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := study.Execution{Cycles: 2, Order: terms.LatinSquare,
			Until: study.Until{Metric: "throughput.output_tokens_per_s", RelativeHalfWidth: 1e-9, MaxCycles: 3}}
		c := newCampaign(t, &stub{}, newStudy(t, 1, x))
		res, err := Run(t.Context(), c.options)
		if err != nil {
			t.Fatal(err)
		}
		p := res.Experiments[0].Precision
		if p == nil || p.Met || p.Reached == nil || *p.Reached <= 1e-9 || res.OK != 3 || !res.Complete ||
			len(res.Experiments[0].Caveats) != 1 || res.Experiments[0].Caveats[0].Code != codes.PrecisionNotReached {
			t.Errorf("precision %+v after %d runs, caveats %v", p, res.OK, res.Experiments[0].Caveats)
		}
		x.Until.Metric = "energy.per_output_token_j"
		c.options.Study, c.events = newStudy(t, 2, x), nil
		c.options.Study.Execution.Cycles = 3
		c.options.Study.Execution.Until.MaxCycles = 9
		res = c.check(t.Context(), t, nil)
		if res.OK != 6 || len(res.Experiments[0].Caveats) != 1 ||
			res.Experiments[0].Caveats[0].Code != codes.PrecisionUnknown {
			t.Errorf("%d runs, caveats %v", res.OK, res.Experiments[0].Caveats)
		}
		if len(res.Caveats) != 1 || res.Caveats[0].Code != codes.LatinSquareUnbalanced {
			t.Errorf("caveats of the study %v, want 3 cycles of 2 experiments to be unbalanced", res.Caveats)
		}
		notes := ""
		for _, e := range c.events {
			if n, ok := e.(event.Note); ok && n.Code != "engine_restarted" {
				notes += string(n.Code) + " "
			}
		}
		if notes != string(codes.LatinSquareUnbalanced+" "+codes.PrecisionUnknown+" ") {
			t.Errorf("notes %q", notes)
		}
	})
}

// TestInputsAreFrozen: a data set or a GPU that is another one ends the study.
func TestInputsAreFrozen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		data := filepath.Join(t.TempDir(), "prompts.jsonl")
		write := func(text string) {
			if err := os.WriteFile(data, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("{\"prompt\": \"one\"}\n")
		s := newStudy(t, 1, study.Execution{Cycles: 1, Order: terms.Sequential})
		s.Experiments[0].Workload.Dataset = data
		c := newCampaign(t, &stub{}, s)
		card, driver := "NVIDIA H100", "570.1"
		c.options.Snapshot.GPUs = []host.GPU{{Name: &card, DriverVersion: &driver}}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		res, _ := Run(ctx, c.options)
		c.options.Resume = res.Dir
		refused := func(want string) {
			t.Helper()
			var changed *ChangedError
			if _, err := Run(t.Context(), c.options); !errors.As(err, &changed) ||
				!strings.Contains(err.Error(), want) ||
				changed.NextStep() == "" {
				t.Errorf("error %v, want one with %q", err, want)
			}
		}
		write("{\"prompt\": \"two\"}\n")
		refused("the dataset " + data + " has changed since the study began")
		os.Remove(data)
		refused("can no longer be read")
		write("{\"prompt\": \"one\"}\n")
		other := "580.9"
		c.options.Snapshot.GPUs = []host.GPU{{Name: &card, DriverVersion: &other}}
		refused("began on NVIDIA H100 (driver 570.1), but this machine has NVIDIA H100 (driver 580.9)")
		c.options.Snapshot.GPUs = []host.GPU{{Name: &card, DriverVersion: &driver}}
		kernel := "6.1"
		c.options.Snapshot.OS.Kernel = &kernel
		res, err := Run(t.Context(), c.options)
		if err != nil || len(res.Caveats) != 1 || res.Caveats[0].Code != codes.MachinesDiffer {
			t.Errorf("%v, caveats %v, want one on the other host", err, res.Caveats)
		}
		first, err := os.ReadFile(filepath.Join(res.Dir, store.EnvFile))
		if err != nil || strings.Contains(string(first), kernel) {
			t.Errorf("env.json is not from the first part: %v", err)
		}
	})
}
