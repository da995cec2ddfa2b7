package sim

import (
	"context"
	"errors"
	"math"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/power"
)

const ms = time.Millisecond

// TestMain removes the library that the tests have built.
func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(built.dir)
	os.Exit(code)
}

var built struct {
	sync.Once
	dir, path string
	err       error
}

// library compiles the imitated NVML once for all tests; a process keeps the first
// one that it loads.
func library(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		//nolint:usetesting // the library outlives the test that builds it
		if built.dir, built.err = os.MkdirTemp("", "llem-sim-lib-"); built.err == nil {
			built.path, built.err = Build(context.Background(), built.dir)
		}
	})
	if errors.Is(built.err, ErrUnavailable) {
		t.Skip(built.err)
	}
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// simulate runs a scenario in a bubble.
func simulate(t *testing.T, s Scenario) (out *Outcome) {
	t.Helper()
	lib, dir := library(t), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		o, err := Run(t.Context(), lib, dir, s)
		if err != nil {
			t.Fatal(err)
		}
		out = o
	})
	return out
}

// plainModel draws 600 W in prefill and 400 W in decoding.
func plainModel() Model {
	return Model{
		BareW: 78, IdleW: 125, StaticW: 180,
		WeightsJ: 0.9, PrefillJ: 0.05, AttentionJ: 1e-5, DecodeJ: 0.05, CacheJ: 2e-5,
		Time: Times{Weights: 0.006, Prefill: 0.00012, Decode: 0.0004, Cache: 2e-7},
	}
}

func repeat(n, count int) []int {
	out := make([]int, count)
	for i := range out {
		out[i] = n
	}
	return out
}

func plainScenario() Scenario {
	return Scenario{
		Engine:  EngineOptions{Model: plainModel(), BatchSize: 8},
		Prompts: repeat(200, 64), OutputTokens: 120, Bare: 3 * time.Second, Resident: 3 * time.Second, Warmup: 1,
	}
}

// TestRun: what the sensors say of a plain run is near the truth, and the truth
// adds up.
func TestRun(t *testing.T) {
	for _, batching := range []string{Static, Continuous} {
		t.Run(batching, func(t *testing.T) {
			s := plainScenario()
			s.Engine.Batching = batching
			o := simulate(t, s)
			if len(o.Trace.Errors) > 0 || len(o.Trace.Gaps) > 0 {
				t.Errorf("errors %v, gaps %v", o.Trace.Errors, o.Trace.Gaps)
			}
			checkTruth(t, o)
			checkSensors(t, o)
			for name, idle := range map[string]*Idle{"bare": o.Bare, "resident": o.Resident} {
				watts := map[string]float64{"bare": s.Engine.Model.BareW, "resident": s.Engine.Model.IdleW}[name]
				if got := idle.Joules / digits.Seconds(idle.Window.End-idle.Window.Start); !near(got, watts, 1e-9) {
					t.Errorf("%s: %v W, want %v", name, got, watts)
				}
			}
		})
	}
}

// near compares with a relative tolerance.
func near(got, want, tolerance float64) bool { return math.Abs(got-want) <= tolerance*math.Abs(want) }

// checkTruth: phases and idle make the total, and the bounds hold the share.
func checkTruth(t *testing.T, o *Outcome) {
	t.Helper()
	if sum := o.Truth.Prefill.Joules + o.Truth.Decode.Joules + o.Truth.Idle; !near(sum, o.Truth.Total, 1e-9) {
		t.Errorf("phases make %v J, the total is %v J", sum, o.Truth.Total)
	}
	for name, p := range map[string]PhaseTruth{"prefill": o.Truth.Prefill, "decode": o.Truth.Decode} {
		if p.Low < 0 || p.Low > p.Joules*(1+1e-9) || p.High < p.Joules*(1-1e-9) {
			t.Errorf("%s: %+v", name, p)
		}
	}
	// Both phases of a mixed step claim its shared part.
	claims := o.Truth.Prefill.High + o.Truth.Decode.High - o.Truth.Prefill.Joules - o.Truth.Decode.Joules
	if gives := o.Truth.Prefill.Joules +
		o.Truth.Decode.Joules - o.Truth.Prefill.Low - o.Truth.Decode.Low; math.Abs(claims-gives) > 1e-6*o.Truth.Total {
		t.Errorf("bounds are not symmetric: %v and %v", claims, gives)
	}
}

// checkSensors compares counter and series with the true energy.
func checkSensors(t *testing.T, o *Outcome) {
	t.Helper()
	var first, last *power.Reading
	for i := range o.Trace.Counters {
		if r := &o.Trace.Counters[i]; r.Snapped {
			if first == nil {
				first = r
			}
			last = r
		}
	}
	if first == nil || first == last {
		t.Fatalf("counters %+v", o.Trace.Counters)
	}
	want := o.Curves[0].Joules(first.At(), last.At())
	if got := (last.Energy - first.Energy).Joules(); !near(got, want, 2e-3) {
		t.Errorf("counter %v J, truth %v J", got, want)
	}
	sum := 0.0
	for _, s := range o.Trace.Samples {
		if s.MonoNS > o.Window.Start && s.MonoNS <= o.Window.End {
			sum += float64(s.Power) * s.Window.Seconds()
		}
	}
	if !near(sum, o.Truth.Total, 5e-3) {
		t.Errorf("series %v J, truth %v J", sum, o.Truth.Total)
	}
}

