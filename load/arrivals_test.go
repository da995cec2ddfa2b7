package load

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

func times(t *testing.T, p Process) []float64 {
	t.Helper()
	ns, err := Times(p)
	if err != nil {
		t.Fatalf("%+v: %v", p, err)
	}
	if !slices.IsSorted(ns) {
		t.Fatalf("%+v: times are not in order", p)
	}
	out := make([]float64, len(ns))
	for i, v := range ns {
		out[i] = float64(v) / 1e9
	}
	return out
}

func gaps(at []float64) []float64 {
	var out []float64
	for i := 1; i < len(at); i++ {
		out = append(out, at[i]-at[i-1])
	}
	return out
}

func meanCV(values []float64) (mean, cv float64) {
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		cv += (v - mean) * (v - mean) / float64(len(values)-1)
	}
	return mean, math.Sqrt(cv) / mean
}

// gammaCDF is the regularised incomplete gamma function by its series.
func gammaCDF(shape, x float64) float64 {
	if x <= 0 {
		return 0
	}
	if x > shape+40*math.Sqrt(shape)+40 {
		return 1
	}
	sum, term := 0.0, 1/shape
	for k := 1.0; term > 1e-16*sum; k++ {
		sum += term
		term *= x / (shape + k)
	}
	log, _ := math.Lgamma(shape)
	return sum * math.Exp(shape*math.Log(x)-x-log)
}

// distance is the greatest difference between the distribution of values and a function, times the square root of
// their number: above 1.63 in 1 % of all samples of that function (Kolmogorov and Smirnov).
func distance(values []float64, cdf func(float64) float64) float64 {
	values = slices.Sorted(slices.Values(values))
	n, d := float64(len(values)), 0.0
	for i, v := range values {
		f := cdf(v)
		d = max(d, math.Abs(f-float64(i)/n), math.Abs(f-float64(i+1)/n))
	}
	return d * math.Sqrt(n)
}

// TestGaps: gaps have the mean, the coefficient of variation and the distribution of their process.
func TestGaps(t *testing.T) {
	const n, rate = 20000, 8.0
	for _, cv := range []float64{0.1, 0.5, 0.9, 1, 1.5, 3, 8} {
		p := Process{Kind: Gamma, Rate: rate, CV: cv, Requests: n, Seed: 5}
		if cv == 1 {
			p.Kind = Poisson
		}
		g := gaps(times(t, p))
		if len(g) != n-1 {
			t.Fatalf("cv %g: %d gaps", cv, len(g))
		}
		mean, got := meanCV(g)
		if math.Abs(mean*rate-1) > 4*cv/math.Sqrt(n) {
			t.Errorf("cv %g: mean gap %g, want %g", cv, mean, 1/rate)
		}
		// the variance of a sample's cv grows with the fourth moment
		if math.Abs(got/cv-1) > 0.02+0.03*cv {
			t.Errorf("cv %g: got %g", cv, got)
		}
		// The gaps have their distribution before they are rounded to nanoseconds: at a large cv many are shorter.
		src, k := newSource(5), Burstiness(cv)
		exact := make([]float64, n)
		for i := range exact {
			exact[i] = src.gamma(k)
		}
		if d := distance(exact, func(x float64) float64 { return gammaCDF(k, x) }); d > 1.63 {
			t.Errorf("cv %g: distance %g from the gamma distribution", cv, d)
		}
	}
}

// TestCounts: the expected number of requests is rate times duration, from the very start, for every kind.
func TestCounts(t *testing.T) {
	for _, p := range []Process{
		{Kind: Constant, Rate: 5, DurationS: 4},
		{Kind: Poisson, Rate: 5, DurationS: 4},
		{Kind: Gamma, Rate: 5, CV: 3, DurationS: 4},
		{Kind: Gamma, Rate: 5, CV: 0.2, DurationS: 4},
		{Kind: Ramp, Rate: 2, ToRate: 8, DurationS: 4},
		{Kind: Ramp, Rate: 8, ToRate: 2, DurationS: 4},
		{Kind: Rates, Rates: []Piece{{2, 2}, {1, 0}, {2, 8}}},
	} {
		const draws = 4000
		sum, squares := 0.0, 0.0
		for seed := range uint64(draws) {
			p.Seed = seed
			n := float64(len(times(t, p)))
			sum += n
			squares += n * n
		}
		mean := sum / draws
		sd := math.Sqrt(max(0, squares/draws-mean*mean) / draws)
		want, seconds := p.Expected()
		if want != 20 || seconds != 4 && p.Kind != Rates {
			t.Errorf("%s: %g requests in %g s expected", p.Kind, want, seconds)
		}
		if math.Abs(mean-want) > 4*sd+1e-9 {
			t.Errorf("%s cv %g: %g ± %g requests, want %g", p.Kind, p.CV, mean, sd, want)
		}
	}
}

