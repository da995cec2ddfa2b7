package atload

import (
	"fmt"
	"math"

	"github.com/llenergymeasure/llem/internal/attribute"
)

const (
	// batches is the number of equal intervals of a load over which power and tokens in flight are averaged.
	batches = 50
	// full is the share of the concurrency from which a closed loop counts as full.
	full = 0.95
	// least is the share of a load up to its horizon that a window has at least.
	least = 0.5
)

// Steady returns the part of the load in which it is steady, and how it was found. It depends on power and tokens in
// flight alone, so that it cannot be chosen for its latencies.
//
// In an open loop the window begins where MSER-5 (White 1997) ends the ramp: it truncates the beginning so that the
// standard error of the mean of the rest is smallest, for power and tokens in flight, the later one of the two, within
// the first half. The ramp takes at least as long as it takes until as many requests have ended as are in flight on
// average: then nothing is left of the empty engine that the load found. The window ends with the last scheduled
// arrival. In a closed loop it lies between the first and the last time at which 95 % of the concurrency are in
// flight, without the turnover of the first requests.
func (r Run) Steady() (attribute.Window, string) {
	whole := attribute.Window{Start: r.Start, End: r.horizon()}
	if r.closed() {
		return r.full()
	}
	if whole.Duration() <= 0 {
		return attribute.Window{Start: r.Start, End: r.End}, "all of the load: it has one arrival"
	}
	limit := whole.Start + int64(least*float64(whole.End-whole.Start))
	start := r.turnover(whole)
	why := "a turnover of the requests in flight"
	series := []struct {
		name   string
		values []float64
	}{{"tokens in flight", r.tokensInFlight(whole)}, {"power", r.powers(whole)}}
	for _, s := range series {
		cut, ok := mser(s.values)
		if at := edge(whole, cut); ok && at > start {
			start, why = at, "MSER-5 of "+s.name
		}
	}
	if start >= limit {
		start, why = limit, why+", cut off at half of the load"
	}
	if start == whole.Start {
		why = "no ramp"
	}
	return attribute.Window{Start: start, End: whole.End}, why + "; to the last scheduled arrival"
}

// edge returns the limit of a batch of an interval.
func edge(w attribute.Window, batch int) int64 {
	return w.Start + int64(float64(w.End-w.Start)*float64(batch)/batches)
}

// full returns the part of a closed loop in which the concurrency is reached.
func (r Run) full() (attribute.Window, string) {
	f := r.inFlight()
	need := max(1, int(math.Ceil(full*float64(r.Concurrency))))
	from, to, ok := f.above(need)
	if !ok || to <= from {
		return attribute.Window{Start: r.Start, End: r.End},
			fmt.Sprintf("all of the load: it never had %d requests in flight", need)
	}
	// All clients begin at once: what they send first, in step with each other, is the ramp.
	why := fmt.Sprintf("from the first to the last time with %d requests in flight", need)
	if at := min(r.turnover(attribute.Window{Start: r.Start, End: to}), from+int64(least*float64(to-from))); at > from {
		from, why = at, fmt.Sprintf("from a turnover of the requests in flight to the last time with %d of them", need)
	}
	return attribute.Window{Start: from, End: to}, why
}

// turnover returns when as many requests had ended as are in flight on average, but not before the first end.
func (r Run) turnover(w attribute.Window) int64 {
	f := r.inFlight()
	need, ended := max(1, f.mean(w)), 0.0
	for _, at := range f.ends {
		if ended++; ended >= need {
			return max(w.Start, min(at, w.End))
		}
	}
	return w.End
}

// powers returns the mean power of each batch; nil if it is not known everywhere.
func (r Run) powers(w attribute.Window) []float64 {
	if r.Power == nil {
		return nil
	}
	out := make([]float64, batches)
	for i := range out {
		if out[i] = r.Power(edge(w, i), edge(w, i+1)); math.IsNaN(out[i]) {
			return nil
		}
	}
	return out
}

// tokensInFlight returns the mean number of tokens of each batch that the engine held for requests that have their
// first token: their prompts and outputs so far. A request that waits for the engine is not among them.
func (r Run) tokensInFlight(w attribute.Window) []float64 {
	width := float64(w.End-w.Start) / batches
	held, steps := make([]float64, batches), make([]float64, batches+1)
	change := func(at int64, by float64) {
		x := min(max(0, float64(at-w.Start)/width), batches)
		if i := int(x); i < batches {
			held[i] += by * (float64(i+1) - x)
			steps[i+1] += by
		}
	}
	known := false
	for _, q := range r.Requests {
		if q.FirstTokenNS == 0 {
			continue
		}
		known = true
		change(q.FirstTokenNS, float64(q.PromptTokens))
		for _, at := range q.TokenNS {
			change(at, 1)
		}
		change(r.endOf(q), -float64(q.PromptTokens+len(q.TokenNS)))
	}
	if !known {
		return nil
	}
	level := 0.0
	for i := range held {
		level += steps[i]
		held[i] += level
	}
	return held
}

// A ramp is shortened as long as the score stays within a factor of the smallest one, or the mean of the rest within a
// share of that beyond the best cut: it then has hardly any effect.
const (
	within = 1.1
	same   = 0.005
)

// mser returns how many of the batch means at the beginning are to be left out, up to half of them. The best cut has
// the smallest score: the mean square of the rest's deviations, divided by their number once more. A shorter one that
// is nearly as good is taken. It reports false without values.
func mser(values []float64) (cut int, ok bool) {
	n := len(values)
	if n == 0 {
		return 0, false
	}
	middle := values[n-1] // keeps the squares small
	var sum, square float64
	scores, means := make([]float64, n/2+1), make([]float64, n/2+1)
	best := n / 2
	for i := n - 1; i >= 0; i-- {
		d := values[i] - middle
		sum, square = sum+d, square+d*d
		if m := float64(n - i); i <= n/2 {
			scores[i], means[i] = max(0, square-sum*sum/m)/(m*m), middle+sum/m
			if scores[i] <= scores[best] {
				best = i
			}
		}
	}
	good := func(i int) bool {
		return scores[i] <= within*scores[best] || math.Abs(means[i]-means[best]) <= same*math.Abs(means[best])
	}
	for cut = best; cut > 0 && good(cut-1); cut-- {
	}
	return cut, true
}
