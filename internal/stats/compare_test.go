package stats

import (
	"math"
	"slices"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

func TestCompareSmall(t *testing.T) {
	none := math.NaN()
	for _, c := range []struct {
		name      string
		a, b      []float64
		paired    bool
		ratio, p  float64
		shuffled  float64 // p of the permutation test
		smallest  float64
		direction Direction
		test      Test
	}{
		{"three pairs", []float64{10, 11, 12}, []float64{8, 9, 9}, true, math.Cbrt(648. / 1320), 0.0118757037, 0.25,
			0.25,
			Decrease, PairedLogs},
		{"three against three", []float64{1, 2, 3}, []float64{4, 5, 6}, false, math.Cbrt(20), 0.0755973528, 0.1, 0.1,
			Increase, WelchLogs},
		{"one against one", []float64{2}, []float64{3}, false, 1.5, none, 1, 1, Increase, NoTest},
		{"one pair", []float64{2}, []float64{3}, true, 1.5, none, 1, 1, Increase, NoTest},
		{"one against two", []float64{2}, []float64{3, 3.1}, false, math.Sqrt(9.3) / 2, none, 2. / 3, 2. / 3, Increase,
			NoTest},
		{"equal in sum", []float64{0.1, 0.2, 0.3}, []float64{0.3, 0.1, 0.2}, true, 1, 1, 1, 0.25, NoChange, PairedLogs},
		{"constant", []float64{2, 2, 2, 2}, []float64{1, 1, 1, 1}, false, 0.5, none, 2. / 70, 2. / 70, Decrease,
			NoTest},
		{"constant quotient", []float64{0.1, 0.2, 0.3}, []float64{0.7, 1.4, 2.1}, true, 7, none, 0.25, 0.25, Increase,
			NoTest},
		{"one side constant", []float64{2, 2, 2}, []float64{3, 3.1, 3.2}, false, math.Cbrt(29.76) / 2, 0.00180530927,
			0.1,
			0.1, Increase, WelchLogs},
		{"negative", []float64{-1, 2, 2, 2}, []float64{1, 1, 1, 1.5}, false, none, 0.879356049, 54. / 70, 2. / 70,
			Decrease,
			WelchT},
		{"all zero", []float64{0, 0, 0}, []float64{0, 0, 0}, true, none, none, 1, 0.25, NoChange, NoTest},
	} {
		got, err := Compare(c.a, c.b, c.paired, Options{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		alike := func(v, want, within float64) bool {
			return math.IsNaN(v) && math.IsNaN(want) || near(v, want, within)
		}
		if !alike(got.Ratio.Value, c.ratio, 1e-12) {
			t.Errorf("%s: ratio %v, want %v", c.name, got.Ratio.Value, c.ratio)
		}
		if !alike(got.P, c.p, 1e-6) || got.Test != c.test || got.Direction != c.direction {
			t.Errorf("%s: p %v of %s, %s, want %v of %s, %s", c.name, got.P, got.Test, got.Direction, c.p, c.test,
				c.direction)
		}
		if p := got.Permutation; c.name != "negative" && !near(p.P, c.shuffled, 1e-12) ||
			!near(p.SmallestP, c.smallest, 1e-12) || !p.Exact {
			t.Errorf("%s: permutation %+v, want %v of at least %v", c.name, p, c.shuffled, c.smallest)
		}
	}
}

// Random arrangements never give p below one in all drawn.
func TestSampledPIsBounded(t *testing.T) {
	for _, paired := range []bool{true, false} {
		got, err := Compare(seq(25), mapped(seq(25), func(v float64) float64 { return v + 100 }), paired,
			Options{Resamples: 199})
		if err != nil || got.Permutation != (Permutation{P: 2. / 200, SmallestP: 2. / 200}) {
			t.Errorf("paired %v: %+v, %v", paired, got, err)
		}
	}
}

// Pairs share what disturbs them, so their ratio is known better than the ratio of the
// same values taken as independent.
func TestPairsAreNarrower(t *testing.T) {
	rng := Options{Seed: 1}.generator(9)
	for _, n := range []int{6, 40} {
		a, b := make([]float64, n), make([]float64, n)
		for i := range a {
			cycle := 100 + 20*rng.Float64()
			a[i], b[i] = cycle+rng.NormFloat64(), 0.95*cycle+rng.NormFloat64()
		}
		pairs, _ := Compare(a, b, true, Options{})
		independent, _ := Compare(a, b, false, Options{})
		if w, v := pairs.Ratio.High-pairs.Ratio.Low, independent.Ratio.High-independent.Ratio.Low; w > v/2 {
			t.Errorf("%d values: width %v as pairs, %v as independent", n, w, v)
		}
		if pairs.P > independent.P {
			t.Errorf("%d values: p %v as pairs, %v as independent", n, pairs.P, independent.P)
		}
	}
}

// With no difference, small p-values are as rare as they claim to be.
func TestPermutationIsValid(t *testing.T) {
	rng := Options{Seed: 2}.generator(9)
	for _, paired := range []bool{true, false} {
		for _, n := range []int{6, 16} {
			const tests = 400
			found := 0
			for range tests {
				a, b := make([]float64, n), make([]float64, n)
				for i := range a {
					a[i], b[i] = math.Exp(rng.NormFloat64()), math.Exp(rng.NormFloat64())
				}
				got, err := Compare(a, b, paired, Options{Resamples: 199})
				if err != nil {
					t.Fatal(err)
				}
				if got.Permutation.P <= 0.05 {
					found++
				}
			}
			// 0.05 and four standard errors.
			if share := float64(found) / tests; share > 0.094 {
				t.Errorf("paired %v, %d values: %.3f of tests have p <= 0.05", paired, n, share)
			}
		}
	}
}

func TestOutliers(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   []bool
	}{
		{[]float64{9, 10, 100, 11, 10.5}, []bool{false, false, true, false, false}},
		{[]float64{5, 5, 5, 5, 5, 5, 5, 9}, []bool{false, false, false, false, false, false, false, true}}, // no MAD
		{[]float64{5, 5, 5, 5, 5, 5, 9, 9}, make([]bool, 8)},
		{[]float64{5, 5, 5, 5, 5}, make([]bool, 5)},
		{[]float64{1, 100}, make([]bool, 2)},
		{[]float64{1, 1.1, 17}, make([]bool, 3)}, // 159 times as far off
		{[]float64{1, 1.1, 17.6}, []bool{false, false, true}},
		{[]float64{1, 2, 3, 4, 5, 6}, make([]bool, 6)},
		// 26 and 28 times the MAD.
		{[]float64{9, 10, 10.5, 11, 23.5}, make([]bool, 5)},
		{[]float64{9, 10, 10.5, 11, 24.5}, []bool{false, false, false, false, true}},
	} {
		got, err := Outliers(c.values)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, %v, want %v", c.values, got, err, c.want)
		}
	}
	s, _ := Summarize([]float64{9, 10, 100, 11, 10.5})
	// |x − 10.5| is 1.5, 0.5, 89.5, 0.5, 0.
	if s.Median != 10.5 || s.MAD() != 0.5 || !slices.Equal(s.Caveats.Codes(), []note.Code{codes.Outliers}) {
		t.Errorf("median %v, MAD %v, %v", s.Median, s.MAD(), s.Caveats)
	}
}

// Of normal samples about one in a hundred is said to have an outlier, whatever their size.
func TestOutliersAreRare(t *testing.T) {
	rng := Options{Seed: 6}.generator(9)
	const tests = 20000
	for _, n := range []int{3, 4, 5, 8, 12, 30} {
		flagged := 0
		for range tests {
			values := make([]float64, n)
			for i := range values {
				values[i] = rng.NormFloat64()
			}
			if flags, _ := Outliers(values); slices.Contains(flags, true) {
				flagged++
			}
		}
		if share := float64(flagged) / tests; share < 0.006 || share > 0.014 {
			t.Errorf("%d values: %.4f of samples have an outlier, want 0.01", n, share)
		}
	}
}

func TestDriftSmall(t *testing.T) {
	for _, c := range []struct {
		name   string
		values []float64
		p      float64
		codes  []note.Code
	}{
		{"one", []float64{1}, 1, []note.Code{codes.TooFewValues}},
		{"two", []float64{1, 2}, 1, []note.Code{codes.OutOfReach}},
		{"four rising", []float64{1, 2, 3, 4}, 2. / 24, []note.Code{codes.OutOfReach}},
		{"five falling", []float64{5, 4, 3, 2, 1}, 2. / 120, []note.Code{codes.Drift}},
		{"equal", []float64{2, 2, 2, 2, 2, 2}, 1, []note.Code{codes.AllEqual}},
		{"ties", []float64{1, 2, 1, 2, 1, 2, 1, 2, 1}, 1, []note.Code{codes.ApproximateP}},
	} {
		got, err := Drift(nil, c.values, Options{})
		if err != nil || !near(got.P, c.p, 1e-12) || !slices.Equal(got.Caveats.Codes(), c.codes) {
			t.Errorf("%s: p %v, %v, %v; want %v, %v", c.name, got.P, got.Caveats, err, c.p, c.codes)
		}
	}
	got, _ := Drift([]float64{0, 2, 4, 6, 8}, []float64{10, 9, 8, 7, 6}, Options{})
	if got.Slope.Value != -0.5 || got.Change != -0.5 || got.Tau != -1 || got.Slope.Low != -0.5 ||
		got.Slope.High != -0.5 {
		t.Errorf("a straight line: %+v", got)
	}
}
