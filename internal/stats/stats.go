// Package stats has the statistics of llem: pure functions over plain numbers.
//
// [Summarize] describes a sample of repeated measurements, [MeanInterval] its mean and [BCa] any other
// statistic. [Compare] compares two configurations, [CompareBlocks] does so within machines; [Holm] corrects
// the p-values of many comparisons. [Drift] tests whether the values changed while they were measured.
// [RelativeHalfWidth] shows when enough has been measured. Over many configurations, [Pareto] finds the
// Pareto front and [Best] the best choice under limits; both use intervals, not only values.
//
// Doubt is part of a result: each has its interval and its caveats. NaN and infinite inputs are errors,
// unless they mean that a value is missing (Point). Random draws come from a seeded generator over sorted
// values, so a result depends only on the values and the seed, not on their order.
package stats

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/llenergymeasure/llem/note"
)

// Defaults of the zero Options.
const (
	DefaultLevel     = 0.95
	DefaultResamples = 9999
)

// Options control intervals and tests; the zero value is useful.
type Options struct {
	// Level is the confidence of an interval, in (0, 1); 0 means DefaultLevel. A
	// test counts as significant below 1 − Level.
	Level float64
	// Resamples is how often a bootstrap or a Monte-Carlo test draws, 100 or more;
	// 0 means DefaultResamples. Time grows as Resamples × values.
	Resamples int
	// Seed selects the random draws; equal seeds give equal results.
	Seed uint64
}

// filled sets the defaults and checks the options.
func (o Options) filled() (Options, error) {
	if o.Level == 0 {
		o.Level = DefaultLevel
	}
	if o.Resamples == 0 {
		o.Resamples = DefaultResamples
	}
	if !(o.Level > 0 && o.Level < 1) {
		return o, fmt.Errorf("level %v: want a number between 0 and 1", o.Level)
	}
	if o.Resamples < 100 {
		return o, fmt.Errorf("%d resamples: want at least 100", o.Resamples)
	}
	return o, nil
}

// generator is the source of random draws of one purpose (stream).
func (o Options) generator(stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(o.Seed, stream))
}

// Streams of generator: the interval and the test of a comparison must not share
// their draws.
const (
	streamBootstrap uint64 = iota + 1
	streamPermutation
)

// Method names the method of an interval.
type Method string

// Methods of an interval.
const (
	MethodNone       Method = "none"
	MethodBCa        Method = "bca"
	MethodPercentile Method = "percentile"
	MethodStudent    Method = "student-t"
	MethodSen        Method = "sen"
	MethodOrder      Method = "order-statistics"
	MethodWoodruff   Method = "woodruff"
)

// Estimate is a value with its confidence interval.
type Estimate struct {
	// Value is the estimate, in the unit of the data.
	Value float64
	// Low and High bound the interval; both are NaN if there is none.
	Low, High float64
	// Level is the confidence level of the interval.
	Level float64
	// Method is how the interval was computed.
	Method Method
	// Caveats are doubts about value and interval.
	Caveats note.List
}

// HasInterval reports whether e has an interval.
func (e Estimate) HasInterval() bool { return !math.IsNaN(e.Low) && !math.IsNaN(e.High) }

// Point returns e without its method.
func (e Estimate) Point() Point { return Point{Value: e.Value, Low: e.Low, High: e.High} }

// unbounded is an estimate without an interval.
func unbounded(value, level float64) Estimate {
	return Estimate{Value: value, Low: math.NaN(), High: math.NaN(), Level: level, Method: MethodNone}
}

// errNoValues is the error for an empty sample.
var errNoValues = errors.New("no values")

// largest is the largest accepted absolute value: squares and their sums stay finite.
const largest = 1e150

// check returns an error for an empty sample and for values that are not finite or too large.
func check(values []float64) error {
	if len(values) == 0 {
		return errNoValues
	}
	for i, v := range values {
		if !(math.Abs(v) <= largest) {
			return fmt.Errorf("value %d is %v: want a finite number of at most %g in size", i, v, largest)
		}
	}
	return nil
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// allEqual reports whether all values are equal.
func allEqual(values []float64) bool {
	for _, v := range values {
		if v != values[0] {
			return false
		}
	}
	return true
}
