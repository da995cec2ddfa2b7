package stats

import "math"

// Proportion is a share k of n with Wilson's score interval (1927) at the default level. It stays within 0 and 1 and
// has a width also for 0 of n and n of n. effective is the number of independent trials that the n are worth; 0 means
// n. It returns NaN for n of 0.
func Proportion(k, n int, effective float64) Estimate {
	if n == 0 {
		return unbounded(math.NaN(), DefaultLevel)
	}
	m := float64(n)
	if effective > 0 {
		m = min(m, effective)
	}
	p, z := float64(k)/float64(n), normalQuantile((1+DefaultLevel)/2)
	centre := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	e := unbounded(p, DefaultLevel)
	// The limits are exact for 0 and 1 but for rounding.
	e.Low, e.High, e.Method = min(p, max(0, centre-half)), max(p, min(1, centre+half)), MethodWilson
	return e
}

// mostLags bounds the lags of an autocorrelation, and with them its time.
const mostLags = 2000

// EffectiveSize returns the number of independent values that a series of values in order of time is worth for its
// mean: n / (1 + 2 Σ ρ), where the sum of autocorrelations goes to the first pair of lags with a negative sum (Geyer
// 1992), and over at most a quarter of the values. It is at least 1 and at most n.
func EffectiveSize(values []float64) float64 {
	n := len(values)
	if n < 4 {
		return float64(n)
	}
	mean := Mean(values)
	covariance := func(lag int) (sum float64) {
		for i := lag; i < n; i++ {
			sum += (values[i] - mean) * (values[i-lag] - mean)
		}
		return sum
	}
	zero := covariance(0)
	if zero <= 0 {
		return float64(n)
	}
	// Pairs ρ(2k) + ρ(2k+1), from 1 + ρ(1) on; Σ over all lags but 0 of both signs is twice their sum less 2.
	sum := 0.0
	for lag := 0; lag+1 <= min(n/4, mostLags); lag += 2 {
		pair := (covariance(lag) + covariance(lag+1)) / zero
		if pair <= 0 {
			break
		}
		sum += pair
	}
	return min(float64(n), max(1, float64(n)/max(1, 2*sum-1)))
}
