package stats

// mostLags bounds the lags of an autocorrelation, and with them its time.
const mostLags = 2000

// EffectiveSize returns the number of independent values that a series of values in order of time is worth for its
// mean: n / (1 + 2 Σ ρ), where the sum of autocorrelations goes to the first pair of lags with a negative sum (Geyer
// 1992), and over at most a quarter of the values. It is at least 1 and at most n.
func EffectiveSize(values []float64) float64 {
	size, _ := geyer(values)
	return size
}

// IntervalSize returns the number of independent values whose normal interval at 95 % is as wide as the mean of a
// series in order of time is uncertain. It is less than [EffectiveSize]: deviations from the mean of the series itself
// resemble each other less than deviations from the true one, by the share of the series over which autocorrelations
// are summed, and a scatter that is known from few values calls for Student's quantile.
func IntervalSize(values []float64) float64 {
	size, lags := geyer(values)
	n := float64(len(values))
	if size < n {
		times := n / size
		size = max(1, n*(max(leastKept, 1-float64(2*lags+1)/n)+times/n)/times)
	}
	q := -normalQuantile((1-DefaultLevel)/2) / StudentQuantile(max(1, int(size)-1))
	return size * q * q
}

// BeyondSize returns a function for the [IntervalSize] of whether each value of a series lies beyond a limit, or the
// size of the values themselves if it is less: few values beyond a limit do not show how much they resemble each other.
func BeyondSize(values []float64) func(limit float64) int {
	beyond, most := make([]float64, len(values)), IntervalSize(values)
	return func(limit float64) int {
		for i, v := range values {
			if beyond[i] = 0; v > limit {
				beyond[i] = 1
			}
		}
		return int(min(most, IntervalSize(beyond)))
	}
}

// leastKept is the least share of a sum of autocorrelations that deviations from the mean of the series keep.
const leastKept = 0.2

// geyer returns the size, and the last lag of the sum.
func geyer(values []float64) (size float64, lags int) {
	n := len(values)
	if n < 4 {
		return float64(n), 0
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
		return float64(n), 0
	}
	// Pairs ρ(2k) + ρ(2k+1), from 1 + ρ(1) on; Σ over all lags but 0 of both signs is twice their sum less 2.
	sum := 0.0
	for lag := 0; lag+1 <= min(n/4, mostLags); lag += 2 {
		pair := (covariance(lag) + covariance(lag+1)) / zero
		if pair <= 0 {
			break
		}
		sum, lags = sum+pair, lag+1
	}
	return min(float64(n), max(1, float64(n)/max(1, 2*sum-1))), lags
}
