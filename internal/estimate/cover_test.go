package estimate

import (
	"math"
	"testing"
)

// TestCoverTakesTime: the shapes of a workload are part of the warm-up, within their limit.
func TestCoverTakesTime(t *testing.T) {
	warm := func(seconds float64, prompts int, padded bool, runs int) float64 {
		s := on(t, "llama-3.1-8b", 1, 256, 64)
		s.Work.Prompts, s.Work.Batch, s.Work.Padded = prompts, 1, padded
		s.Around = Around{WarmupRuns: runs, WarmupSeconds: seconds}
		p, err := Estimate(s, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p.Fixed.Warmup
	}
	none := warm(0, 16, true, 1)
	sixteen, same := warm(60, 16, true, 1)-none, warm(60, 16, false, 1)-none
	if math.Abs(sixteen-8*same) > 1e-9 || same <= 0 {
		t.Errorf("16 shapes take %v s, 2 take %v s", sixteen, same)
	}
	if got := warm(60, 1000, true, 1) - none; math.Abs(got-2*sixteen) > 1e-9 {
		t.Errorf("1000 shapes take %v s, 16 take %v s", got, sixteen)
	}
	if got := warm(0.5, 1000, true, 1) - none; math.Abs(got-0.5) > 1e-9 {
		t.Errorf("a limit of 0.5 s gives %v s", got)
	}
	if got := warm(60, 16, true, 0); got != 0 {
		t.Errorf("no warm-up takes %v s", got)
	}
}

// TestLongerWindow: a window may be lengthened for its phases as far as the study allows. It is not lengthened if
// it is already long enough, or without a warm-up to decide by.
func TestLongerWindow(t *testing.T) {
	for name, q := range map[string]struct {
		runs       int
		least, max float64
		want       float64
	}{
		"short":            {1, 0, 30, 30},
		"never lengthened": {1, 0, 0, 0},
		"no warm-up":       {0, 0, 30, 0},
		"long enough":      {1, 60, 30, 0},
	} {
		s := on(t, "llama-3.1-8b", 1, 256, 64)
		s.Around = Around{WarmupRuns: q.runs, MinWindow: q.least, MaxWindow: q.max}
		p, err := Estimate(s, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := 0.0
		if q.want > 0 {
			want = q.want - p.Window.Seconds
		}
		if math.Abs(p.Longer.Seconds-want) > 1e-9 || want > 0 && p.Longer.Energy <= 0 {
			t.Errorf("%s: %+v beside a window of %v s", name, p.Longer, p.Window.Seconds)
		}
	}
}
