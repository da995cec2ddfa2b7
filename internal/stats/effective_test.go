package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestEffectiveSize: n (1 − a)/(1 + a) of a first-order autoregression, n of independent values.
func TestEffectiveSize(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, a := range []float64{0, 0.5, 0.9} {
		const n = 20000
		values, x := make([]float64, n), 0.0
		for i := range values {
			x = a*x + r.NormFloat64()
			values[i] = x
		}
		if got, want := EffectiveSize(values), n*(1-a)/(1+a); math.Abs(got/want-1) > 0.15 {
			t.Errorf("autocorrelation %v: %.0f, want about %.0f", a, got, want)
		}
	}
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{1, 2}, 2}, {[]float64{3, 3, 3, 3, 3, 3}, 6}} {
		if got := EffectiveSize(c.values); got != c.want {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
	}
}

// TestIntervalSize: the interval of the mean of few values that resemble their neighbours covers the true mean about as
// often as it should, which the effective size alone does not reach.
func TestIntervalSize(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const a, n, runs = 0.9, 200, 1000
	covered, plain := 0, 0
	for range runs {
		values, x := make([]float64, n), r.NormFloat64()/math.Sqrt(1-a*a)
		for i := range values {
			x = a*x + r.NormFloat64()
			values[i] = x
		}
		s, _ := Summarize(values)
		if math.Abs(s.Mean) <= 1.96*s.SD/math.Sqrt(IntervalSize(values)) {
			covered++
		}
		if math.Abs(s.Mean) <= 1.96*s.SD/math.Sqrt(EffectiveSize(values)) {
			plain++
		}
	}
	t.Logf("covered %d of %d, %d by the effective size", covered, runs, plain)
	if covered < 900 || covered > 990 || plain > covered-25 {
		t.Errorf("covered %d of %d, %d by the effective size", covered, runs, plain)
	}
}
