package stats

import (
	"math"
	"slices"
)

// outlierZ is the modified z-score above which a value of many counts as an outlier,
// outlierLimits the ones of 0, 1, 2, …
// values: of a hundred normal samples of that number one has a value above it (200,000 simulated; with an even number
// the deviation is known a little better). Below outlierMin there is none.
const (
	outlierZ   = 3.5
	outlierMin = 3
)

var outlierLimits = []float64{0, 0, 0, 109.5, 16.2, 18.3, 10.1, 10.7, 7.97, 8.17, 6.88, 7.07, 6.33, 6.39, 5.90, 5.99,
	5.62, 5.66, 5.39, 5.41, 5.23, 5.27, 5.10, 5.12, 5.00, 5.01, 4.91, 4.92, 4.83, 4.85, 4.77}

// outlierLimit is the modified z-score above which one of n values is an outlier.
func outlierLimit(n int) float64 {
	return outlierLimits[min(n, len(outlierLimits)-1)]
}

// Outliers flags, in the order of the values, each value whose modified z-score
//
//	0.6745 · |x − median| / MAD
//
// (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993) exceeds the level that one normal sample of
// that size in a hundred exceeds. Their limit of 3.5 would flag one sample of 5 to 8 values in six. With few
// values, an outlier must be far off: one of three values 160 times as far from the middle as the other, one
// of five 27 times. Fewer than three values have no outliers. If more than half of the values are equal, MAD
// is 0 and the mean absolute deviation is used: |x − median| / (1.2533 · mean deviation), with a limit of
// 3.5. A flag is a reason to look, not to drop the value.
func Outliers(values []float64) ([]bool, error) {
	if err := check(values); err != nil {
		return nil, err
	}
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	s := newSpread(sorted)
	flags := make([]bool, len(values))
	if len(values) < outlierMin {
		return flags, nil
	}
	for i, v := range values {
		flags[i] = s.far(v, len(values))
	}
	return flags, nil
}

// spread has the centre of a sample and its typical deviation.
type spread struct {
	median, mad, mean float64
}

func newSpread(sorted []float64) spread {
	s := spread{median: middle(sorted)}
	deviations := make([]float64, len(sorted))
	for i, v := range sorted {
		deviations[i] = math.Abs(v - s.median)
		s.mean += deviations[i] / float64(len(sorted))
	}
	slices.Sort(deviations)
	s.mad = middle(deviations)
	return s
}

// far reports whether v is an outlier of n values.
func (s spread) far(v float64, n int) bool {
	d := math.Abs(v - s.median)
	if s.mad > 0 {
		return 0.6745*d/s.mad > outlierLimit(n)
	}
	return s.mean > 0 && d/(1.2533141373155*s.mean) > outlierZ
}

// outliers returns the number of values that are far.
func (s spread) outliers(values []float64) int {
	if len(values) < outlierMin {
		return 0
	}
	k := 0
	for _, v := range values {
		if s.far(v, len(values)) {
			k++
		}
	}
	return k
}
