package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// samples calls check with random pairs of samples of many sizes and shapes.
func samples(t *testing.T, check func(t *testing.T, a, b []float64)) {
	t.Helper()
	rng := rand.New(rand.NewPCG(11, 13))
	for _, n := range []int{2, 3, 5, 12, 16, 25} {
		for shape := range 3 {
			a, b := make([]float64, n), make([]float64, n)
			for _, v := range [][]float64{a, b} {
				for i := range v {
					switch shape {
					case 0:
						v[i] = 50 + rng.NormFloat64()
					case 1:
						v[i] = math.Exp(rng.NormFloat64())
					case 2: // ties
						v[i] = float64(1 + rng.IntN(4))
					}
				}
			}
			check(t, a, b)
		}
	}
}

func mapped(values []float64, f func(v float64) float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = f(v)
	}
	return out
}

// same compares estimates up to rounding relative to their size.
func same(a, b Estimate) bool {
	if a.HasInterval() != b.HasInterval() || a.Method != b.Method {
		return false
	}
	slack := 1e-9 * math.Abs(a.Value)
	return math.Abs(a.Value-b.Value) <= slack && (!a.HasInterval() ||
		math.Abs(a.Low-b.Low) <= slack && math.Abs(a.High-b.High) <= 1e-9*max(math.Abs(a.Value), math.Abs(a.High)))
}

var quick = Options{Resamples: 400, Seed: 5}

func TestScaleAndShift(t *testing.T) {
	samples(t, func(t *testing.T, a, b []float64) {
		move := func(v float64) float64 { return 4*v + 16 }
		moveBack := func(e Estimate) Estimate {
			e.Value, e.Low, e.High = (e.Value-16)/4, (e.Low-16)/4, (e.High-16)/4
			return e
		}
		for _, statistic := range []Statistic{Mean, Median} {
			e, _ := BCa(a, statistic, quick)
			f, _ := BCa(mapped(a, move), statistic, quick)
			if !same(e, moveBack(f)) {
				t.Errorf("BCa of %v: %+v, moved %+v", a, e, moveBack(f))
			}
		}
		m, _ := MeanInterval(a, 0)
		n, _ := MeanInterval(mapped(a, move), 0)
		if !same(m, moveBack(n)) {
			t.Errorf("mean of %v: %+v, moved %+v", a, m, moveBack(n))
		}
		for _, paired := range []bool{true, false} {
			c, _ := Compare(a, b, paired, quick)
			scale := func(v float64) float64 { return 1024 * v }
			d, _ := Compare(mapped(a, scale), mapped(b, scale), paired, quick)
			shifted, _ := Compare(mapped(a, move), mapped(b, move), paired, quick)
			if c.Permutation != d.Permutation || !near(c.P, d.P, 1e-6) || !same(c.Ratio, d.Ratio) ||
				math.Abs(c.Permutation.P-shifted.Permutation.P) > 1e-12 {
				t.Errorf("compare (paired %v) %v with %v: %+v, scaled %+v, shifted %+v", paired, a, b, c, d,
					shifted.Permutation)
			}
		}
		x, _ := Drift(nil, a, quick)
		y, _ := Drift(nil, mapped(a, move), quick)
		y.Slope.Value, y.Slope.Low, y.Slope.High = y.Slope.Value/4, y.Slope.Low/4, y.Slope.High/4
		if x.P != y.P || math.Abs(x.Slope.Value-y.Slope.Value) > 1e-9 || math.Abs(x.Slope.Low-y.Slope.Low) > 1e-9 {
			t.Errorf("drift of %v: %+v, moved %+v", a, x, y)
		}
	})
}

func TestOrderDoesNotMatter(t *testing.T) {
	samples(t, func(t *testing.T, a, b []float64) {
		x, y := slices.Clone(a), slices.Clone(b)
		slices.Reverse(x)
		slices.Reverse(y)
		e, _ := BCa(a, Mean, quick)
		f, _ := BCa(x, Mean, quick)
		if e.Low != f.Low && !math.IsNaN(e.Low) || e.High != f.High && !math.IsNaN(e.High) {
			t.Errorf("BCa of %v: %+v, reversed %+v", a, e, f)
		}
		for _, paired := range []bool{true, false} {
			c, _ := Compare(a, b, paired, quick)
			d, _ := Compare(x, y, paired, quick)
			if c.Permutation != d.Permutation || c.P != d.P || c.Ratio.Low != d.Ratio.Low ||
				c.Ratio.High != d.Ratio.High {
				t.Errorf("compare (paired %v) %v with %v: %+v, reversed %+v", paired, a, b, c, d)
			}
		}
		up, _ := Drift(nil, a, quick)
		down, _ := Drift(nil, x, quick)
		if up.S != -down.S || up.P != down.P {
			t.Errorf("drift of %v: %+v, reversed %+v", a, up, down)
		}
	})
}

// Held the other way round, exact tests have the same p and ratios turn over.
func TestCompareIsSymmetric(t *testing.T) {
	samples(t, func(t *testing.T, a, b []float64) {
		for _, paired := range []bool{true, false} {
			c, _ := Compare(a, b, paired, quick)
			d, _ := Compare(b, a, paired, quick)
			if c.Permutation.Exact && math.Abs(c.Permutation.P-d.Permutation.P) > 1e-12 ||
				!near(c.P, d.P, 1e-9) || !near(c.Ratio.Value, 1/d.Ratio.Value, 1e-12) {
				t.Errorf("paired %v: %+v, swapped %+v", paired, c, d)
			}
			if c.Ratio.Method == MethodStudent &&
				(!near(c.Ratio.Low, 1/d.Ratio.High, 1e-9) || !near(c.Ratio.High, 1/d.Ratio.Low, 1e-9)) {
				t.Errorf("paired %v: ratio %+v, swapped %+v", paired, c.Ratio, d.Ratio)
			}
			if p := c.Permutation; p.P < p.SmallestP*(1-1e-12) || p.P > 1 || p.P < 0 {
				t.Errorf("%+v", p)
			}
		}
	})
}

func TestIntervalsHoldTheirValue(t *testing.T) {
	samples(t, func(t *testing.T, a, b []float64) {
		m, _ := MeanInterval(a, 0)
		c, _ := Compare(a, b, false, quick)
		d, _ := Drift(nil, a, quick)
		for _, e := range []Estimate{m, c.Ratio, d.Slope} {
			if e.HasInterval() && !(e.Low <= e.Value && e.Value <= e.High) {
				t.Errorf("%+v", e)
			}
		}
		if d.P < 0 || d.P > 1 || math.Abs(d.Tau) > 1+1e-12 {
			t.Errorf("%+v", d)
		}
	})
}

func TestHolmProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	for range 200 {
		p := make([]float64, rng.IntN(12))
		for i := range p {
			p[i] = float64(rng.IntN(50)) / 49
		}
		got, err := Holm(p)
		if err != nil {
			t.Fatal(err)
		}
		for i := range p {
			if got[i] < p[i] || got[i] > 1 || got[i] > float64(len(p))*p[i] && p[i] == slices.Min(p) {
				t.Fatalf("Holm(%v) = %v", p, got)
			}
			for j := range p {
				if p[i] < p[j] && got[i] > got[j] || p[i] == p[j] && got[i] != got[j] {
					t.Fatalf("Holm(%v) = %v: order changed", p, got)
				}
			}
		}
	}
}
