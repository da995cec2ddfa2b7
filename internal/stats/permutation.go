package stats

import "math"

// Sizes up to which a permutation test uses all arrangements.
const (
	exactPairs        = 14
	exactArrangements = 100_000
)

// Permutation is the result of a permutation test.
type Permutation struct {
	// P is two-sided: twice the smaller tail, at most 1.
	P float64
	// SmallestP is the smallest possible P for this number of values.
	SmallestP float64
	// Exact reports whether all arrangements were used, none drawn at random.
	Exact bool
}

// PermutationNeeds is the least number of pairs, or of values on each side, with which a permutation test can have a
// p-value below alpha.
func PermutationNeeds(paired bool, alpha float64) int {
	for n := 1; n < exactPairs; n++ {
		least := math.Ldexp(2, -n)
		if !paired {
			count, _ := arrangements(2*n, n)
			least = 2 / float64(count)
		}
		if least < alpha {
			return n
		}
	}
	return exactPairs
}

// tails counts the arrangements on either side of the observed sum. Sums that
// differ by less than tie are equal: they differ in rounding only.
type tails struct {
	observed, tie          float64
	atLeast, atMost, count int
}

func newTails(observed float64, values []float64) tails {
	size := 0.0
	for _, v := range values {
		size += math.Abs(v)
	}
	return tails{observed: observed, tie: 1e-13 * size}
}

func (t *tails) add(sum float64) {
	t.count++
	if sum >= t.observed-t.tie {
		t.atLeast++
	}
	if sum <= t.observed+t.tie {
		t.atMost++
	}
}

// exact is the p-value when all arrangements were added.
func (t *tails) exact() float64 {
	return min(1, 2*float64(min(t.atLeast, t.atMost))/float64(t.count))
}

// sampled is the p-value when random arrangements were added: the observed one
// counts as one more, which keeps the test valid and p above 0 (Phipson and Smyth
// 2010).
func (t *tails) sampled() float64 {
	return min(1, 2*float64(min(t.atLeast, t.atMost)+1)/float64(t.count+1))
}

// flipSigns tests whether the differences of pairs are centred on 0: under the
// null hypothesis each could as well have the other sign (Fisher, The Design of
// Experiments, 1935).
func flipSigns(differences []float64, o Options) Permutation {
	n := len(differences)
	t := newTails(sum(differences), differences)
	if n <= exactPairs {
		for signs := range 1 << n {
			t.add(signedSum(differences, uint64(signs)))
		}
		return Permutation{P: t.exact(), SmallestP: min(1, math.Ldexp(2, -n)), Exact: true}
	}
	rng := o.generator(streamPermutation)
	for range o.Resamples {
		s := 0.0
		for start := 0; start < n; start += 64 {
			s += signedSum(differences[start:min(start+64, n)], rng.Uint64())
		}
		t.add(s)
	}
	return Permutation{P: t.sampled(), SmallestP: 2 / float64(o.Resamples+1)}
}

// signedSum returns the sum of up to 64 values, with the values of set bits negated.
func signedSum(values []float64, signs uint64) float64 {
	s := 0.0
	for i, v := range values {
		if signs>>i&1 == 1 {
			v = -v
		}
		s += v
	}
	return s
}

// shuffleGroups tests whether two independent samples have one mean: under the
// null hypothesis any of the values could as well have been in the other sample
// (Pitman 1937).
func shuffleGroups(a, b []float64, o Options) Permutation {
	if len(b) < len(a) {
		// The total is fixed, so the sum of either group gives the same test; two-sided, the
		// smaller one will do.
		a, b = b, a
	}
	pooled := centred(a, b)
	k := len(a)
	t := newTails(sum(pooled[:k]), pooled)
	if count, ok := arrangements(len(pooled), k); ok {
		eachGroup(pooled, k, t.add)
		return Permutation{P: t.exact(), SmallestP: min(1, 2/float64(count)), Exact: true}
	}
	rng := o.generator(streamPermutation)
	for range o.Resamples {
		s := 0.0
		for i := range k {
			j := i + rng.IntN(len(pooled)-i)
			pooled[i], pooled[j] = pooled[j], pooled[i]
			s += pooled[i]
		}
		t.add(s)
	}
	return Permutation{P: t.sampled(), SmallestP: 2 / float64(o.Resamples+1)}
}

// centred joins the samples minus their common mean, so that a large offset does not hide the differences.
func centred(a, b []float64) []float64 {
	pooled := make([]float64, 0, len(a)+len(b))
	pooled = append(append(pooled, a...), b...)
	mean, _ := moments(pooled)
	for i := range pooled {
		pooled[i] -= mean
	}
	return pooled
}

// arrangements returns the number of ways to choose k of n, if it is at most exactArrangements.
func arrangements(n, k int) (int, bool) {
	count := 1
	for i := 1; i <= k; i++ {
		count = count * (n - k + i) / i
		if count > exactArrangements {
			return 0, false
		}
	}
	return count, true
}

// eachGroup calls visit with the sum of each choice of k values.
func eachGroup(values []float64, k int, visit func(sum float64)) {
	chosen := make([]int, k)
	for i := range chosen {
		chosen[i] = i
	}
	for {
		s := 0.0
		for _, i := range chosen {
			s += values[i]
		}
		visit(s)
		i := k - 1
		for i >= 0 && chosen[i] == len(values)-k+i {
			i--
		}
		if i < 0 {
			return
		}
		chosen[i]++
		for j := i + 1; j < k; j++ {
			chosen[j] = chosen[j-1] + 1
		}
	}
}

func sum(values []float64) float64 {
	s := 0.0
	for _, v := range values {
		s += v
	}
	return s
}
