package stats

import (
	"math"
	"testing"
)

// The expected values are from NumPy 2.4: np.mean, np.std(ddof=1) and
// np.percentile with its default method.
func TestSummarizeMatchesNumPy(t *testing.T) {
	values := []float64{3.1, 4.1, 5.9, 2.6, 5.3, 5.8, 9.7, 9.3, 2.3, 8.4}
	s, ok := Summarize(values)
	if !ok {
		t.Fatal("no summary")
	}
	for name, c := range map[string][2]float64{
		"mean": {s.Mean, 5.65}, "sd": {s.SD, 2.726923378298538}, "min": {s.Min, 2.3}, "max": {s.Max, 9.7},
		"p50": {s.Percentile(50), 5.55}, "p90": {s.Percentile(90), 9.34}, "p95": {s.Percentile(95), 9.52},
		"p99": {s.Percentile(99), 9.664}, "p0": {s.Percentile(0), 2.3}, "p100": {s.Percentile(100), 9.7},
	} {
		if math.Abs(c[0]-c[1]) > 1e-9 {
			t.Errorf("%s = %v, want %v", name, c[0], c[1])
		}
	}
	if values[0] != 3.1 {
		t.Error("Summarize changed its input")
	}
}

func TestSmallSamples(t *testing.T) {
	if _, ok := Summarize(nil); ok {
		t.Error("a summary of nothing")
	}
	s, _ := Summarize([]float64{7})
	if !math.IsNaN(s.SD) || s.Percentile(99) != 7 || s.Mean != 7 {
		t.Errorf("summary of one value = %+v", s)
	}
	big, _ := Summarize([]float64{1e12 + 1, 1e12 + 2, 1e12 + 3})
	if math.Abs(big.SD-1) > 1e-6 {
		t.Errorf("sd at a large offset = %v, want 1", big.SD)
	}
}
