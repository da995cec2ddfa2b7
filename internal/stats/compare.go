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

// Direction says where the mean of the second configuration lies.
type Direction string

// Directions of an effect, by value: whether it could be chance is for the
// p-value to say.
const (
	Decrease Direction = "decrease"
	Increase Direction = "increase"
	NoChange Direction = "no change"
)

// Comparison holds a second configuration (b) against a first (a).
type Comparison struct {
	// MeanA and MeanB are the means of the two samples, in their unit.
	MeanA, MeanB float64
	// Ratio is mean of b / mean of a. Its value is NaN, with a caveat, unless all
	// values are positive.
	Ratio Estimate
	// Direction is how b differs from a, beyond chance.
	Direction Direction
	// P is the two-sided p-value of a permutation test of equal means.
	P float64
	// SmallestP is the least that P can be with this number of values.
	SmallestP float64
	// Exact tells that all arrangements were gone through, none drawn at random.
	Exact bool
	// Caveats are doubts about the comparison.
	Caveats note.List
}

// Compare holds b against a. Paired means that a[i] and b[i] were measured
// together, such as in one cycle, so that what disturbed one disturbed the other.
//
// The ratio of means has Student's interval of its logarithm for fewer than 20
// values (in the smaller sample) and the BCa interval from there on, since the
// bootstrap is too narrow for few; Ratio.Method tells which. Pairs are resampled
// as pairs, independent samples each on its own.
//
// The test flips the signs of the pairs' differences (Fisher 1935), through all
// 2ⁿ for up to 14 pairs, or deals the values of independent samples anew (Pitman
// 1937), through all deals if at most 100 000. Beyond, it draws Resamples of them
// at random. P is twice the smaller tail. A test of independent samples is exact
// for equal distributions; where spreads differ much, only the interval looks at
// the means alone.
func Compare(a, b []float64, paired bool, options Options) (Comparison, error) {
	o, err := options.filled()
	if err != nil {
		return Comparison{}, err
	}
	if err := errors.Join(sample("first", a), sample("second", b)); err != nil {
		return Comparison{}, err
	}
	if paired && len(a) != len(b) {
		return Comparison{}, fmt.Errorf("compare pairs: %d values against %d", len(a), len(b))
	}
	a, b = ordered(a, b, paired)
	c := Comparison{MeanA: Mean(a), MeanB: Mean(b), Ratio: ratioOfMeans(a, b, paired, o)}
	test := shuffleGroups
	if paired {
		test = comparePairs
	}
	t := test(a, b, o)
	c.P, c.SmallestP, c.Exact = t.p, t.smallest, t.exact
	c.Direction = direction(c.MeanA, c.MeanB)
	if c.SmallestP >= 1-o.Level {
		c.Caveats.Warnf(codes.OutOfReach,
			"with so few values p cannot be below %.3g, so no difference can be significant", c.SmallestP)
	}
	return c, nil
}

// direction of b from a; a difference in the last digits is that of summing in
// another order.
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

// ordered is copies of both samples sorted, pairs kept together, so that random
// draws do not depend on the order of the input.
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

// comparePairs is the test of the pairs' differences.
func comparePairs(a, b []float64, o Options) permutation {
	differences := make([]float64, len(a))
	for i := range a {
		differences[i] = b[i] - a[i]
	}
	return flipSigns(differences, o)
}
