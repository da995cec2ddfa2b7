package attribute

import "math"

// student975 returns the 97.5 % quantile of Student's t (Cornish–Fisher expansion around the normal,
// Abramowitz and Stegun 26.7.5; error below 0.5 % from 3 degrees). It differs from the exact quantile that
// the statistics over runs use, because recomputing stored results from their raw files must reproduce every
// digit.
func student975(df float64) float64 {
	const z = 1.959963984540054
	if df < 1 {
		df = 1
	}
	if df < 3 { // exact at 1 and 2, log-linear in between, where the expansion is poor
		const t1, t2, t3 = 12.706, 4.303, 3.182
		if df < 2 {
			return t1 * math.Pow(t2/t1, df-1)
		}
		return t2 * math.Pow(t3/t2, df-2)
	}
	z2 := z * z
	g1 := z * (z2 + 1) / 4
	g2 := z * (5*z2*z2 + 16*z2 + 3) / 96
	g3 := z * (3*z2*z2*z2 + 19*z2*z2 + 17*z2 - 15) / 384
	g4 := z * (79*z2*z2*z2*z2 + 776*z2*z2*z2 + 1482*z2*z2 - 1920*z2 - 945) / 92160
	return z + g1/df + g2/(df*df) + g3/(df*df*df) + g4/(df*df*df*df)
}

func square(x float64) float64 { return x * x }
