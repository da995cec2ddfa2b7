package stats

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
