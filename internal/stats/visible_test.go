package stats

import (
	"math"
	"testing"
)

// The interval leaves out 1 exactly where the test finds a difference.
func TestIntervalAndTestAgree(t *testing.T) {
	samples(t, func(t *testing.T, a, b []float64) {
		for _, paired := range []bool{true, false} {
			for _, factor := range []float64{0.5, 0.98, 1, 1.02, 2} {
				c, err := Compare(a, mapped(b, func(v float64) float64 { return factor * v }), paired, quick)
				if err != nil {
					t.Fatal(err)
				}
				if out := c.Ratio.Low > 1 || c.Ratio.High < 1; out != (c.P < 0.05) {
					t.Errorf("paired %v: ratio %+v, p %v", paired, c.Ratio, c.P)
				}
			}
		}
	})
}

// shapes are distributions of values around 1.
var shapes = []struct {
	name string
	draw func(normal, uniform func() float64) float64
	// least and most are the bounds of the share of equal pairs that are called different: 5 % where the logarithm
	// is normal, fewer for long tails, slightly more for short ones.
	least, most float64
}{
	{"normal, 1 %", func(n, _ func() float64) float64 { return 1 + 0.01*n() }, 0.04, 0.06},
	{"lognormal, 50 %", func(n, _ func() float64) float64 { return math.Exp(0.5 * n()) }, 0.04, 0.06},
	{"uniform", func(_, u func() float64) float64 { return 1 + 0.02*u() }, 0.04, 0.07},
	{"one tail", func(_, u func() float64) float64 { return 1 - 0.01*math.Log(1-u()) }, 0.015, 0.06},
	{"one in ten far off", func(n, u func() float64) float64 {
		if u() < 0.1 {
			return 1 + 0.1*math.Abs(n())
		}
		return 1 + 0.01*n()
	}, 0.01, 0.06},
}

// Of equal pairs 95 % have an interval of the ratio that holds 1, and not many more, whatever the shape.
func TestCoverageOfRatio(t *testing.T) {
	rng := Options{Seed: 4}.generator(9)
	const tests = 4000
	for _, s := range shapes {
		for _, n := range []int{3, 4, 5} {
			missed := map[bool]int{}
			for range tests {
				a, b := make([]float64, n), make([]float64, n)
				for i := range a {
					a[i] = s.draw(rng.NormFloat64, rng.Float64)
					b[i] = s.draw(rng.NormFloat64, rng.Float64)
				}
				for paired, of := range map[bool]func(a, b []float64) contrast{true: contrastPairs,
					false: contrastGroups} {
					if e := of(logs(a), logs(b)).interval(1, 0.95); e.Low > 0 || e.High < 0 {
						missed[paired]++
					}
				}
			}
			for paired, k := range missed {
				share, least := float64(k)/tests, s.least
				if !paired {
					least *= 0.5 // Welch's degrees of freedom are on the safe side for few values
				}
				if share < least || share > s.most {
					t.Errorf("%s, %d values, paired %v: %.3f miss 1, want %v to %v", s.name, n, paired, share, least,
						s.most)
				}
			}
		}
	}
}

// A difference of the size that counts as visible is found as often as is said, whether the scatter is known or comes
// from as few values.
func TestVisibleIsFound(t *testing.T) {
	rng := Options{Seed: 5}.generator(9)
	const tests, sd = 4000, 0.01
	for _, paired := range []bool{true, false} {
		of := contrastGroups
		if paired {
			of = contrastPairs
		}
		for _, n := range []int{3, 5, 8} {
			// The differences of pairs have √2 of the deviation of a value.
			scatter := Scatter{SD: sd, DF: 1e6, Paired: paired}
			if paired {
				scatter.SD *= math.Sqrt2
			}
			visible, found, below := scatter.Visible(n, 0.05), 0, 0
			for range tests {
				a, b := make([]float64, n), make([]float64, n)
				for i := range a {
					a[i], b[i] = sd*rng.NormFloat64(), visible+sd*rng.NormFloat64()
				}
				c := of(a, b)
				if c.test(1) < 0.05 {
					found++
				}
				if c.scatter.likely() < scatter.SD {
					below++
				}
			}
			if share := float64(found) / tests; share < 0.77 || share > 0.83 {
				t.Errorf("paired %v, %d values: %.3f find a difference of %.4f, want 0.8", paired, n, share, visible)
			}
			if share := float64(below) / tests; share < 0.46 || share > 0.54 {
				t.Errorf("paired %v, %d values: %.3f take the scatter for less, want half", paired, n, share)
			}
			if need := scatter.Needed(visible*1.0001, 0.05); need != n {
				t.Errorf("paired %v: %d values are needed for what %d show", paired, need, n)
			}
		}
	}
}

func TestVisibleAtTheEnds(t *testing.T) {
	known := Scatter{SD: 0.01, DF: 4, Paired: true}
	for name, c := range map[string]struct{ got, want float64 }{
		"one value":     {known.Visible(1, 0.05), math.Inf(1)},
		"no scatter":    {Scatter{DF: 4, Paired: true}.Visible(3, 0.05), 0},
		"of no values":  {Scatter{SD: math.NaN(), DF: 0}.Visible(3, 0.05), math.NaN()},
		"nothing to do": {float64(known.Needed(0, 0.05)), 0},
		"far too small": {float64(known.Needed(1e-6, 0.05)), 0},
		"at once":       {float64(known.Needed(10, 0.05)), 2},
	} {
		if c.got != c.want && !(math.IsNaN(c.got) && math.IsNaN(c.want)) {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
	if n, m := PermutationNeeds(true, 0.05), PermutationNeeds(false, 0.05); n != 6 || m != 4 {
		t.Errorf("a permutation test needs %d pairs, %d values on each side", n, m)
	}
}

// Looking after every value stops where the values happen to lie close together. From five on the final interval holds
// the mean in 92 to 95 % of cases, from two on in 87 % at worst: docs/studies.md says so.
func TestRepeatedLooks(t *testing.T) {
	rng := Options{Seed: 7}.generator(9)
	const tests, goal, most = 4000, 0.02, 20
	for _, c := range []struct {
		first               int
		sd, lowest, highest float64
	}{{5, 0.01, 0.935, 0.96}, {5, 0.03, 0.915, 0.945}, {2, 0.03, 0.86, 0.90}} {
		held := 0
		for range tests {
			var values []float64
			for half := math.Inf(1); len(values) < c.first || half > goal && len(values) < most; {
				values = append(values, 1+c.sd*rng.NormFloat64())
				half, _ = RelativeHalfWidth(values)
			}
			if e, _ := MeanInterval(values, 0); e.Low <= 1 && 1 <= e.High {
				held++
			}
		}
		if share := float64(held) / tests; share < c.lowest || share > c.highest {
			t.Errorf("from %d values with a deviation of %v: %.3f of intervals hold the mean, want %v to %v", c.first,
				c.sd,
				share, c.lowest, c.highest)
		}
	}
}