// TestRateOverTime: arrivals of a ramp and of pieces are uniform after their expected counts are taken out.
func TestRateOverTime(t *testing.T) {
	for _, p := range []Process{
		{Kind: Ramp, Rate: 1, ToRate: 199, DurationS: 100, Seed: 3},
		{Kind: Ramp, Rate: 199, ToRate: 1, DurationS: 100, Seed: 3},
		{Kind: Rates, Rates: []Piece{{50, 20}, {10, 0}, {50, 180}}, Seed: 3},
	} {
		at, s := times(t, p), p.slopes()
		total := s.count(s.end())
		if d := distance(at, func(x float64) float64 { return s.count(x) / total }); d > 1.63 {
			t.Errorf("%+v: distance %g", p, d)
		}
		if math.Abs(float64(len(at))-total) > 4*math.Sqrt(total) {
			t.Errorf("%+v: %d requests, want about %g", p, len(at), total)
		}
		for _, x := range at {
			if p.Kind == Rates && x > 50.000001 && x < 60 {
				t.Errorf("a request at %g s, in the pause", x)
			}
		}
	}
}

// TestSlopesInvert: when is the inverse of count.
func TestSlopesInvert(t *testing.T) {
	for _, s := range []slopes{{{10, 1, 9}}, {{10, 9, 1}}, {{10, 5, 5}}, {{3, 2, 2}, {2, 0, 0}, {5, 1, 1}},
		{{5, 1e-5, 1e6}}, {{7, 4, 4.0000001}}} {
		total := s.count(s.end())
		for i := range 100 {
			n := total * (float64(i) + 0.5) / 100
			if got := s.count(s.when(n)); math.Abs(got-n) > 1e-9*total {
				t.Errorf("%v: count at when(%g) is %g", s, n, got)
			}
		}
		if !math.IsInf(s.when(total*1.01), 1) {
			t.Errorf("%v: a time after the end", s)
		}
	}
}

