package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestProportion: Wilson's interval; the reference values come from his formula in another program.
func TestProportion(t *testing.T) {
	for _, c := range []struct {
		k, n      int
		low, high float64
	}{
		{0, 20, 0, 0.16112516}, {20, 20, 0.83887484, 1}, {95, 100, 0.88824953, 0.97845632},
		{1, 10, 0.01787621, 0.40415003},
	} {
		e := Proportion(c.k, c.n, 0)
		if !near(e.Low, c.low, 1e-6) && math.Abs(e.Low-c.low) > 1e-8 || !near(e.High, c.high, 1e-6) {
			t.Errorf("%d of %d: [%.8f, %.8f], want [%.8f, %.8f]", c.k, c.n, e.Low, e.High, c.low, c.high)
		}
	}
	if whole, part := Proportion(90, 100, 0), Proportion(90, 100, 25); part.High-part.Low < 1.5*(whole.High-whole.Low) {
		t.Errorf("25 independent of 100: width %v, want about twice %v", part.High-part.Low, whole.High-whole.Low)
	}
	if e := Proportion(0, 0, 0); !math.IsNaN(e.Value) || e.HasInterval() {
		t.Errorf("0 of 0: %+v", e)
	}
}

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
