package shapes

import (
	"cmp"
	"math"
	"slices"
)

// Use is one use of a shape: a prefill, or a decode step.
type Use struct {
	// Key tells shapes apart: the first use of a key may be a first use.
	Key Shape
	// Sequences were under way, and Longest is the longest context of them: time grows with
	// both, see [Find].
	Sequences, Longest int
	// StartNS and EndNS are its limits, in nanoseconds of one clock.
	StartNS, EndNS int64
	// Requests are the ids of those whose latency it is part of.
	Requests []int
}

func (u Use) seconds() float64 { return float64(u.EndNS-u.StartNS) / 1e9 }

// work orders uses by what they do.
func (u Use) work() float64 { return float64(u.Sequences) * float64(u.Longest) }

// atMost is how many times as long as another use this one takes at most.
func (u Use) atMost(o Use) float64 {
	long := max(1, float64(u.Longest)/float64(max(o.Longest, 1)))
	return max(1, float64(u.Sequences)/float64(max(o.Sequences, 1))) * long * long
}

// What makes a use a first use.
const (
	// far is how many times its bound a use must have taken, and spreads how many standard
	// deviations of the logarithm of such times.
	far, spreads = 2.0, 6.0
	// leastExcess is in seconds: wake-ups and interrupts take less.
	leastExcess = 2e-3
	// lowest is the quantile of the bounds that counts, and leastUses how many uses are needed.
	lowest    = 0.25
	leastUses = 6
	// mostCompared bounds with how many others a use is compared, and mostSpread how many the
	// spread is taken from.
	mostCompared, mostSpread = 200, 64
	// chance is the probability below which pauses do not explain what was found.
	chance = 0.05
)

// Pauses are the times by which the engine's later tokens were late, which has nothing to do
// with shapes: what hits these hits first uses by accident.
type Pauses struct {
	// LateS are the times, in seconds; ones of less than 1 ms may be left out.
	LateS []float64
	// Seconds is the time in which they were looked for.
	Seconds float64
}

// candidate is a use that took too long.
type candidate struct {
	place int
	late  float64 // seconds beyond its bound
}

// Find returns the uses that cost a first use, by their places. Uses are in the order of time.
//
// The time of a step is a sum of a part for the step, for each sequence, for each token and for
// each pair of tokens, none of which is negative. Whatever they are, n sequences of l tokens
// take at most max(1, n/m)·max(1, l/k)² times what m sequences of k tokens take. Each other use
// gives such a bound (the same and larger shapes their own time). The lower quartile of them
// counts: neither a few slow uses nor a few quick ones decide.
//
// The first use of a key that took more than twice its bound, by six standard deviations and by
// 2 ms, may be a first use. It is one unless pauses come at any time: if those that were found
// and the pauses in later uses of keys and between the engine's later tokens were spread over
// all that time by chance, so many would hit first uses with a probability of less than 5 %.
// Pauses shorter than half of what was found do not count. Without later uses and tokens,
// nothing is found.
func Find(uses []Use, pauses Pauses) []int {
	if len(uses) < leastUses {
		return nil
	}
	limit := max(far, math.Exp(spreads*spread(uses)))
	later := map[Shape][]float64{} // times of later uses; a key that was seen has an entry
	var found []candidate
	var firsts float64 // seconds in first uses, without what was found
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

// add adds times that are usually the same.
func (p *Pauses) add(seconds []float64) {
	usual := median(seconds)
	for _, s := range seconds {
		p.Seconds += s
		if s-usual > leastExcess/2 {
			p.LateS = append(p.LateS, s-usual)
		}
	}
}

// boundOf is what a use can have taken, in seconds.
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

// spread is the standard deviation of the logarithm of a time, from neighbours in the order of
// their work; that work grows between them makes it larger. What is far beyond its bound is left
// out: it may be a first use.
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

// explain reports whether pauses may be what made n first uses late by at least this much: all
// pauses of that length are then spread over the time of first uses and the time of all else.
func (p Pauses) explain(n int, late, firsts float64) bool {
	all := n
	for _, x := range p.LateS {
		if x > late/2 {
			all++
		}
	}
	return atLeast(n, all, firsts/(firsts+p.Seconds)) > chance
}

// atLeast is the probability of n successes or more in a number of trials.
func atLeast(n, trials int, success float64) float64 {
	below, term := 0.0, math.Pow(1-success, float64(trials))
	for k := range n {
		below += term
		term *= float64(trials-k) / float64(k+1) * success / (1 - success)
	}
	return max(0, 1-below)
}
