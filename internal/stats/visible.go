package stats

import "math"

// Power is the chance of being found that a difference has which counts as visible.
const Power = 0.8

// mostNeeded bounds Needed: nobody repeats a run more often.
const mostNeeded = 10_000

// Scatter is how far values lie apart by chance. It decides which differences a number of values can show.
type Scatter struct {
	// SD is the standard deviation of the differences of pairs or of the values of one sample, in their
	// unit; of logarithms it is relative.
	SD float64
	// DF are the degrees of freedom that SD is known with.
	DF float64
	// Paired marks an SD of the differences of pairs.
	Paired bool
	// Correlation of neighbouring values, by which each sample counts as fewer; 0 is none.
	Correlation float64
	// Blocks is the number of blocks within which the values are compared; 0 if there are none.
	Blocks int
}

// likely is SD without the bias of few values: the median of a sample's deviation lies below the true one (Wilson and
// Hilferty 1931).
func (s Scatter) likely() float64 {
	return s.SD / math.Pow(1-2/(9*s.DF), 1.5)
}

// Visible is the least difference that n pairs, or n values on each side, show with probability Power in a two-sided
// t test at level alpha, in the unit of SD. It is +Inf for one value and NaN where the scatter is not known.
func (s Scatter) Visible(n int, alpha float64) float64 {
	switch {
	case !(s.DF > 0):
		return math.NaN()
	case n < 2:
		return math.Inf(1)
	case s.SD == 0:
		return 0
	}
	return s.likely() * crossing(func(difference float64) float64 { return s.power(n, difference, alpha) - Power })
}

// crossing returns where a function that rises from below zero at 0 crosses zero, by regula falsi that halves the value
// at an end which stays (Dowell and Jarratt 1971, "Illinois"): a power takes an integral, so few of them are computed.
func crossing(f func(float64) float64) float64 {
	low, high := 0.0, 1.0
	below, above := f(low), f(high)
	for above < 0 {
		low, below, high = high, above, 2*high
		above = f(high)
	}
	const tiny = 1e-9
	for side := 0; above-below > tiny && high-low > 1e-7*high; {
		x := (low*above - high*below) / (above - below)
		switch y := f(x); {
		case math.Abs(y) < tiny:
			return x
		case y < 0:
			if low, below = x, y; side < 0 {
				above /= 2
			}
			side = -1
		default:
			if high, above = x, y; side > 0 {
				below /= 2
			}
			side = 1
		}
	}
	return high
}

// Needed is the least number of pairs, or of values on each side, that show a difference (in the unit of SD); 0 where
// it is above 10 000 or not known.
func (s Scatter) Needed(difference, alpha float64) int {
	difference = math.Abs(difference) / s.likely()
	if !(difference > 0) || s.power(mostNeeded, difference, alpha) < Power {
		return 0
	}
	low, high := 1, 2 // too few, enough
	for s.power(high, difference, alpha) < Power {
		low, high = high, min(2*high, mostNeeded)
	}
	for high-low > 1 {
		if middle := (low + high) / 2; s.power(middle, difference, alpha) < Power {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

// power is the chance that n values show a difference in units of the standard deviation.
func (s Scatter) power(n int, difference, alpha float64) float64 {
	if s.Paired {
		return tPower(difference*math.Sqrt(float64(n)), float64(n-1), alpha)
	}
	if s.Correlation > 0 {
		count := effective(n, s.Correlation)
		return tPower(difference*math.Sqrt(count/2), 2*freedom(count), alpha)
	}
	if s.Blocks > 0 {
		df := max(1, float64(2*n-1-s.Blocks))
		return tPower(difference*math.Sqrt(float64(n)/2), df, alpha)
	}
	// Welch's degrees of freedom lie between n − 1 and 2n − 2; the mean of what they do to the power is about here.
	df := float64(2*n-2) * float64(n) / float64(n+1)
	return tPower(difference*math.Sqrt(float64(n)/2), df, alpha)
}

// tPower is the chance that a t of df degrees of freedom and noncentrality d leaves the two-sided limits at alpha: with
// u = √(χ²/df) it is 1 − ∫ [Φ(tu − d) − Φ(−tu − d)] f(u) du (Owen 1965), by Simpson's rule.
func tPower(d, df, alpha float64) float64 {
	if math.IsInf(d, 1) {
		return 1
	}
	const steps = 256
	const far = 7.0 // standard deviations: 1e-12 lie beyond
	limit := studentQuantile(alpha/2, df)
	width := 7 / math.Sqrt(2*df)
	from, to := max(0, 1-width), 1+width
	gamma, _ := math.Lgamma(df / 2)
	front := math.Ln2 + df/2*math.Log(df/2) - gamma
	inside := func(u float64) float64 {
		if u == 0 && df > 1 {
			return 0
		}
		f := math.Exp(front - df*u*u/2)
		if df != 1 {
			f = math.Exp(front + (df-1)*math.Log(u) - df*u*u/2)
		}
		within := 1.0
		if upper := limit*u - d; upper < far {
			within = normalCDF(upper)
		}
		if lower := -limit*u - d; lower > -far {
			within -= normalCDF(lower)
		}
		return f * within
	}
	step := (to - from) / steps
	total := inside(from) + inside(to)
	for i := 1; i < steps; i++ {
		total += float64(2+i%2*2) * inside(from+float64(i)*step)
	}
	return max(0, 1-total*step/3)
}
