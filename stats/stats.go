// Package stats is the statistics of llem: pure functions over plain numbers,
// importing the standard library only.
package stats

import (
	"math"
	"slices"
)

// Summary describes a sample of values.
type Summary struct {
	N    int
	Mean float64
	// SD is the sample standard deviation (n − 1); NaN for fewer than two values.
	SD       float64
	Min, Max float64
	sorted   []float64
}

// Summarize describes the values; it reports false for none. The values are not
// changed.
func Summarize(values []float64) (Summary, bool) {
	if len(values) == 0 {
		return Summary{}, false
	}
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	s := Summary{N: len(sorted), Min: sorted[0], Max: sorted[len(sorted)-1], SD: math.NaN(), sorted: sorted}
	s.Mean, s.SD = moments(sorted)
	return s, true
}

// moments uses Welford's update, which does not cancel for large offsets.
func moments(values []float64) (mean, sd float64) {
	m2 := 0.0
	for i, v := range values {
		d := v - mean
		mean += d / float64(i+1)
		m2 += d * (v - mean)
	}
	if len(values) < 2 {
		return mean, math.NaN()
	}
	return mean, math.Sqrt(m2 / float64(len(values)-1))
}

// Percentile is the p-th percentile (0 to 100) by linear interpolation between
// order statistics: type 7 of Hyndman and Fan (1996), the default of R and NumPy.
func (s Summary) Percentile(p float64) float64 {
	if s.N == 0 {
		return math.NaN()
	}
	h := float64(s.N-1) * min(max(p, 0), 100) / 100
	i := int(math.Floor(h))
	if i+1 >= s.N {
		return s.sorted[s.N-1]
	}
	return s.sorted[i] + (h-float64(i))*(s.sorted[i+1]-s.sorted[i])
}
