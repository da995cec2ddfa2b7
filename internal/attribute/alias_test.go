package attribute

import (
	"math"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/power"
)

// TestSeenPart: seenPart inverts the swing of pulses of a quarter period.
func TestSeenPart(t *testing.T) {
	for _, part := range []float64{0.25, 0.4, 0.6, 0.75, 0.8, 0.95, 1} {
		low, high := math.Inf(1), 0.0
		for phase := range 1000 {
			const n = 1000
			seen := 0.0
			for i := range n { // the pulse is in the first quarter of the period
				if at := math.Mod(float64(phase)/1000+part*(float64(i)+0.5)/n, 1); at < 0.25 {
					seen += 1. / n
				}
			}
			low, high = min(low, seen), max(high, seen)
		}
		near(t, "part", seenPart((high-low)/2/0.25), part, 0.02)
	}
	if f := seenPart(10); f != 0.25 {
		t.Errorf("the part of an impossible swing is %.2f, want 0.25", f)
	}
}

func TestAliasing(t *testing.T) {
	reading := power.Reading{Refresh: 100 * time.Millisecond}
	slow := func(t int64) float64 { // 370 ms is in step with nothing
		if t%(370*ms) < 150*ms {
			return 600
		}
		return 200
	}
	inStep := func(t int64) float64 {
		if t%(100*ms) < 40*ms {
			return 600
		}
		return 200
	}
	half := func(watts func(int64) float64, seconds int64, swing float64) float64 {
		c := curve(t, series(-1000*ms, (seconds+1)*1000*ms, 20*ms, watts))
		w := Window{0, seconds * 1000 * ms}
		e, err := c.Integral(w)
		if err != nil {
			t.Fatal(err)
		}
		return Aliasing(e.Joules, swing, reading, c, w) / e.Joules
	}
	if h := half(slow, 10, 0); h != 0 {
		t.Errorf("a counter that misses nothing: %.2f %%, want none", 100*h)
	}
	if h := half(func(int64) float64 { return 400 }, 10, 2); h > 0.008 {
		t.Errorf("steady power: %.2f %%, want only the edges", 100*h)
	}
	ten, forty := half(slow, 10, 2), half(slow, 40, 2)
	if ten < 0.02 || ten > 0.15 || forty < 0.4*ten || forty > 0.6*ten {
		t.Errorf("random phases: %.2f %% in 10 s and %.2f %% in 40 s, want half as much", 100*ten, 100*forty)
	}
	if a, b := half(inStep, 10, 2), half(inStep, 40, 2); a < 0.5 || b < 0.9*a {
		t.Errorf("in step: %.0f %% in 10 s and %.0f %% in 40 s, want as much", 100*a, 100*b)
	}
	if a, b := half(slow, 10, 0.12), half(slow, 10, 2); a > b/5 {
		t.Errorf("a swing of 12 %%: %.2f %%, of 200 %%: %.2f %%, want much less", 100*a, 100*b)
	}
	if h := Aliasing(1000, 2, reading, nil, Window{0, 10_000 * ms}) / 1000; h < 0.03 || h > 0.06 {
		t.Errorf("without a series: %.2f %%, want a scatter of 20 %%", 100*h)
	}
}
