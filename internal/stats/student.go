package stats

import (
	"math"

	"github.com/llenergymeasure/llem/internal/codes"
)

// MeanInterval is the mean of the values with Student's interval
// mean ± t·s/√n with n − 1 degrees of freedom (Student 1908). It suits few
// values, down to two, that are roughly normal: repeated runs of one
// configuration. The level is in (0, 1); 0 means DefaultLevel.
func MeanInterval(values []float64, level float64) (Estimate, error) {
	o, err := Options{Level: level}.filled()
	if err != nil {
		return Estimate{}, err
	}
	if err := check(values); err != nil {
		return Estimate{}, err
	}
	mean, sd := moments(values)
	e := unbounded(mean, o.Level)
	if len(values) < 2 {
		e.Caveats.Warn(codes.TooFewValues, "one value has no interval")
		return e, nil
	}
	e.Method = MethodStudent
	if allEqual(values) {
		e.Value, e.Low, e.High = values[0], values[0], values[0]
		e.Caveats.Warnf(codes.AllEqual, "all %d values are the same", len(values))
		return e, nil
	}
	half := halfWidth(sd, len(values), o.Level)
	e.Low, e.High = mean-half, mean+half
	return e, nil
}

// halfWidth returns the half width of Student's interval of a mean.
func halfWidth(sd float64, n int, level float64) float64 {
	return studentQuantile((1-level)/2, float64(n-1)) * sd / math.Sqrt(float64(n))
}

// RelativeHalfWidth is half the width of Student's 95 % interval of the mean,
// relative to the size of the mean: a rule of stopping measures until it falls
// below a goal. It is +Inf, so that the rule measures on, for fewer than two
// values and for a mean of 0.
//
// Looking after every value stops early when the values happen to lie close
// together, so the final interval covers less than 95 %: 92 to 95 % with at least
// five values, 87 to 95 % with two (simulated, normal values).
func RelativeHalfWidth(values []float64) (float64, error) {
	if len(values) == 0 {
		return math.Inf(1), nil
	}
	e, err := MeanInterval(values, DefaultLevel)
	if err != nil {
		return 0, err
	}
	if !e.HasInterval() || e.Value == 0 {
		return math.Inf(1), nil
	}
	return (e.High - e.Low) / 2 / math.Abs(e.Value), nil
}
