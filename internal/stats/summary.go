package stats

import (
	"math"
	"slices"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Summary describes a sample of values.
type Summary struct {
	// N is the number of values.
	N int
	// Mean of the values, in their unit.
	Mean float64
	// Median is the middle value, or the mean of the two in the middle.
	Median float64
	// SD is the sample standard deviation (n − 1); NaN for fewer than two values.
	SD float64
	// Min and Max are the smallest and the largest value, in their unit.
	Min, Max float64
	// Caveats has notes if there are too few values for an interval, all values are equal,
	// or there are outliers.
	Caveats note.List
	sorted  []float64
}

// Summarize describes the values; it reports false for none, and when one of them
// is not finite (or above 1e150 in size). The values are not changed.
func Summarize(values []float64) (Summary, bool) {
	if check(values) != nil {
		return Summary{}, false
	}
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	s := Summary{N: len(sorted), Min: sorted[0], Max: sorted[len(sorted)-1], Median: middle(sorted), sorted: sorted}
	s.Mean, s.SD = moments(sorted)
	s.Caveats = s.caveats()
	return s, true
}

func (s Summary) caveats() (out note.List) {
	switch {
	case s.N < 2:
		out.Warn(codes.TooFewValues, "one value has no interval")
	case s.Min == s.Max:
		out.Warnf(codes.AllEqual, "all %d values are the same", s.N)
	default:
		if k := newSpread(s.sorted).outliers(s.sorted); k > 0 {
			out.Warnf(codes.Outliers, "%d of %d values lie far from the median (modified z above %v)", k, s.N, outlierZ)
		}
	}
	return out
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
	return quantile(s.sorted, min(max(p, 0), 100)/100)
}

// MAD is the median absolute deviation from the median, unscaled; multiply by
// 1.4826 to estimate the standard deviation of normal values.
func (s Summary) MAD() float64 {
	if s.N == 0 {
		return math.NaN()
	}
	return newSpread(s.sorted).mad
}

// quantile is the quantile q (0 to 1) of sorted values, type 7.
func quantile(sorted []float64, q float64) float64 {
	h := float64(len(sorted)-1) * q
	i := int(math.Floor(h))
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (h-float64(i))*(sorted[i+1]-sorted[i])
}

// middle is the median of sorted values.
func middle(sorted []float64) float64 {
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return sorted[n/2-1]/2 + sorted[n/2]/2
}
