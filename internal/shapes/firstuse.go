package shapes

import (
	"cmp"
	"math"
	"slices"
)

// Use is one use of a shape: a prefill, or a decode step.
type Use struct {
	// Key identifies the shape: only the first use of a key may be a first use.
	Key Shape
	// Sequences is the number of sequences, and Longest their longest context: time grows with both, see
	// [Find].
	Sequences, Longest int
	// StartNS and EndNS are its limits, in nanoseconds of one clock.
	StartNS, EndNS int64
	// Requests are the ids of the requests whose latency includes the use.
	Requests []int
}

func (u Use) seconds() float64 { return float64(u.EndNS-u.StartNS) / 1e9 }

// work orders uses by their work.
func (u Use) work() float64 { return float64(u.Sequences) * float64(u.Longest) }

// atMost returns the largest possible ratio of this use's time to another use's.
func (u Use) atMost(o Use) float64 {
	long := max(1, float64(u.Longest)/float64(max(o.Longest, 1)))
	return max(1, float64(u.Sequences)/float64(max(o.Sequences, 1))) * long * long
}

// What makes a use a first use.
const (
	// far is the factor by which a use must exceed its bound, and spreads the number of standard deviations
	// of the logarithm of such times.
	far, spreads = 2.0, 6.0
	// leastExcess is in seconds: wake-ups and interrupts take less.
	leastExcess = 2e-3
	// lowest is the quantile of the bounds that counts, and leastUses the number of uses needed.
	lowest    = 0.25
	leastUses = 6
	// mostCompared is the largest number of uses to compare with, and mostSpread the largest number to
	// estimate the spread.
	mostCompared, mostSpread = 200, 64
	// chance is the probability below which pauses cannot explain the delays.
	chance = 0.05
)

// Pauses are delays of the engine's later tokens, which are unrelated to shapes and may coincide with first
// uses.
type Pauses struct {
	// LateS are the delays, in seconds; delays below 1 ms may be missing.
	LateS []float64
	// Seconds is the observed time.
	Seconds float64
}

// candidate is a use that took too long.
type candidate struct {
	place int
	late  float64 // seconds above its bound
}

// Find returns the indices of the uses that include the cost of a first use. Uses are in the order of time.
//
// The time of a step is a sum of non-negative parts: for the step, for each sequence, for each token and for
// each pair of tokens. Whatever they are, n sequences of l tokens take at most max(1, n/m)·max(1, l/k)² times
// the time of m sequences of k tokens. Each other use gives such a bound (the same and larger shapes their
// own time). The lower quartile of the bounds counts, so that neither a few slow nor a few quick uses decide.
//
// The first use of a key is a candidate if it exceeds twice its bound, by six standard deviations and by 2
// ms. Candidates count unless pauses explain them: if the delays found and the pauses in later uses of keys
// and between later tokens were distributed randomly over the time, the probability of so many during first
// uses must be below 5 %. Pauses shorter than half of the delays do not count. Without later uses and tokens,
// nothing is found.
func Find(uses []Use, pauses Pauses) []int {
	if len(uses) < leastUses {
		return nil
	}
	limit := max(far, math.Exp(spreads*spread(uses)))
	later := map[Shape][]float64{} // times of later uses; every key that was seen has an entry
	var found []candidate
	var firsts float64 // seconds in first uses, without the delays found
	for i, u := range uses {
		if times, seen := later[u.Key]; seen {
			later[u.Key] = append(times, u.seconds())
			continue
		}
		later[u.Key] = nil
		c := candidate{i, u.seconds() - boundOf(uses, i)}
		if bound := u.seconds() - c.late; c.late > leastExcess && u.seconds() > limit*bound {
			found = append(found, c)
			firsts += bound
		} else {
			firsts += u.seconds()
		}
	}
	for _, times := range later {
		pauses.add(times)
	}
	if pauses.Seconds <= 0 {
		return nil
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(a.late, b.late) })
	for len(found) > 0 && pauses.explain(len(found), found[0].late, firsts) {
		found = found[1:]
	}
	var places []int
	for _, c := range found {
		places = append(places, c.place)
	}
	slices.Sort(places)
	return places
}

// add adds times that are usually equal.
func (p *Pauses) add(seconds []float64) {
	usual := median(seconds)
	for _, s := range seconds {
		p.Seconds += s
		if s-usual > leastExcess/2 {
			p.LateS = append(p.LateS, s-usual)
		}
	}
}

// boundOf returns the largest explicable time of a use, in seconds.
func boundOf(uses []Use, i int) float64 {
	step := 1 + (len(uses)-1)/mostCompared
	bounds := make([]float64, 0, min(len(uses), mostCompared+1))
	for j := (i + 1) % step; j < len(uses); j += step {
		if j != i {
			bounds = append(bounds, uses[j].seconds()*uses[i].atMost(uses[j]))
		}
	}
	slices.Sort(bounds)
	return bounds[int(lowest*float64(len(bounds)-1)+0.5)]
}

// spread returns the standard deviation of the logarithm of a time, from neighbours in the order of their
// work; the growing work between neighbours enlarges it. Uses far above their bound are ignored, because they
// may be first uses.
func spread(uses []Use) float64 {
	var order []Use
	for i := 0; i < len(uses); i += 1 + (len(uses)-1)/mostSpread {
		if s := uses[i].seconds(); s > 0 && s <= far*boundOf(uses, i) {
			order = append(order, uses[i])
		}
	}
	slices.SortStableFunc(order, func(a, b Use) int { return cmp.Compare(a.work(), b.work()) })
	var steps []float64
	for i := 1; i < len(order); i++ {
		steps = append(steps, math.Abs(math.Log(order[i].seconds()/order[i-1].seconds())))
	}
	if len(steps) == 0 {
		return math.Inf(1)
	}
	const medianOfDifference = 0.954 // of two normal values with a standard deviation of 1
	return median(steps) / medianOfDifference
}

// explain reports whether pauses may have delayed n first uses by at least late: all pauses of that length
// are then distributed over the time of first uses and all other time.
func (p Pauses) explain(n int, late, firsts float64) bool {
	all := n
	for _, x := range p.LateS {
		if x > late/2 {
			all++
		}
	}
	return atLeast(n, all, firsts/(firsts+p.Seconds)) > chance
}

// atLeast returns the probability of n or more successes in a number of trials.
func atLeast(n, trials int, success float64) float64 {
	below, term := 0.0, math.Pow(1-success, float64(trials))
	for k := range n {
		below += term
		term *= float64(trials-k) / float64(k+1) * success / (1 - success)
	}
	return max(0, 1-below)
}
