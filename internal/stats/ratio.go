package stats

import (
	"math"

	"github.com/llenergymeasure/llem/internal/codes"
)

// noScatter is the standard deviation below which values are the same but for rounding, in units of
// their size.
const noScatter = 1e-13

// contrast is the mean difference between two samples, or of pairs, with what its test needs.
type contrast struct {
	// value is the mean of b less that of a; error its standard error, NaN for too few values.
	value, error float64
	df           float64
	// correlation is that of neighbours, and effective how many independent values each sample counts as; both
	// are 0 where neighbours are not correlated.
	correlation float64
	effective   [2]float64
	// scatter is what the standard error comes from.
	scatter Scatter
}

// contrastPairs is of the differences of pairs.
func contrastPairs(a, b []float64) contrast {
	differences := make([]float64, len(a))
	for i := range a {
		differences[i] = b[i] - a[i]
	}
	mean, sd := moments(differences)
	n := float64(len(a))
	return contrast{value: mean, error: sd / math.Sqrt(n), df: n - 1, scatter: Scatter{SD: sd, Paired: true, DF: n - 1}}
}

// contrastGroups is of independent samples, whose spreads may differ: the degrees of freedom are those of
// Welch (The Generalization of Student's Problem, 1947).
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

// test is the two-sided p-value of Student's t, NaN where there is none.
func (c contrast) test(size float64) float64 {
	if !(c.error > noScatter*size) {
		return math.NaN()
	}
	return min(1, 2*studentTail(math.Abs(c.value)/c.error, c.df))
}

// interval is Student's interval of the difference. Where nothing scatters it has no width.
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

// positive tells whether all values are above 0, by enough for their ratios to be finite.
func positive(values []float64) bool {
	for _, v := range values {
		if v < 1/largest {
			return false
		}
	}
	return true
}

// logs are the logarithms of positive values.
func logs(values []float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = math.Log(v)
	}
	return out
}

// size is that of the largest value.
func size(lists ...[]float64) float64 {
	most := 0.0
	for _, list := range lists {
		for _, v := range list {
			most = max(most, math.Abs(v))
		}
	}
	return most
}
