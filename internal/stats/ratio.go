package stats

import (
	"math"

	"github.com/llenergymeasure/llem/internal/codes"
)

// noScatter is the standard deviation, relative to their size, below which values are equal up to rounding.
const noScatter = 1e-13

// contrast is the mean difference between two samples, or of pairs, with what its test needs.
type contrast struct {
	// value is the mean of b minus the mean of a; error is its standard error, NaN for too few values.
	value, error float64
	df           float64
	// correlation is the correlation of neighbours, and effective the number of independent values that each
	// sample counts as; both are 0 if neighbours are not correlated.
	correlation float64
	effective   [2]float64
	// scatter is the standard deviation behind the standard error.
	scatter Scatter
}

// contrastPairs returns the contrast of the differences of pairs.
func contrastPairs(a, b []float64) contrast {
	differences := make([]float64, len(a))
	for i := range a {
		differences[i] = b[i] - a[i]
	}
	mean, sd := moments(differences)
	n := float64(len(a))
	return contrast{value: mean, error: sd / math.Sqrt(n), df: n - 1, scatter: Scatter{SD: sd, Paired: true, DF: n - 1}}
}

// contrastGroups returns the contrast of independent samples, whose spreads may differ, with the degrees of
// freedom of Welch (The Generalization of Student's Problem, 1947).
func contrastGroups(a, b []float64) contrast {
	meanA, sdA := moments(a)
	meanB, sdB := moments(b)
	n, m := float64(len(a)), float64(len(b))
	va, vb := sdA*sdA/n, sdB*sdB/m
	c := contrast{value: meanB - meanA, error: math.Sqrt(va + vb),
		scatter: Scatter{SD: math.Sqrt((sdA*sdA + sdB*sdB) / 2), DF: n + m - 2}}
	// The shares keep the squares of tiny variances from becoming 0 / 0.
	shareA, shareB := va/(va+vb), vb/(va+vb)
	c.df = 1 / (shareA*shareA/(n-1) + shareB*shareB/(m-1))
	return c
}

// test returns the two-sided p-value of Student's t, NaN if there is none.
func (c contrast) test(size float64) float64 {
	if !(c.error > noScatter*size) {
		return math.NaN()
	}
	return min(1, 2*studentTail(math.Abs(c.value)/c.error, c.df))
}

// interval returns Student's interval of the difference. Without scatter it has no width.
func (c contrast) interval(size, level float64) Estimate {
	e := unbounded(c.value, level)
	switch {
	case math.IsNaN(c.error):
		e.Caveats.Warn(codes.TooFewValues, "one value has no interval")
	case c.error <= noScatter*size:
		e.Low, e.High, e.Method = e.Value, e.Value, MethodStudent
		e.Caveats.Warn(codes.AllEqual, "the difference is the same in all values")
	default:
		half := studentQuantile((1-level)/2, c.df) * c.error
		e.Low, e.High, e.Method = e.Value-half, e.Value+half, MethodStudent
	}
	return e
}

// positive reports whether all values are positive, and large enough for finite ratios.
func positive(values []float64) bool {
	for _, v := range values {
		if v < 1/largest {
			return false
		}
	}
	return true
}

// logs returns the logarithms of positive values.
func logs(values []float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = math.Log(v)
	}
	return out
}

// size returns the absolute value of the largest value.
func size(lists ...[]float64) float64 {
	most := 0.0
	for _, list := range lists {
		for _, v := range list {
			most = max(most, math.Abs(v))
		}
	}
	return most
}
