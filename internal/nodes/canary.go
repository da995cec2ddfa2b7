package nodes

import (
	"cmp"
	"math"
	"slices"
)

// Canary is the value of one worker's canary.
type Canary struct {
	// Worker is its name, and Value is positive.
	Worker string
	Value  float64
}

// CanarySpread is how far the canaries of workers lie apart.
type CanarySpread struct {
	// Ratio is the largest value over the smallest one, and CV the standard deviation over the mean.
	Ratio, CV float64
	// Outliers are the workers whose canaries lie far from the median, the farthest first.
	Outliers []Outlier
}

// Outlier is a worker whose canary lies far from the median.
type Outlier struct {
	// Worker is its name, and Off its value over the median, minus 1.
	Worker string
	Off    float64
}

// Limits of outliers: with fewer than enoughCanaries the spread of the others is not known.
const (
	enoughCanaries = 8
	farFromFew     = 0.05
	farSigmas      = 3
	nearEnough     = 0.01
)

// SpreadOfCanaries compares the canaries of 2 workers or more; ok is false for fewer. From 8 workers on, an outlier is
// farther from the median than 3 robust standard deviations (1.4826 times the median deviation) and 1 %; of 3 to 7, it
// is farther than 5 %. Of 2, neither is known to be the odd one.
func SpreadOfCanaries(all []Canary) (s CanarySpread, ok bool) {
	if len(all) < 2 {
		return s, false
	}
	values, sum := make([]float64, len(all)), 0.0
	for i, c := range all {
		values[i] = c.Value
		sum += c.Value
	}
	mean, squares := sum/float64(len(all)), 0.0
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	s.Ratio, s.CV = slices.Max(values)/slices.Min(values), math.Sqrt(squares/float64(len(all)-1))/mean
	if len(all) < 3 {
		return s, true
	}
	middle := median(values)
	off := make([]float64, len(all))
	for i, v := range values {
		off[i] = math.Abs(v/middle - 1)
	}
	limit := farFromFew
	if len(all) >= enoughCanaries {
		limit = max(nearEnough, farSigmas*1.4826*median(off))
	}
	for _, c := range all {
		if d := c.Value/middle - 1; math.Abs(d) > limit {
			s.Outliers = append(s.Outliers, Outlier{c.Worker, d})
		}
	}
	slices.SortStableFunc(s.Outliers, func(a, b Outlier) int { return cmp.Compare(math.Abs(b.Off), math.Abs(a.Off)) })
	return s, true
}

// median returns the median of values.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