// TestRunRepeats: a scenario always gives the same truth and the same samples.
func TestRunRepeats(t *testing.T) {
	p := Grid(3)[100]
	a, b := simulate(t, p.Scenario), simulate(t, p.Scenario)
	if a.Truth != b.Truth || len(a.Trace.Samples) != len(b.Trace.Samples) {
		t.Fatalf("truth %+v and %+v, %d and %d samples", a.Truth, b.Truth, len(a.Trace.Samples), len(b.Trace.Samples))
	}
	for i, s := range a.Trace.Samples {
		if s != b.Trace.Samples[i] {
			t.Fatalf("sample %d: %+v and %+v", i, s, b.Trace.Samples[i])
		}
	}
}

// TestFaults: each fault shows in the trace as it would on a real GPU.
func TestFaults(t *testing.T) {
	type want struct{ errors, gaps string }
	const at = 1500 * ms
	for name, c := range map[string]struct {
		edit func(*Faults, time.Duration)
		want want
	}{
		"lost": {func(f *Faults, now time.Duration) { f.LostAfter = now + at }, want{errors: "GPU is lost"}},
		"denied": {func(f *Faults, now time.Duration) { f.DeniedAfter = now + at },
			want{errors: "Insufficient Permissions"}},
		"reset": {func(f *Faults, now time.Duration) { f.ResetAfter = now + at },
			want{errors: "went backwards", gaps: "went backwards"}},
		"dropout": {func(f *Faults, now time.Duration) { f.DropoutFrom, f.DropoutTo = now+at, now+2*at },
			want{gaps: "the driver's ring holds no samples"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := plainScenario()
			s.Bare, s.Resident = 0, 0
			s.Inject = func(f *File, now time.Duration) { c.edit(&f.Sensors(0).Faults, now) }
			o := simulate(t, s)
			if got := strings.Join(o.Trace.Errors, "; "); !strings.Contains(got, c.want.errors) ||
				c.want.errors == "" && got != "" {
				t.Errorf("errors %q, want %q", got, c.want.errors)
			}
			var reasons []string
			for _, g := range o.Trace.Gaps {
				reasons = append(reasons, g.Reason)
			}
			if got := strings.Join(reasons, "; "); !strings.Contains(got, c.want.gaps) {
				t.Errorf("gaps %q, want %q", got, c.want.gaps)
			}
			checkTruth(t, o)
		})
	}
}

// TestCounterFaults: a jump adds its energy, and a frozen counter keeps its value.
func TestCounterFaults(t *testing.T) {
	ends := func(edit func(*Faults, time.Duration)) (counted float64, o *Outcome) {
		s := plainScenario()
		s.Bare, s.Resident = 0, 0
		s.Inject = func(f *File, now time.Duration) { edit(&f.Sensors(0).Faults, now) }
		o = simulate(t, s)
		c := o.Trace.Counters
		return (c[len(c)-1].Energy - c[0].Energy).Joules(), o
	}
	plain, o := ends(func(*Faults, time.Duration) {})
	jumped, _ := ends(func(f *Faults, now time.Duration) { f.JumpAfter, f.JumpJoules = now+time.Second, 500 })
	if got := jumped - plain; math.Abs(got-500) > 0.01 {
		t.Errorf("the counter jumped by %v J, want 500", got)
	}
	frozen, _ := ends(func(f *Faults, now time.Duration) { f.FrozenAfter = now + time.Second })
	if limit := plain * 3 / digits.Seconds(o.Window.End-o.Window.Start); frozen <= 0 || frozen > limit {
		t.Errorf("the frozen counter says %v J, want at most %v", frozen, limit)
	}
}

// TestWallStep: the wall clock of driver and meter jumps.
func TestWallStep(t *testing.T) {
	for _, by := range []time.Duration{-3 * time.Second, 100 * ms, time.Hour} {
		s := plainScenario()
		s.Bare, s.Resident = 0, 0
		s.WallStep, s.WallAfter = by, 2*time.Second
		o := simulate(t, s)
		if got := strings.Join(o.Trace.Errors, "; "); !strings.Contains(got, "wall clock stepped by "+by.String()) {
			t.Errorf("%v: errors %q", by, got)
		}
		for _, x := range o.Trace.Samples {
			// Whatever the wall clock did, samples lie on their grid.
			if off := (x.MonoNS - virtualBase) % int64(20*ms); off > 2000 && off < int64(20*ms)-2000 {
				t.Fatalf("%v: sample at %d is %v off the grid", by, x.MonoNS, time.Duration(off))
			}
		}
	}
}
