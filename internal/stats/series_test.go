package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestSeriesCoverage: of series that do not differ few are called different where neighbours are correlated, and a
// difference is found where they are not.
func TestSeriesCoverage(t *testing.T) {
	const pairs = 2000
	for _, q := range []struct {
		name        string
		n           int
		rho, shift  float64
		least, most float64
		welch       float64 // what Welch's t finds at least
	}{
		{"independent, 3", 3, 0, 0, 0.01, 0.05, 0.02},
		{"independent, 5", 5, 0, 0, 0.01, 0.05, 0.03},
		{"independent, 10", 10, 0, 0, 0.02, 0.055, 0.035},
		{"correlated, 3", 3, 0.3, 0, 0.02, 0.06, 0.055},
		{"correlated, 5", 5, 0.3, 0, 0.04, 0.085, 0.1},
		{"correlated, 10", 10, 0.3, 0, 0.04, 0.085, 0.11},
		{"strongly, 5", 5, 0.6, 0, 0.07, 0.13, 0.2},
		{"different, 3", 3, 0, 5, 0.8, 0.9, 0.95},
		{"different, 5", 5, 0, 5, 0.95, 1, 0.99},
	} {
		rng := rand.New(rand.NewPCG(7, uint64(q.n)))
		found, welch := 0, 0
		for range pairs {
			y, last := make([]float64, 2*q.n), rng.NormFloat64()
			for i := range y {
				y[i] = last
				if last = q.rho*last + math.Sqrt(1-q.rho*q.rho)*rng.NormFloat64(); i >= q.n {
					y[i] += q.shift
				}
			}
			if contrastSeries(y[:q.n], y[q.n:]).test(1) < 0.05 {
				found++
			}
			if contrastGroups(y[:q.n], y[q.n:]).test(1) < 0.05 {
				welch++
			}
		}
		if share := float64(found) / pairs; share < q.least || share > q.most {
			t.Errorf("%s: %.3f called different, want %v to %v", q.name, share, q.least, q.most)
		}
		if share := float64(welch) / pairs; share < q.welch {
			t.Errorf("%s: by Welch's t %.3f, want at least %v", q.name, share, q.welch)
		}
	}
}

// TestEffective: against the variance of the mean by the sum over all pairs of values.
func TestEffective(t *testing.T) {
	for _, n := range []int{1, 2, 5, 40} {
		for _, rho := range []float64{0, 0.2, 0.9} {
			sum := 0.0
			for i := range n {
				for j := range n {
					sum += math.Pow(rho, math.Abs(float64(i-j)))
				}
			}
			if want := float64(n*n) / sum; !near(effective(n, rho), want, 1e-6) {
				t.Errorf("%d values, %v: %v, want %v", n, rho, effective(n, rho), want)
			}
		}
	}
}

// TestCompareSeries: without any correlation of neighbours it is Welch's t; the order counts
// where there is one, and the
// interval leaves out 1 where p is below 0.05.
func TestCompareSeries(t *testing.T) {
	a, b := []float64{1, 3, 2, 4}, []float64{6, 4, 7, 5}
	series, err := CompareSeries(a, b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if welch, _ := Compare(a, b, false, Options{}); series.Correlation != 0 || !near(series.P, welch.P, 1e-12) {
		t.Errorf("correlation %v, p %v; Welch %v", series.Correlation, series.P, welch.P)
	}
	rising, err := CompareSeries([]float64{1, 2, 3, 4}, []float64{4, 5, 6, 7}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if rising.Correlation < 0.3 || rising.Effective[0] > 3 || rising.Test != SeriesLogs || rising.P < 2*series.P ||
		rising.Ratio.Low > 1 != (rising.P < 0.05) || rising.Permutation != series.Permutation {
		t.Errorf("rising: %+v", rising)
	}
	if v, w := rising.Scatter.Visible(4, 0.05), series.Scatter.Visible(4, 0.05); v < 1.5*w {
		t.Errorf("visible from %v, of values in no order from %v", v, w)
	}
}
