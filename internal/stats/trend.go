package stats

import (
	"fmt"
	"math"
	"slices"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Sizes of a trend test: up to exactTrend values without ties it uses the exact
// distribution; maxTrend bounds the time and memory of all pairs of values.
const (
	exactTrend = 50
	maxTrend   = 4096
)

// Trend is what Drift found.
type Trend struct {
	// N is the number of values.
	N int
	// S is the number of pairs of values that rise with time minus the number that fall.
	S int
	// Tau is Kendall's rank correlation with time (tau-b): −1 if all fall, 1 if
	// all rise, 0 for equal values.
	Tau float64
	// P is the two-sided p-value of no trend; SmallestP its smallest possible value.
	P, SmallestP float64
	// Exact reports whether P comes from the exact distribution of S.
	Exact bool
	// Slope is the change of the value per unit of time.
	Slope Estimate
	// Change is the slope over the whole time relative to the median of the values;
	// NaN where that is 0.
	Change float64
	// Caveats are doubts about the trend.
	Caveats note.List
}

// Drift tests whether the values rise or fall over time (Mann 1945; Kendall, Rank
// Correlation Methods, 1975) and estimates how fast (Theil 1950; Sen 1968).
//
// The times must increase; nil stands for 0, 1, 2, … The slope is the median of
// the slopes of all pairs of values. P and the slope's interval use the exact
// distribution of S for up to 50 values without ties, else the normal
// approximation with the variance corrected for ties, P also with the correction
// for continuity. codes.Drift is set when P < 1 − Level.
//
// The test takes the values as independent. Samples of one smooth series, such as
// power every 100 ms, are not: average them over blocks first. More than 4096
// values are refused, since the slopes of all pairs are kept.
func Drift(times, values []float64, options Options) (Trend, error) {
	o, err := options.filled()
	if err != nil {
		return Trend{}, err
	}
	if err := check(values); err != nil {
		return Trend{}, err
	}
	if len(values) > maxTrend {
		return Trend{}, fmt.Errorf("trend of %d values: want at most %d; average over blocks", len(values), maxTrend)
	}
	if times == nil {
		times = indices(len(values))
	}
	if err := increasing(times, len(values)); err != nil {
		return Trend{}, err
	}
	t := Trend{N: len(values), Slope: unbounded(math.NaN(), o.Level), P: 1, SmallestP: 1, Change: math.NaN()}
	if t.N < 2 {
		t.Caveats.Warn(codes.TooFewValues, "one value has no trend")
		return t, nil
	}
	null := newKendall(values)
	slopes := pairSlopes(times, values)
	t.S, t.Exact, t.SmallestP = balance(values), null.exact != nil, null.p(null.pairs-null.tied)
	t.Tau, t.P = null.tau(t.S), null.p(t.S)
	t.Slope.Value = middle(slopes)
	if s, _ := Summarize(values); s.Median != 0 {
		t.Change = t.Slope.Value * (times[t.N-1] - times[0]) / math.Abs(s.Median)
	}
	if k := null.cut((1 - o.Level) / 2); k >= 0 {
		t.Slope.Low, t.Slope.High, t.Slope.Method = slopes[k], slopes[len(slopes)-1-k], MethodSen
	} else {
		t.Slope.Caveats.Warnf(codes.TooFewValues, "%d values have no interval of the slope at this level", t.N)
	}
	t.Caveats = t.caveats(allEqual(values), 1-o.Level)
	return t, nil
}

func (t Trend) caveats(equal bool, alpha float64) note.List {
	var list note.List
	if equal {
		list.Warnf(codes.AllEqual, "all %d values are the same", t.N)
		return list
	}
	if t.P < alpha {
		list.Warnf(codes.Drift, "the values drift: p = %.2g, %.3g per unit of time", t.P,
			t.Slope.Value)
	}
	if t.SmallestP >= alpha {
		list.Warnf(codes.OutOfReach,
			"with so few values p cannot be below %.3g, so no trend can be significant", t.SmallestP)
	}
	if !t.Exact && t.N <= 10 {
		list.Warnf(codes.ApproximateP, "ties among %d values: p is approximate", t.N)
	}
	return list
}

// indices is 0, 1, 2, …
func indices(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = float64(i)
	}
	return out
}

// increasing checks times against the number of values.
func increasing(times []float64, n int) error {
	if len(times) != n {
		return fmt.Errorf("%d times for %d values", len(times), n)
	}
	for i, v := range times {
		if !finite(v) || i > 0 && v <= times[i-1] {
			return fmt.Errorf("time %d is %v: want finite, increasing times", i, v)
		}
	}
	return nil
}

// balance is S of Mann: the sum of the signs of all later less earlier values.
func balance(values []float64) int {
	s := 0
	for i, early := range values {
		for _, late := range values[i+1:] {
			switch {
			case late > early:
				s++
			case late < early:
				s--
			}
		}
	}
	return s
}

// pairSlopes is the sorted slopes between all pairs of values.
func pairSlopes(times, values []float64) []float64 {
	out := make([]float64, 0, len(values)*(len(values)-1)/2)
	for i := range values {
		for j := i + 1; j < len(values); j++ {
			out = append(out, (values[j]-values[i])/(times[j]-times[i]))
		}
	}
	slices.Sort(out)
	return out
}
