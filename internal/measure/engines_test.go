package measure

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// adaptable is an engine that prints a line when it takes other settings.
type adaptable struct {
	*stub
	refuses error
	adapted int
}

// Start gives the session that can adapt.
func (a *adaptable) Start(ctx context.Context, spec backend.Spec) (backend.Session, error) {
	if _, err := a.stub.Start(ctx, spec); err != nil {
		return nil, err
	}
	return a, a.print("started")
}

// Adapt takes a specification, or does not.
func (a *adaptable) Adapt(_ context.Context, spec backend.Spec) error {
	if a.refuses != nil {
		return a.refuses
	}
	a.adapted++
	a.spec.BatchSize = spec.BatchSize
	return a.print("adapted")
}

func (a *adaptable) print(line string) error {
	f, err := os.OpenFile(a.spec.LogPath, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}

// reuseLab measures one run after the other on engines that may be kept.
func reuseLab(t *testing.T) (*lab, *adaptable, func() *result.Record) {
	l := newLab(t)
	a := &adaptable{stub: l.stub}
	l.options.Backend, l.options.Engines = a, &Engines{Clock: l.clock}
	l.options.Meters = []power.Meter{l.newMeter(gpu0)}
	l.options.Experiment.Baseline = study.Baseline{Seconds: 0.3, ResidentSeconds: 0.2, MaxAgeSeconds: 60}
	t.Cleanup(func() { _ = l.options.Engines.Close() })
	runs := 0
	return l, a, func() *result.Record {
		t.Helper()
		runs++
		l.mu.Lock()
		l.start, l.batches = 0, 0
		l.mu.Unlock()
		l.options.LogPath = filepath.Join(t.TempDir(), "engine.log")
		out, err := Run(t.Context(), l.options)
		if err != nil || out.Record.Status != result.OK {
			t.Fatalf("run %d: %v, %+v", runs, err, out.Record.Failure)
		}
		return out.Record
	}
}

// log is what is in the log of the last run.
func (l *lab) log(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(l.options.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestEngineServesTheNextRun: it is started once, every run has its own part of the
// log, and net energy keeps the idle power from before the start, with its age.
func TestEngineServesTheNextRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, a, run := reuseLab(t)
		first := run()
		if a.adapted != 0 || a.closed != 0 || first.Backend.EngineRun != 1 || l.log(t) != "started\n" {
			t.Fatalf("first run: adapted %d times, closed %d times, engine_run %d, log %q", a.adapted, a.closed,
				first.Backend.EngineRun, l.log(t))
		}
		second := run()
		if a.adapted != 1 || a.closed != 0 || second.Backend.EngineRun != 2 || l.log(t) != "adapted\n" {
			t.Errorf("second run: adapted %d times, closed %d times, engine_run %d, log %q", a.adapted, a.closed,
				second.Backend.EngineRun, l.log(t))
		}
		bare, again := first.Energy.Devices[0].Bare, second.Energy.Devices[0].Bare
		if bare.AgeS != 0 || again.AgeS <= 0 || again.W != bare.W || second.Energy.NetJ == nil {
			t.Errorf("idle power %+v, then %+v; net %v", bare, again, second.Energy.NetJ)
		}
		if r := second.Energy.Devices[0].Resident; r == nil || r.AgeS != 0 || r.W <= 0 {
			t.Errorf("idle power with the model loaded = %+v, want one of this run", r)
		}
		if w := l.options.Engines.Resting(); w["gpu0"] <= 0 {
			t.Errorf("resting at %v", w)
		}
		kept := l.options.Engines.kept.log
		if err := l.options.Engines.Close(); err != nil || a.closed == 0 {
			t.Errorf("close: %v, closed %d times", err, a.closed)
		}
		if _, err := os.Stat(kept); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the engine's log is still there: %v", err)
		}
	})
}

// TestEngineIsStartedAnew where it cannot serve, or must not.
func TestEngineIsStartedAnew(t *testing.T) {
	for name, change := range map[string]func(*lab, *adaptable){
		"other settings":   func(l *lab, _ *adaptable) { l.options.Experiment.DType = "bfloat16" },
		"no baseline kept": func(l *lab, _ *adaptable) { l.options.Experiment.Baseline.MaxAgeSeconds = 0 },
		"old baseline": func(l *lab, _ *adaptable) {
			l.options.Engines.kept.since = time.Now().Add(-time.Hour)
		},
		"refused": func(_ *lab, a *adaptable) { a.refuses = errors.New("the cache is too small") },
	} {
		t.Run(name, virtually(func(t *testing.T) {
			l, a, run := reuseLab(t)
			run()
			change(l, a)
			r := run()
			if r.Backend.EngineRun != 1 || a.adapted != 0 || a.closed == 0 {
				t.Errorf("engine_run %d, adapted %d times, closed %d times", r.Backend.EngineRun, a.adapted, a.closed)
			}
			if bare := r.Energy.Devices[0].Bare; bare == nil || bare.AgeS != 0 || bare.W <= 0 {
				t.Errorf("idle power %+v, want a new one", bare)
			}
			if _, told := warned(r, codes.EngineRestarted); told != (name == "refused") {
				t.Errorf("warnings %+v", r.Warnings)
			}
		}))
	}
}

// TestFailedRunLeavesNoEngine: what failed is not used again, and its log is kept.
func TestFailedRunLeavesNoEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, a, run := reuseLab(t)
		run()
		a.run = func(context.Context, backend.Workload) error { return errors.New("out of luck") }
		l.options.LogPath = filepath.Join(t.TempDir(), "engine.log")
		out, err := Run(t.Context(), l.options)
		if err != nil || out.Record.Status != result.Failed || a.closed == 0 || l.options.Engines.kept != nil {
			t.Errorf("%v, status %s, closed %d times, kept %v", err, out.Record.Status, a.closed,
				l.options.Engines.kept)
		}
		if l.log(t) != "adapted\n" {
			t.Errorf("log %q", l.log(t))
		}
	})
}

// TestLaterRunKnowsTheNeighbours: a process that was there before the engine is still known
// as such to a later run on the engine, and not taken for the engine's.
func TestLaterRunKnowsTheNeighbours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, run := reuseLab(t)
		l.options.Meters = []power.Meter{&crowded{meter: l.newMeter(gpu0), list: func() map[string][]power.GPUProcess {
			return map[string][]power.GPUProcess{"gpu0": {{PID: 1}}}
		}}}
		for n := 1; n <= 2; n++ {
			msg, told := warned(run(), codes.GPUForeignWork)
			if !told || !strings.Contains(msg, "gpu0: process 1 was on the GPU in the window") {
				t.Errorf("run %d: warning %q, want one about the process that was there before", n, msg)
			}
		}
	})
}
