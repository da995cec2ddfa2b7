package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestPercentileFloor: the fewest samples of the early stopping of MLPerf Inference.
func TestPercentileFloor(t *testing.T) {
	for p, want := range map[float64]int{50: 11, 90: 64, 95: 130, 99: 662, 10: 64, 99.9: 6636} {
		if got := PercentileFloor(p); got != want {
			t.Errorf("p%g takes %d values, want %d", p, got, want)
		}
	}
}

// TestBinomialCDF: values of SciPy 1.14, scipy.stats.binom.cdf.
func TestBinomialCDF(t *testing.T) {
	for _, c := range []struct {
		k, n int
		p    float64
		want float64
	}{{0, 10, 0.5, 0.0009765625}, {5, 10, 0.5, 0.623046875}, {9, 10, 0.9, 0.6513215599}, {10, 10, 0.9, 1},
		{-1, 10, 0.9, 0}, {1, 2, 0.25, 0.9375}} {
		if got := binomialCDF(c.k, c.n, c.p); math.Abs(got-c.want) > 1e-10 {
			t.Errorf("P(B ≤ %d) of %d with %g is %v, want %v", c.k, c.n, c.p, got, c.want)
		}
	}
}

// TestOrderIntervalCovers: the interval holds the true percentile in 95 % of samples or more.
func TestOrderIntervalCovers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for p, n := range map[float64]int{50: 11, 90: 64, 95: 130, 99: 700} {
		const trials = 1500
		held := 0
		for range trials {
			values := make([]float64, n)
			for i := range values {
				values[i] = rng.Float64()
			}
			s, _ := Summarize(values)
			low, high, ok := s.OrderInterval(p, 0.95)
			if !ok {
				t.Fatalf("p%g of %d values has no interval", p, n)
			}
			if low <= p/100 && p/100 <= high {
				held++
			}
		}
		if share := float64(held) / trials; share < 0.935 {
			t.Errorf("p%g of %d values: %.3f of the intervals hold it", p, n, share)
		}
	}
	if s, _ := Summarize([]float64{1, 2, 3}); true {
		if _, _, ok := s.OrderInterval(50, 0.95); ok {
			t.Error("the median of three values has an interval")
		}
	}
}

// TestClusters: the pooled percentile covers all values, and its interval contains the truth though values
// of one run lie together, unlike the interval for independent values.
func TestClusters(t *testing.T) {
	if e := (Clusters{{1, 2}, {3, 4, 5}}).Percentiles(0.95, 50)[0]; e.Value != 3 {
		t.Errorf("median %v, want 3", e.Value)
	}
	if e := (Clusters{{1, 2, 3}, nil}).Percentiles(0.95, 50)[0]; e.Value != 2 || e.HasInterval() {
		t.Errorf("one run: %+v", e)
	}
	if e := (Clusters{}).Percentiles(0.95, 50)[0]; !math.IsNaN(e.Value) {
		t.Errorf("no values: %+v", e)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	const trials, runs, each = 400, 8, 60
	held, plain, without := 0, 0, 0
	for range trials {
		var c Clusters
		for range runs {
			own, v := rng.NormFloat64(), make([]float64, each)
			for i := range v {
				v[i] = own + rng.NormFloat64()
			}
			slices.Sort(v)
			c = append(c, v)
		}
		e := c.Percentiles(0.95, 50)[0]
		switch {
		case !e.HasInterval():
			without++
		case e.Low <= 0 && 0 <= e.High:
			held++
		}
		s, _ := Summarize(slices.Concat(c...))
		if low, high, _ := s.OrderInterval(50, 0.95); low <= 0 && 0 <= high {
			plain++
		}
	}
	if share := float64(held) / float64(trials-without); share < 0.92 || without > trials/20 {
		t.Errorf("%.3f of the intervals hold the median, %d of %d have none", share, without, trials)
	}
	if share := float64(plain) / trials; share > 0.7 {
		t.Errorf("%.3f of the intervals that take no account of runs hold the median: the test says nothing", share)
	}
}

// TestMeanByShape: Student's interval for few values and for many that are not skewed, the
// bootstrap's for many that are.
func TestMeanByShape(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	sample := func(n int, skewed bool) []float64 {
		v := make([]float64, n)
		for i := range v {
			if v[i] = 10 + math.Sin(float64(i)); skewed {
				v[i] = math.Exp(1.2 * rng.NormFloat64())
			}
		}
		return v
	}
	for _, c := range []struct {
		values []float64
		want   Method
	}{{[]float64{1}, MethodNone}, {sample(5, true), MethodStudent}, {sample(19, true), MethodStudent},
		{sample(40, false), MethodStudent}, {sample(40, true), MethodBCa},
		{slices.Repeat([]float64{3}, 30), MethodStudent}} {
		e, err := MeanByShape(c.values)
		if err != nil || e.Method != c.want {
			t.Errorf("%d values: %s, %v, want %s", len(c.values), e.Method, err, c.want)
		}
	}
	if _, err := MeanByShape(nil); err == nil {
		t.Error("no values have a mean")
	}
}
