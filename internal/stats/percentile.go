package stats

import (
	"math"
	"slices"
	"sort"
)

// floorLevel is the confidence of the floor of a percentile.
const floorLevel = 0.99

// PercentileFloor returns the minimum number of values for estimating the p-th percentile (above 0, below
// 100): with fewer, the probability that at most one of them lies beyond it is above 1 %. It is 11
// for the median, 64 for p90, 130 for p95 and 662 for p99: the early stopping of MLPerf
// Inference (Reddi et al. 2020).
func PercentileFloor(p float64) int {
	q := max(p, 100-p) / 100
	beyond := func(n int) float64 {
		return math.Pow(q, float64(n)) + float64(n)*(1-q)*math.Pow(q, float64(n-1))
	}
	return 2 + sort.Search(int(20/(1-q)), func(i int) bool { return beyond(i+2) < 1-floorLevel })
}

// OrderInterval is the distribution-free interval of the p-th percentile of independent values:
// the order statistics between which it lies with the probability of the level or more, since
// the number of values below it is binomial (David and Nagaraja, Order Statistics, 2003, §7.1).
// It reports false where the values are too few for one.
func (s Summary) OrderInterval(p, level float64) (low, high float64, ok bool) {
	l, u, ok := ranks(s.N, p, level)
	if !ok {
		return 0, 0, false
	}
	return s.sorted[l-1], s.sorted[u-1], true
}

// OrderIntervalOf is OrderInterval of values that are worth fewer independent ones.
func (s Summary) OrderIntervalOf(worth int, p, level float64) (low, high float64, ok bool) {
	if worth >= s.N {
		return s.OrderInterval(p, level)
	}
	l, u, ok := ranks(worth, p, level)
	if !ok {
		return 0, 0, false
	}
	at := func(rank int) float64 { return quantile(s.sorted, (float64(rank)-0.5)/float64(worth)) }
	return at(l), at(u), true
}

// ranks returns the ranks, from 1, of the order statistics of n values between which their p-th percentile lies.
func ranks(n int, p, level float64) (l, u int, ok bool) {
	if n < 1 {
		return 0, 0, false
	}
	q, tail := p/100, (1-level)/2
	// The rank below is the largest l with P(B < l) at most the tail, the rank above the
	// smallest u with P(B ≥ u) at most the tail, counted from 1.
	l = sort.Search(n+1, func(k int) bool { return binomialCDF(k, n, q) > tail })
	u = 1 + sort.Search(n+1, func(k int) bool { return binomialCDF(k, n, q) >= 1-tail })
	return l, u, l >= 1 && u <= n
}

// binomialCDF is P(B ≤ k) of the number B of successes in n trials with the chance p, 0 < p < 1
// (DLMF 8.17.5).
func binomialCDF(k, n int, p float64) float64 {
	switch {
	case k < 0:
		return 0
	case k >= n:
		return 1
	}
	return betaCDF(float64(n-k), float64(k+1), 1-p)
}

// betaCDF is the regularised incomplete beta function I_x(a, b) (DLMF 8.17.22).
func betaCDF(a, b, x float64) float64 {
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	front := math.Exp(lab - la - lb + a*math.Log(x) + b*math.Log1p(-x))
	if x < (a+1)/(a+b+2) {
		return front * betaFraction(a, b, x) / a
	}
	return 1 - front*betaFraction(b, a, 1-x)/b
}

// Clusters are the values of several runs, each sorted: values of one run share what was
// particular to it.
type Clusters [][]float64

// Percentiles are percentiles of all values together (type 7), with Woodruff's interval for
// clusters (1952; Särndal, Swensson and Wretman, Model Assisted Survey Sampling, 1992, §5.11). The
// share of values at or below the percentile has a standard error: that between the clusters, and
// no less than the binomial one of independent values. Student's t with one degree of freedom
// fewer than clusters spans it, and the percentiles at its ends are the interval. There is no
// interval where that leaves the values.
func (c Clusters) Percentiles(level float64, ps ...float64) []Estimate {
	all := slices.Concat(c...)
	slices.Sort(all)
	out := make([]Estimate, len(ps))
	for i, p := range ps {
		out[i] = c.percentile(all, p/100, level)
	}
	return out
}

// percentile is the quantile q of all values, sorted.
func (c Clusters) percentile(all []float64, q, level float64) Estimate {
	if len(all) == 0 {
		return unbounded(math.NaN(), level)
	}
	e := unbounded(quantile(all, q), level)
	clusters, between := 0, 0.0
	for _, v := range c {
		if len(v) == 0 {
			continue
		}
		clusters++
		below := sort.Search(len(v), func(i int) bool { return v[i] > e.Value })
		d := float64(below) - q*float64(len(v))
		between += d * d
	}
	if clusters < 2 {
		return e
	}
	n := float64(len(all))
	variance := max(between*float64(clusters)/float64(clusters-1)/(n*n), q*(1-q)/n)
	half := studentQuantile((1-level)/2, float64(clusters-1)) * math.Sqrt(variance)
	if q-half < 1/(n+1) || q+half > n/(n+1) {
		return e
	}
	e.Low, e.High, e.Method = quantile(all, q-half), quantile(all, q+half), MethodWoodruff
	return e
}