func TestSameSeed(t *testing.T) {
	for _, kind := range []string{Poisson, Gamma, Ramp, Rates} {
		p := Process{Kind: kind, Rate: 10, ToRate: 20, CV: 2, DurationS: 30, Seed: 7, Rates: []Piece{{30, 10}}}
		one, two := times(t, p), times(t, p)
		p.Seed = 8
		if !slices.Equal(one, two) || slices.Equal(one, times(t, p)) {
			t.Errorf("%s: the list does not follow from the seed", kind)
		}
	}
	// A longer list starts with the shorter one.
	long, err := Times(Process{Kind: Gamma, Rate: 10, CV: 2, Requests: 500, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	short, err := Times(Process{Kind: Gamma, Rate: 10, CV: 2, Requests: 100, Seed: 7})
	if err != nil || !slices.Equal(short, long[:100]) {
		t.Errorf("the first 100 of 500 requests differ: %v", err)
	}
	// These values are part of the format: a study means the same requests in every version.
	got, err := Times(Process{Kind: Poisson, Rate: 1, Requests: 3, Seed: 42})
	if want := []int64{1689977772, 3462514535, 3586059055}; err != nil || !slices.Equal(got, want) {
		t.Errorf("seed 42: %v, want %v", got, want)
	}
}

func TestConstant(t *testing.T) {
	got, err := Times(Process{Kind: Constant, Rate: 4, DurationS: 1})
	if want := []int64{0, 250_000_000, 500_000_000, 750_000_000}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestNormalise: the last of n requests is at n/rate, as in vLLM's benchmark.
func TestNormalise(t *testing.T) {
	for seed := range uint64(50) {
		for _, p := range []Process{{Kind: Poisson, Rate: 10, Requests: 100, Seed: seed, Normalise: true},
			{Kind: Gamma, CV: 2, Rate: 10, DurationS: 10, Seed: seed, Normalise: true}} {
			if at := times(t, p); len(at) != 100 || at[99] != 10 {
				t.Fatalf("%+v: %d requests, the last at %g s", p, len(at), at[len(at)-1])
			}
		}
	}
}

func TestBoth(t *testing.T) {
	if at := times(t, Process{Kind: Poisson, Rate: 100, DurationS: 10, Requests: 50}); len(at) != 50 {
		t.Errorf("%d requests, want 50", len(at))
	}
	if at := times(t, Process{Kind: Poisson, Rate: 1, DurationS: 10, Requests: 5000}); at[len(at)-1] >= 10 {
		t.Errorf("the last request is at %g s, want before 10 s", at[len(at)-1])
	}
}

func TestMistakes(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, q := range []struct {
		p     Process
		field string
	}{
		{Process{Kind: "bursts", Rate: 1, DurationS: 1}, "kind"},
		{Process{Rate: 1, DurationS: 1}, "kind"},
		{Process{Kind: Trace}, "kind"},
		{Process{Kind: Poisson, DurationS: 1}, "rate"},
		{Process{Kind: Poisson, Rate: -1, DurationS: 1}, "rate"},
		{Process{Kind: Poisson, Rate: 1e9, DurationS: 1}, "rate"},
		{Process{Kind: Poisson, Rate: inf, DurationS: 1}, "rate"},
		{Process{Kind: Poisson, Rate: nan, DurationS: 1}, "rate"},
		{Process{Kind: Poisson, Rate: 1}, "duration_s"},
		{Process{Kind: Poisson, Rate: 1, DurationS: -1}, "duration_s"},
		{Process{Kind: Poisson, Rate: 1, DurationS: nan}, "duration_s"},
		{Process{Kind: Poisson, Rate: 1, DurationS: 8 * 86400}, "duration_s"},
		{Process{Kind: Poisson, Rate: 1000, DurationS: 86400}, "duration_s"},
		{Process{Kind: Poisson, Rate: 1e-4, Requests: 10_000}, "duration_s"},
		{Process{Kind: Poisson, Rate: 1e6, Requests: MaxRequests + 1}, "requests"},
		{Process{Kind: Gamma, Rate: 1, DurationS: 1}, "cv"},
		{Process{Kind: Gamma, Rate: 1, DurationS: 1, CV: nan}, "cv"},
		{Process{Kind: Gamma, Rate: 1, DurationS: 1, CV: 1e9}, "cv"},
		{Process{Kind: Ramp, Rate: 1, DurationS: 1}, "to_rate"},
		{Process{Kind: Ramp, Rate: 1, ToRate: 1e6, DurationS: 1e5}, "duration_s"},
		{Process{Kind: Rates}, "rates"},
		{Process{Kind: Rates, Rates: []Piece{{1, 0}}}, "rates"},
		{Process{Kind: Rates, Rates: []Piece{{nan, 1}}}, "rates"},
		{Process{Kind: Rates, Rates: []Piece{{600000, 1}, {600000, 1}}}, "duration_s"},
	} {
		at, err := Times(q.p)
		m, ok := errors.AsType[*Mistake](err)
		if !ok || m.Field != q.field || at != nil || m.Message == "" {
			t.Errorf("%+v: %v, want a mistake of %s", q.p, err, q.field)
		}
	}
}

func TestParseRates(t *testing.T) {
	got, err := ParseRates("30s:2 1m30s:8.5  500ms:0")
	if want := []Piece{{30, 2}, {90, 8.5}, {0.5, 0}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, text := range []string{"", "30:2", "30s", "30s:", "30s:-1", "30s:NaN", "0s:1", "-1s:1", "1s:1e9", "1s:2:3"} {
		if got, err := ParseRates(text); err == nil || !strings.Contains(err.Error(), "rates") &&
			!strings.Contains(err.Error(), "rate") {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
}
