package stats

import (
	"math"
	"math/rand/v2"

	"github.com/llenergymeasure/llem/internal/codes"
)

// ratioOfMeans is mean(b) / mean(a) with its interval. Pairs are at the same index
// of a and b.
func ratioOfMeans(a, b []float64, paired bool, o Options) Estimate {
	if !positive(a) || !positive(b) {
		e := unbounded(math.NaN(), o.Level)
		e.Caveats.Warn(codes.NoRatio, "a ratio of means needs positive values")
		return e
	}
	r := replication{n: min(len(a), len(b)), estimate: Mean(b) / Mean(a)}
	switch {
	case r.n < 2 || allEqual(a) && allEqual(b):
		return r.interval(o.Level)
	case r.n < fewForBootstrap:
		return studentRatio(a, b, paired, o.Level)
	case paired:
		r.resamplePairs(a, b, o)
	default:
		r.resampleEach(a, b, o)
	}
	return r.interval(o.Level)
}

// positive tells whether all values are above 0, by enough for a ratio and its
// square to be finite.
func positive(values []float64) bool {
	for _, v := range values {
		if v < 1/largest {
			return false
		}
	}
	return true
}

// studentRatio is the interval of the ratio by Student's t on its logarithm. To
// first order (the delta method) that is the mean of b[i]/mean(b) − a[i]/mean(a):
// one sample for pairs, two for independent values, whose degrees of freedom are
// those of Welch (The Generalization of Student's Problem, 1947).
func studentRatio(a, b []float64, paired bool, level float64) Estimate {
	meanA, meanB := Mean(a), Mean(b)
	e := unbounded(meanB/meanA, level)
	variance, df := 0.0, float64(len(a)-1)
	if paired {
		parts := make([]float64, len(a))
		for i := range parts {
			parts[i] = b[i]/meanB - a[i]/meanA
		}
		_, sd := moments(parts)
		variance = sd * sd / float64(len(a))
	} else {
		variance, df = welch(a, b, meanA, meanB)
	}
	half := studentQuantile((1-level)/2, df) * math.Sqrt(variance)
	e.Low, e.High, e.Method = e.Value*math.Exp(-half), e.Value*math.Exp(half), MethodStudent
	return e
}

// welch is the variance of the difference of two means, each in units of its own
// mean, and its degrees of freedom.
func welch(a, b []float64, meanA, meanB float64) (variance, df float64) {
	_, sdA := moments(a)
	_, sdB := moments(b)
	n, m := float64(len(a)), float64(len(b))
	va, vb := sdA*sdA/(n*meanA*meanA), sdB*sdB/(m*meanB*meanB)
	variance = va + vb
	// The shares keep the squares of tiny variances from becoming 0 / 0.
	shareA, shareB := va/variance, vb/variance
	return variance, 1 / (shareA*shareA/(n-1) + shareB*shareB/(m-1))
}

// resamplePairs draws pairs with replacement.
func (r *replication) resamplePairs(a, b []float64, o Options) {
	rng := o.generator(streamBootstrap)
	r.replicates = make([]float64, o.Resamples)
	for i := range r.replicates {
		sumA, sumB := 0.0, 0.0
		for range a {
			j := rng.IntN(len(a))
			sumA, sumB = sumA+a[j], sumB+b[j]
		}
		r.replicates[i] = sumB / sumA
	}
	left, leftA := meansWithoutOne(b), meansWithoutOne(a)
	for i := range left {
		left[i] /= leftA[i]
	}
	r.jackknife = [][]float64{left}
}

// resampleEach draws both samples with replacement, each on its own.
func (r *replication) resampleEach(a, b []float64, o Options) {
	rng := o.generator(streamBootstrap)
	r.replicates = make([]float64, o.Resamples)
	for i := range r.replicates {
		r.replicates[i] = 1 / drawnMean(rng, a)
	}
	for i := range r.replicates {
		r.replicates[i] *= drawnMean(rng, b)
	}
	leftA, leftB := meansWithoutOne(a), meansWithoutOne(b)
	meanA, meanB := Mean(a), Mean(b)
	for i := range leftA {
		leftA[i] = meanB / leftA[i]
	}
	for i := range leftB {
		leftB[i] /= meanA
	}
	r.jackknife = [][]float64{leftA, leftB}
}

// meansWithoutOne is the means of the values with each left out in turn.
func meansWithoutOne(values []float64) []float64 {
	mean, out := Mean(values), make([]float64, len(values))
	for i, v := range values {
		out[i] = mean + (mean-v)/float64(len(values)-1)
	}
	return out
}

// drawnMean is the mean of as many values drawn with replacement.
func drawnMean(rng *rand.Rand, values []float64) float64 {
	s := 0.0
	for range values {
		s += values[rng.IntN(len(values))]
	}
	return s / float64(len(values))
}
