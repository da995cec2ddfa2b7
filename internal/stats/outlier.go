package stats

import (
	"math"
	"slices"
)

// outlierZ is the modified z-score above which a value counts as an outlier, and
// outlierMin the fewest values in which one is sought: the deviation of fewer is
// so badly known that ordinary values would be flagged.
const (
	outlierZ   = 3.5
	outlierMin = 5
)

// Outliers flags, in the order of the values, those whose modified z-score
//
//	0.6745 · |x − median| / MAD
//
// exceeds 3.5 (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993).
// When more than half of the values are the same, MAD is 0 and the mean absolute
// deviation takes its place: |x − median| / (1.2533 · mean deviation), both
// factors making the score that of a normal distribution. Fewer than five values
// have no outliers. A flag is a reason to look, not to drop the value: of normal
// samples of 5 to 8 values, one in six has a flag (simulated).
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
		flags[i] = s.far(v)
	}
	return flags, nil
}

// spread is the centre of a sample and its typical deviation.
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

// far tells whether v is an outlier.
func (s spread) far(v float64) bool {
	d := math.Abs(v - s.median)
	if s.mad > 0 {
		return 0.6745*d/s.mad > outlierZ
	}
	return s.mean > 0 && d/(1.2533141373155*s.mean) > outlierZ
}

// outliers counts the values that are far.
func (s spread) outliers(values []float64) int {
	if len(values) < outlierMin {
		return 0
	}
	k := 0
	for _, v := range values {
		if s.far(v) {
			k++
		}
	}
	return k
}
