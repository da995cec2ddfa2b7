package stats

import (
	"math"
	"slices"
)

// kendall is the distribution of S when the values have no trend.
type kendall struct {
	pairs int
	// tied is the number of pairs of equal values.
	tied     int
	variance float64
	// exact is the probability of each number of falling pairs, from 0 to pairs; nil
	// for ties and for many values.
	exact []float64
}

// newKendall prepares the distribution for the ties of the values. The variance
// is [n(n−1)(2n+5) − Σ t(t−1)(2t+5)] / 18 over groups of t equal values (Kendall
// 1975).
func newKendall(values []float64) kendall {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	n := len(sorted)
	k := kendall{pairs: n * (n - 1) / 2}
	spread := func(n int) float64 { return float64(n) * float64(n-1) * float64(2*n+5) / 18 }
	k.variance = spread(n)
	for i := 0; i < n; {
		j := i + 1
		for j < n && sorted[j] == sorted[i] {
			j++
		}
		k.variance -= spread(j - i)
		k.tied += (j - i) * (j - i - 1) / 2
		i = j
	}
	if k.tied == 0 && n <= exactTrend {
		k.exact = fallingPairs(n)
	}
	return k
}

// fallingPairs is the distribution of the number of falling pairs in a random
// order of n values, one value added at a time: it may fall behind any number of
// those before it.
func fallingPairs(n int) []float64 {
	p := []float64{1}
	for size := 2; size <= n; size++ {
		next := make([]float64, len(p)+size-1)
		for falls, q := range p {
			for extra := range size {
				next[falls+extra] += q / float64(size)
			}
		}
		p = next
	}
	return p
}

// p is the two-sided p-value of s.
func (k kendall) p(s int) float64 {
	if k.exact != nil {
		tail := 0.0
		for _, q := range k.exact[:(k.pairs-abs(s))/2+1] {
			tail += q
		}
		return min(1, 2*tail)
	}
	if s == 0 || k.variance <= 0 {
		return 1
	}
	// S moves in steps of 2; half a step is the correction for continuity.
	return min(1, 2*normalCDF(-float64(abs(s)-1)/math.Sqrt(k.variance)))
}

// tau is tau-b: S over the geometric mean of the pairs not tied in time (all) and
// in value (Kendall 1945).
func (k kendall) tau(s int) float64 {
	if k.tied == k.pairs {
		return 0
	}
	return float64(s) / math.Sqrt(float64(k.pairs)*float64(k.pairs-k.tied))
}

// cut is how many slopes to leave off at either end for an interval that misses
// with probability alpha on each side (Sen 1968), −1 when none would do: the
// largest k for which k or fewer falling pairs have probability alpha or less.
func (k kendall) cut(alpha float64) int {
	if k.exact == nil {
		z := -normalQuantile(alpha)
		return max(-1, int(math.Floor((float64(k.pairs)-z*math.Sqrt(max(k.variance, 0))-1)/2)))
	}
	count, tail := -1, 0.0
	for _, q := range k.exact {
		if tail += q; tail > alpha {
			break
		}
		count++
	}
	return count
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
