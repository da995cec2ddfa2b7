package extent

import (
	"slices"

	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/load/trace"
	"github.com/llenergymeasure/llem/study"
)

// Files reads what loads take from their traces, each part of a file once, as a run reads it. It keeps no requests. The
// zero value is ready to use. It is not safe for concurrent use.
type Files struct {
	known map[part]*Part
}

// part is what determines the requests that a load takes from a file.
type part struct {
	load.Arrivals
	seed uint64
}

// Part is what a load takes from a trace.
type Part struct {
	*trace.Summary
	// Err is why the requests cannot be replayed; then the other fields are zero.
	Err error
	// Input and Output are the tokens of all prompts, with the turns before them, and of all answers.
	Input, Output float64
	// Longest is the request with the most tokens, and MaxOutput the longest answer in tokens.
	Longest   trace.Request
	MaxOutput int
	// stretches are pieces of the replay, and totals the tokens of each request with its answer, in ascending order.
	stretches []Stretch
	totals    []int32
}

// Part returns what an experiment takes from its trace; nil for other loads.
func (f *Files) Part(e study.Experiment) *Part {
	a := e.Workload.Load
	if a.Kind != load.Trace {
		return nil
	}
	key := part{a, e.Seed}
	if !a.Spread { // nothing else of it is random
		key.Seed, key.seed = 0, 0
	}
	if p, ok := f.known[key]; ok {
		return p
	}
	p := &Part{}
	if t, err := workload.Replayed(a, e.Seed); err != nil {
		p.Err = err
	} else {
		p.take(t)
	}
	if f.known == nil {
		f.known = map[part]*Part{}
	}
	f.known[key] = p
	return p
}

// take sums up the requests.
func (p *Part) take(t *trace.Trace) {
	p.Summary, p.Longest = t.Summary(), t.Requests[t.Longest()]
	last, _ := t.Lasts()
	p.stretches = make([]Stretch, pieces)
	for i, q := range t.Requests {
		p.Input += float64(q.Input)
		p.Output += float64(q.Output)
		p.MaxOutput = max(p.MaxOutput, q.Output)
		p.totals = append(p.totals, int32(q.Input+q.Output)) // both are at most 10 million
		at := min(pieces-1, int(float64(t.Due(i))/float64(last)*pieces))
		p.stretches[at].Rate++
	}
	slices.Sort(p.totals)
	for i := range p.stretches {
		s := &p.stretches[i]
		s.Seconds = float64(last) / 1e9 / pieces
		s.Rate /= s.Seconds
	}
}

// beyond returns how many requests have more tokens than a context.
func (p *Part) beyond(context int) int {
	at, _ := slices.BinarySearch(p.totals, int32(min(context, 1<<30))+1)
	return len(p.totals) - at
}

// extent returns how much the requests ask.
func (p *Part) extent() Extent {
	if p.Err != nil {
		return Extent{}
	}
	return Extent{Stretches: p.stretches, Requests: float64(p.Requests), Prompt: p.Input, Output: p.Output,
		Seconds: p.ReplayedS, LeastS: p.ReplayedS, Part: p}
}
