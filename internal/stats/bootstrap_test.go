package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

func TestBCaOfDegenerateSamples(t *testing.T) {
	// The extremes of few values lie at the end of their resamples.
	lowest := func(values []float64) float64 { return slices.Min(values) }
	for _, c := range []struct {
		name      string
		values    []float64
		statistic Statistic
		method    Method
		codes     []note.Code
		zeroWidth bool
	}{
		{"one value", []float64{3}, Mean, MethodNone, []note.Code{codes.TooFewValues}, false},
		{"all equal", []float64{0.1, 0.1, 0.1}, Mean, MethodBCa, []note.Code{codes.AllEqual}, true},
		{"few", []float64{1, 2, 3, 5}, Mean, MethodBCa, []note.Code{codes.FewToBootstrap}, false},
		{"two", []float64{1, 2}, Mean, MethodBCa, []note.Code{codes.FewToBootstrap}, false},
		{"constant statistic", seq(30), func([]float64) float64 { return 7 }, MethodBCa,
			[]note.Code{codes.DegenerateBCa},
			true},
		{"no bias", seq(30), beyond(), MethodPercentile, []note.Code{codes.PercentileCI}, false},
		{"no jackknife", []float64{1, 2}, deviation, MethodPercentile,
			[]note.Code{codes.FewToBootstrap, codes.PercentileCI}, false},
		{"lowest", seq(30), lowest, MethodBCa, nil, false},
	} {
		e, err := BCa(c.values, c.statistic, Options{Resamples: 500})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if e.Method != c.method || !slices.Equal(e.Caveats.Codes(), c.codes) {
			t.Errorf("%s: %s with %v, want %s with %v", c.name, e.Method, e.Caveats.Codes(), c.method, c.codes)
		}
		if e.HasInterval() == (c.method == MethodNone) || c.zeroWidth && (e.Low != e.Value || e.High != e.Value) {
			t.Errorf("%s: interval [%v, %v] of %v", c.name, e.Low, e.High, e.Value)
		}
	}
}

// seq is 1, 2, … n.
func seq(n int) []float64 {
	out := indices(n)
	for i := range out {
		out[i]++
	}
	return out
}

// beyond is a statistic whose first call, the estimate, lies above all others.
func beyond() Statistic {
	first := true
	return func(values []float64) float64 {
		m := Mean(values)
		if first {
			first, m = false, m+1000
		}
		return m
	}
}

// deviation is the standard deviation, NaN for one value.
func deviation(values []float64) float64 {
	_, sd := moments(values)
	return sd
}

func TestRefusedInputs(t *testing.T) {
	good, nan, inf := []float64{1, 2, 3}, []float64{1, math.NaN(), 3}, []float64{1, 2, math.Inf(-1)}
	for name, err := range map[string]error{
		"bca nan":       second(BCa(nan, Mean, Options{})),
		"bca inf":       second(BCa(inf, Mean, Options{})),
		"bca none":      second(BCa(nil, Mean, Options{})),
		"bca huge":      second(BCa([]float64{1, 1e200}, Mean, Options{})),
		"bca level":     second(BCa(good, Mean, Options{Level: 95})),
		"bca level nan": second(BCa(good, Mean, Options{Level: math.NaN()})),
		"bca resamples": second(BCa(good, Mean, Options{Resamples: 5})),
		"bca statistic": second(BCa(good, func([]float64) float64 { return math.NaN() }, Options{})),
		"bca resample": second(BCa(good, func(v []float64) float64 { return 1 / (slices.Max(v) - slices.Min(v)) },
			Options{})),
		"mean nan":         second(MeanInterval(nan, 0)),
		"mean none":        second(MeanInterval(nil, 0)),
		"width nan":        second(RelativeHalfWidth(nan)),
		"outliers nan":     second(Outliers(nan)),
		"compare nan":      second(Compare(good, nan, true, Options{})),
		"compare none":     second(Compare(nil, good, false, Options{})),
		"compare unequal":  second(Compare(good, good[:2], true, Options{})),
		"drift nan":        second(Drift(nil, nan, Options{})),
		"drift time":       second(Drift(nan, good, Options{})),
		"drift equal time": second(Drift([]float64{1, 1, 2}, good, Options{})),
		"drift few times":  second(Drift([]float64{1, 2}, good, Options{})),
		"drift many":       second(Drift(nil, indices(maxTrend+1), Options{})),
		"holm nan":         second(Holm(nan)),
		"holm above 1":     second(Holm([]float64{0.1, 1.5})),
	} {
		if err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
	if _, ok := Summarize(nan); ok {
		t.Error("a summary with NaN")
	}
}

func second[T any](_ T, err error) error { return err }

// The nominal 95 % intervals cover the true mean about as often as known of BCa:
// somewhat less, most so for skewed values.
func TestBCaCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("a million resamples on one goroutine")
	}
	rng := rand.New(rand.NewPCG(7, 7))
	for _, c := range []struct {
		name        string
		n           int
		value       func() float64
		mean        float64
		least, most float64
	}{
		{"normal", 30, rng.NormFloat64, 0, 0.91, 0.97},
		{"lognormal", 50, func() float64 { return math.Exp(rng.NormFloat64()) }, math.Exp(0.5), 0.87, 0.96},
	} {
		const samples = 600
		covered, values := 0, make([]float64, c.n)
		for s := range samples {
			for i := range values {
				values[i] = c.value()
			}
			e, err := BCa(values, Mean, Options{Resamples: 999, Seed: uint64(s)})
			if err != nil {
				t.Fatal(err)
			}
			if e.Low <= c.mean && c.mean <= e.High {
				covered++
			}
		}
		if share := float64(covered) / samples; share < c.least || share > c.most {
			t.Errorf("%s: %.3f of intervals cover the mean, want %v to %v", c.name, share, c.least, c.most)
		}
	}
}

func TestStudentQuantileClosedForms(t *testing.T) {
	for _, q := range []float64{0.49, 0.3, 0.025, 1e-6, 1e-12} {
		// Student's t is Cauchy's for one degree of freedom; for two see Hill (1970).
		if got, want := studentQuantile(q, 1), 1/math.Tan(math.Pi*q); !near(got, want, 1e-11) {
			t.Errorf("t(df 1, tail %v) = %v, want %v", q, got, want)
		}
		if got, want := studentQuantile(q, 2), (1-2*q)/math.Sqrt(2*q*(1-q)); !near(got, want, 1e-11) {
			t.Errorf("t(df 2, tail %v) = %v, want %v", q, got, want)
		}
	}
}

func TestRelativeHalfWidth(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, math.Inf(1)},
		{[]float64{5}, math.Inf(1)},
		{[]float64{-1, 1}, math.Inf(1)},
		{[]float64{4, 4, 4}, 0},
		// t(0.975, 2) = 4.30265…, sd = 1, n = 3.
		{[]float64{-9, -10, -11}, 4.302652729911275 / math.Sqrt(3) / 10},
	} {
		if got, err := RelativeHalfWidth(c.values); err != nil || !near(got, c.want, 1e-10) {
			t.Errorf("%v: %v, %v, want %v", c.values, got, err, c.want)
		}
	}
}
