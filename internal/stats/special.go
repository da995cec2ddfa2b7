package stats

import "math"

// normalCDF is Φ(x), the standard normal distribution.
func normalCDF(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

// normalQuantile is Φ⁻¹(p): −Inf for 0, +Inf for 1.
func normalQuantile(p float64) float64 {
	if p < 0.5 {
		return -math.Sqrt2 * math.Erfinv(1-2*p)
	}
	return math.Sqrt2 * math.Erfinv(2*p-1)
}

// StudentQuantile is the half width in standard errors of the 95 % interval of an estimate with so many degrees of
// freedom.
func StudentQuantile(freedom int) float64 {
	return studentQuantile((1-DefaultLevel)/2, float64(freedom))
}

// studentQuantile is the t that a Student variable of df degrees of freedom
// exceeds with probability q, for 0 < q < 0.5.
//
// It is Newton's method on the tail. The tail is convex and falls, so from the
// left of the root, where the normal quantile lies, no step goes beyond it.
func studentQuantile(q, df float64) float64 {
	// Beyond 7 the normal quantile loses digits; any start on the left will do.
	t := min(-normalQuantile(q), 7)
	for range 200 {
		step := (studentTail(t, df) - q) / studentDensity(t, df)
		t += step
		if math.Abs(step) <= 1e-15*t {
			break
		}
	}
	return t
}

// studentTail is P(T > t) for t ≥ 0 (DLMF 8.17; Abramowitz and Stegun 26.7.1):
// half the regularised incomplete beta function I_x(df/2, 1/2) at x = df/(df+t²).
func studentTail(t, df float64) float64 {
	if t == 0 {
		return 0.5
	}
	a, b := df/2, 0.5
	x, y := df/(df+t*t), t*t/(df+t*t)
	// ln of x^a·y^b / B(a, b). B(a, 1/2) = √π·Γ(a)/Γ(a+1/2).
	front := math.Exp(-a*math.Log1p(t*t/df)+b*math.Log(y)) * gammaRatio(a) / math.Sqrt(math.Pi)
	// The fraction converges fast below the mean of the beta distribution.
	if x < (a+1)/(a+b+2) {
		return front * betaFraction(a, b, x) / a / 2
	}
	return (1 - front*betaFraction(b, a, y)/b) / 2
}

// fisherTail is P(F > f) of Fisher's F with d1 and d2 degrees of freedom: I_x(d2/2, d1/2) at x = d2/(d2+d1·f) (DLMF
// 8.17; Abramowitz and Stegun 26.6.2).
func fisherTail(f, d1, d2 float64) float64 {
	if !(f > 0) {
		return 1
	}
	a, b := d2/2, d1/2
	x, y := d2/(d2+d1*f), d1*f/(d2+d1*f)
	gammaA, _ := math.Lgamma(a)
	gammaB, _ := math.Lgamma(b)
	both, _ := math.Lgamma(a + b)
	front := math.Exp(a*math.Log(x) + b*math.Log(y) + both - gammaA - gammaB)
	if x < (a+1)/(a+b+2) {
		return front * betaFraction(a, b, x) / a
	}
	return 1 - front*betaFraction(b, a, y)/b
}

// studentDensity is the density of Student's t.
func studentDensity(t, df float64) float64 {
	return gammaRatio(df/2) / math.Sqrt(df*math.Pi) * math.Exp(-(df+1)/2*math.Log1p(t*t/df))
}

// gammaRatio is Γ(x+1/2)/Γ(x). From 30 on it is the asymptotic series in 1/x
// (DLMF 5.11.13), since the difference of two logarithms would lose digits.
func gammaRatio(x float64) float64 {
	if x < 30 {
		return math.Gamma(x+0.5) / math.Gamma(x)
	}
	u := 1 / x
	return math.Sqrt(x) * (1 +
		u*(-1.0/8+u*(1.0/128+u*(5.0/1024+u*(-21.0/32768+u*(-399.0/262144+u*(869.0/4194304+u*39325.0/33554432)))))))
}

// betaFraction is the continued fraction of the incomplete beta function (DLMF
// 8.17.22), evaluated from the front by the modified method of Lentz (Thompson
// and Barnett 1986).
func betaFraction(a, b, x float64) float64 {
	const tiny = 1e-300
	away := func(v float64) float64 {
		if math.Abs(v) < tiny {
			return tiny
		}
		return v
	}
	c, d := 1.0, 1/away(1-(a+b)*x/(a+1))
	h := d
	for m := 1.0; m <= 10000; m++ {
		even := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d = 1 / away(1+even*d)
		c = away(1 + even/c)
		h *= d * c
		odd := -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d = 1 / away(1+odd*d)
		c = away(1 + odd/c)
		h *= d * c
		if math.Abs(d*c-1) < 1e-16 {
			break
		}
	}
	return h
}
