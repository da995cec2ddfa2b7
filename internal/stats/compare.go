package stats

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Direction is where the mean of the second configuration lies.
type Direction string

// Directions of an effect, by value; the p-value decides whether it may be chance.
const (
	Decrease Direction = "decrease"
	Increase Direction = "increase"
	NoChange Direction = "no change"
)

// Comparison compares a second configuration (b) with a first (a).
type Comparison struct {
	// MeanA and MeanB are the means of the two samples, in their unit.
	MeanA, MeanB float64
	// Ratio is the geometric mean of b divided by the geometric mean of a, for pairs the geometric mean of
	// their ratios. Its value is NaN, with a caveat, unless all values are positive.
	Ratio Estimate
	// Difference is the mean of b minus the mean of a, in their unit.
	Difference Estimate
	// Direction is where b lies, regardless of chance.
	Direction Direction
	// Test is the test behind P.
	Test Test
	// P is the two-sided p-value of Student's t, NaN if nothing can be tested: one value, or values without
	// scatter.
	P float64
	// Correlation is the correlation of neighbouring values of series, at least 0, and Effective the numbers
	// of independent values that the samples count as; all are 0 if neighbours are not correlated.
	Correlation float64
	Effective   [2]float64
	// Permutation is the test that assumes nothing about the distribution of the values.
	Permutation Permutation
	// Scatter is the standard deviation of the logarithms, or of the values without a ratio.
	Scatter Scatter
	// Caveats are doubts about the comparison.
	Caveats note.List
}

// Test names a test of two samples.
type Test string

// Tests of [Compare].
const (
	PairedLogs Test = "paired t of logarithms"
	WelchLogs  Test = "Welch's t of logarithms"
	PairedT    Test = "paired t"
	WelchT     Test = "Welch's t"
	SeriesLogs Test = "Welch's t of logarithms, for correlated values"
	SeriesT    Test = "Welch's t, for correlated values"
	NoTest     Test = "none"
)

// Compare compares b with a. If paired, a[i] and b[i] were measured together, for example in one cycle, so
// that disturbances affected both.
//
// The test is Student's t on the logarithms of the values, because disturbances of a measurement are
// multiplicative: of the differences of pairs, or of two independent samples with the degrees of freedom of
// Welch (1947). Ratio has the interval of that test, so it excludes 1 exactly if P is below 1 − Level. If
// values are not positive, the test uses the values, and Difference has the interval. Of lognormal pairs
// without a difference, 5 % are called different at the level of 5 %, of other distributions 2 to 6 %
// (simulated); a t test has power from two values.
//
// Permutation is given in addition: exact without any assumption on the distribution, but unable to conclude
// anything from few values. It flips the signs of the pairs' differences (Fisher 1935), through all 2ⁿ for up
// to 14 pairs, or redistributes the values of independent samples (Pitman 1937), in all ways if there are at
// most 100 000; otherwise it draws Resamples of them at random.
func Compare(a, b []float64, paired bool, options Options) (Comparison, error) {
	if paired && len(a) != len(b) {
		return Comparison{}, fmt.Errorf("compare pairs: %d values against %d", len(a), len(b))
	}
	of := layout{WelchLogs, WelchT, contrastGroups}
	if paired {
		of = layout{PairedLogs, PairedT, contrastPairs}
	}
	a, b = ordered(a, b, paired)
	return of.compare(a, b, paired, options)
}

// CompareSeries compares b with a if the values are in the order of measurement, each sample in one interval
// of time, so that a drift may look like a difference. If neighbours are correlated, each sample counts as
// fewer values.
//
// Of series without drift, 2 to 4 % are called different at the level of 5 %; of series whose neighbours are
// correlated by 0.3, 4 to 8 % (by Welch's t 7 to 14 %). A monotonic drift as large as the scatter is not
// compensated: of 5 values each, which drift by 0.3 standard deviations per step, 28 % are called different
// (by Welch's t 43 %; all simulated).
func CompareSeries(a, b []float64, options Options) (Comparison, error) {
	return layout{SeriesLogs, SeriesT, contrastSeries}.compare(a, b, false, options)
}

// layout has the tests of logarithms and of plain values for one way of measuring.
type layout struct {
	logs, plain Test
	contrast    func(a, b []float64) contrast
}

// compare returns the comparison of two samples.
func (l layout) compare(a, b []float64, paired bool, options Options) (Comparison, error) {
	o, err := options.filled()
	if err != nil {
		return Comparison{}, err
	}
	if err := errors.Join(sample("first", a), sample("second", b)); err != nil {
		return Comparison{}, err
	}
	c := Comparison{MeanA: Mean(a), MeanB: Mean(b), P: math.NaN(), Test: NoTest}
	c.contrast(a, b, l, o.Level)
	a, b = ordered(a, b, paired)
	if paired {
		c.Permutation = comparePairs(a, b, o)
	} else {
		c.Permutation = shuffleGroups(a, b, o)
	}
	return c, nil
}

// contrast sets the t test and its intervals.
func (c *Comparison) contrast(a, b []float64, l layout, level float64) {
	of, test := l.contrast, l.plain
	plain, scale := of(a, b), size(a, b)
	c.Difference, c.Ratio = plain.interval(scale, level), unbounded(math.NaN(), level)
	c.Direction, c.P, c.Scatter = direction(c.MeanA, c.MeanB), plain.test(scale), plain.scatter
	c.Correlation, c.Effective = plain.correlation, plain.effective
	if !positive(a) || !positive(b) {
		c.Ratio.Caveats.Warn(codes.NoRatio, "a ratio needs positive values")
	} else {
		of := of(logs(a), logs(b))
		e := of.interval(1, level)
		e.Value, e.Low, e.High = math.Exp(e.Value), math.Exp(e.Low), math.Exp(e.High)
		c.Ratio, c.P, c.Scatter, test = e, of.test(1), of.scatter, l.logs
		c.Correlation, c.Effective = of.correlation, of.effective
		c.Direction = direction(1, e.Value)
	}
	if !math.IsNaN(c.P) {
		c.Test = test
	}
}

// direction returns the direction of b from a; it ignores a difference in the last digits, which comes from
// another order of summing.
func direction(a, b float64) Direction {
	switch d := b - a; {
	case math.Abs(d) <= 2e-15*(math.Abs(a)+math.Abs(b)):
		return NoChange
	case d < 0:
		return Decrease
	}
	return Increase
}

// sample checks one of two samples.
func sample(name string, values []float64) error {
	if err := check(values); err != nil {
		return fmt.Errorf("%s sample: %w", name, err)
	}
	return nil
}

// ordered returns sorted copies of both samples, pairs kept together, so that random draws do not depend on
// the order of the input.
func ordered(a, b []float64, paired bool) (x, y []float64) {
	x, y = slices.Clone(a), slices.Clone(b)
	if !paired {
		slices.Sort(x)
		slices.Sort(y)
		return x, y
	}
	order := make([]int, len(a))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Or(cmp.Compare(a[i], a[j]), cmp.Compare(b[i], b[j]))
	})
	for to, from := range order {
		x[to], y[to] = a[from], b[from]
	}
	return x, y
}

// comparePairs runs the test of the pairs' differences.
func comparePairs(a, b []float64, o Options) Permutation {
	differences := make([]float64, len(a))
	for i := range a {
		differences[i] = b[i] - a[i]
	}
	return flipSigns(differences, o)
}
