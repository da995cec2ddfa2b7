package throughput

import (
	"math"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/result"
)

var begin = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func at(s float64) time.Time { return begin.Add(seconds(s)) }

// TestUse: of two workers, one is slow, comes later and leaves earlier; the parts of their time add up.
func TestUse(t *testing.T) {
	t.Parallel()
	run := func(worker string, end, took float64) Run {
		return Run{worker, at(end), took,
			result.TimeUse{WindowS: 5, IdlePowerS: 1, LoadS: 2, WarmupS: 0.5, RestS: 0.25, ClaimS: 0.1,
				WaitS: 0.15}}
	}
	w := use([]Run{run("a", 10, 10), run("a", 20, 10), run("b", 30, 20)}, map[string][]presence{
		"a": {{at(0), at(90)}}, "b": {{at(10), at(70)}}, "late": {{at(60), at(61)}}})
	if w.Runs != 3 || w.WallS != 30 || w.RunsPerHour != 360 || len(w.Each) != 2 {
		t.Fatalf("%+v", w)
	}
	a, b := w.Each[0], w.Each[1]
	if a.Worker != "a" || a.Runs != 2 || a.PresentS != 30 || a.EndS != 10 || a.WindowS != 10 {
		t.Errorf("a: %+v", a)
	}
	if b.Worker != "b" || b.Runs != 1 || b.PresentS != 20 || b.EndS != 0 {
		t.Errorf("b: %+v", b)
	}
	for _, u := range []result.TimeUse{a.TimeUse, b.TimeUse, w.Total} {
		sum := u.MeasuredS() + u.LoadS + u.WarmupS + u.RestS + u.ClaimS + u.WaitS + u.EndS + u.OtherS
		if math.Abs(sum-u.PresentS) > 1e-9 {
			t.Errorf("the parts of %+v add up to %g", u, sum)
		}
	}
	if w.MeasuredS != 9 || math.Abs(w.Unmeasured-(1-18.0/50)) > 1e-9 {
		t.Errorf("measured %g s by each, %g without", w.MeasuredS, w.Unmeasured)
	}
}

// TestLost: workers that were killed, that came again under their name, and that an earlier version left without the
// times of their presence.
func TestLost(t *testing.T) {
	t.Parallel()
	r := func(worker string, end, took float64) Run {
		return Run{worker, at(end), took, result.TimeUse{WindowS: 1}}
	}
	w := use([]Run{r("killed", 4, 4), r("killed", 8, 4), r("killed", 108, 8), r("old", 50, 10), r("old", 60, 10)},
		map[string][]presence{"killed": {{From: at(0)}, {From: at(100)}}})
	if killed := w.Each[0]; killed.Worker != "killed" || killed.PresentS != 16 || killed.EndS != 0 {
		t.Errorf("%+v", killed)
	}
	if old := w.Each[1]; old.PresentS != 20 || old.EndS != 0 {
		t.Errorf("%+v", old)
	}
	if w.WallS != 8+20+8 {
		t.Errorf("%g s", w.WallS)
	}
	if use([]Run{r("", 4, 4)}, nil) != nil {
		t.Error("a study of one process has workers")
	}
	// A worker that never got a run was idle.
	w = use([]Run{r("a", 10, 10)}, map[string][]presence{"a": {{at(0), at(10)}}, "idle": {{at(0), at(10)}}})
	if idle := w.Each[1]; idle.Runs != 0 || idle.EndS != 10 || w.Unmeasured != 0.95 {
		t.Errorf("%+v, %g", idle, w.Unmeasured)
	}
}
