package stats

import "math"

// shapeResamples is how often the bootstrap of MeanByShape draws. A study has up to a million
// intervals; the ends of one move by 3 % of its width between seeds.
const shapeResamples = 1999

// MeanByShape returns the mean of the values with the interval that suits their number and distribution.
// Student's interval is valid for few values, whose distribution is unknown, and for many that are not
// skewed. From 20 values, if the skewness exceeds two of its standard errors under normality, it uses the BCa
// interval, which follows the distribution.
func MeanByShape(values []float64) (Estimate, error) {
	if len(values) >= fewForBootstrap && skewed(values) {
		return BCa(values, Mean, Options{Resamples: shapeResamples})
	}
	return MeanInterval(values, DefaultLevel)
}

// skewed reports whether the sample skewness G1 exceeds two standard errors for normal values (Joanes and
// Gill 1998).
func skewed(values []float64) bool {
	n := float64(len(values))
	mean, sd := moments(values)
	if n < 3 || !(sd > 0) {
		return false
	}
	cubes := 0.0
	for _, v := range values {
		u := (v - mean) / sd
		cubes += u * u * u
	}
	g1 := n / ((n - 1) * (n - 2)) * cubes
	return math.Abs(g1) > 2*math.Sqrt(6*n*(n-1)/((n-2)*(n+1)*(n+3)))
}
