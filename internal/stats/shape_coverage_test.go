package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestMeanByShapeCoverage: how often the interval that is printed holds the mean of skewed values, of which the larger
// samples have a bootstrap interval: docs/metrics.md has the shares.
func TestMeanByShapeCoverage(t *testing.T) {
	const samples = 600
	for _, q := range []struct {
		n           int
		sigma       float64 // of the logarithm
		least, most float64
	}{{20, 0.5, 0.9, 0.955}, {20, 1, 0.84, 0.91}, {50, 0.5, 0.91, 0.96}, {50, 1, 0.88, 0.94}} {
		rng := rand.New(rand.NewPCG(11, uint64(q.n)))
		mean, held, bootstrap := math.Exp(q.sigma*q.sigma/2), 0, 0
		for range samples {
			values := make([]float64, q.n)
			for i := range values {
				values[i] = math.Exp(q.sigma * rng.NormFloat64())
			}
			e, err := MeanByShape(values)
			if err != nil {
				t.Fatal(err)
			}
			if e.Low <= mean && mean <= e.High {
				held++
			}
			if e.Method == MethodBCa {
				bootstrap++
			}
		}
		share := float64(held) / samples
		t.Logf("%d values, sigma %v: %.3f hold the mean, %d by bootstrap", q.n, q.sigma, share, bootstrap)
		if share < q.least || share > q.most || bootstrap < samples/5 {
			t.Errorf("%d values, sigma %v: %.3f hold the mean, %d by bootstrap", q.n, q.sigma, share, bootstrap)
		}
	}
}
