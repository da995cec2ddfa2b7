package stats

import "math"

// mostCorrelated bounds the correlation of neighbours that is estimated from a few values.
const mostCorrelated = 0.9

// contrastSeries returns the contrast of two samples whose values are in the order of measurement, each
// sample in one interval of time. A slow drift (temperature, other work) moves neighbours together and the
// two intervals apart: their means differ by more than independent values would. So each sample counts as
// fewer values, by the correlation of neighbours in both (Zwiers and von Storch, Taking Serial Correlation
// into Account in Tests of the Mean, 1995). Without correlation it is [contrastGroups].
func contrastSeries(a, b []float64) contrast {
	c := contrastGroups(a, b)
	rho := neighbours(a, b)
	if rho == 0 || math.IsNaN(c.error) {
		return c
	}
	n, m := float64(len(a)), float64(len(b))
	na, nb := effective(len(a), rho), effective(len(b), rho)
	_, sdA := moments(a)
	_, sdB := moments(b)
	// The variance within a stretch misses what all its values have in common.
	whole := func(sd, n, effective float64) float64 { return sd * sd / ((1 - 1/effective) * n / (n - 1)) }
	varA, varB := whole(sdA, n, na), whole(sdB, m, nb)
	va, vb := varA/na, varB/nb
	shareA, shareB := va/(va+vb), vb/(va+vb)
	c.error = math.Sqrt(va + vb)
	c.df = 1 / (shareA*shareA/freedom(na) + shareB*shareB/freedom(nb))
	c.correlation, c.effective = rho, [2]float64{na, nb}
	c.scatter = Scatter{SD: math.Sqrt((varA + varB) / 2), DF: freedom(na) + freedom(nb), Correlation: rho}
	return c
}

// freedom are the degrees of freedom of the variance of as many independent values.
func freedom(effective float64) float64 { return max(0.5, effective-1) }

// neighbours is the correlation of neighbouring values in both samples (0 to mostCorrelated), corrected for the bias
// that deviations from a sample's own mean have: of n independent values they are correlated by −1/n (Kendall, Note on
// Bias in the Estimation of Autocorrelation, 1954).
func neighbours(samples ...[]float64) float64 {
	products, squares, bias, df := 0.0, 0.0, 0.0, 0.0
	for _, values := range samples {
		mean, _ := moments(values)
		for i, v := range values {
			squares += (v - mean) * (v - mean)
			if i > 0 {
				products += (v - mean) * (values[i-1] - mean)
			}
		}
		n := float64(len(values))
		bias, df = bias+(n-1)/n, df+n-1
	}
	if !(squares > 0) {
		return 0
	}
	return min(mostCorrelated, max(0, products/squares+bias/df))
}

// effective is how many independent values have a mean that is known as well as the mean of n values whose
// correlation falls by the factor rho from neighbour to neighbour (Bayley and Hammersley, The "Effective" Number of
// Independent Observations in an Autocorrelated Time Series, 1946).
func effective(n int, rho float64) float64 {
	sum, power := 1.0, 1.0
	for k := 1; k < n && power > 1e-9; k++ {
		power *= rho
		sum += 2 * (1 - float64(k)/float64(n)) * power
	}
	return float64(n) / sum
}
