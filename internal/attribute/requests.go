package attribute

import (
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/digits"
)

// Shares are the energies of one request.
type Shares struct {
	// Prefill and Decode are in joules.
	Prefill, Decode float64
}

// PerRequest distributes the energy of the phases to the requests, in their order: each prefill step by the
// prompt tokens of its requests, each decode step equally over its tokens. The sums over all requests are the
// energies of the phases; failed requests get nothing. If the phases are of a part of the window, the requests get
// their energies in all of it, without the energy of failed requests.
func (s Split) PerRequest(requests []backend.Request) []Shares {
	out := make([]Shares, len(requests))
	d := s.fit.design
	cost := make([]split, len(d.line))
	for i := range cost {
		cost[i] = s.fit.stepCost(i)
	}
	index := make(map[*stretch]int, len(d.line))
	for i := range d.line {
		index[&d.line[i]] = i
	}
	eachChunk(d.line, requests, func(st *stretch, request int, chunk, _ float64) {
		if !requests[request].OK {
			return
		}
		out[request].Prefill += cost[index[st]].prefill * chunk / st.prompt
	})
	position := make(map[*backend.Request]int, len(requests))
	for i := range requests {
		position[&requests[i]] = i
	}
	eachToken(d.line, requests, func(st *stretch, q *backend.Request, _ int) {
		if !q.OK {
			return
		}
		out[position[q]].Decode += cost[index[st]].decode / st.output
	})
	if !d.whole {
		return out
	}
	scale(out, s.Prefill.Joules, func(e *Shares) *float64 { return &e.Prefill })
	scale(out, s.Decode.Joules, func(e *Shares) *float64 { return &e.Decode })
	return out
}

// stepCost returns the modelled energy of one stretch, by phase.
func (r *regression) stepCost(i int) (s split) {
	d := r.design
	for c, col := range d.columns {
		s.add(d.line[i].kind, col.share, d.basis.At(i + 1)[c]*digits.Seconds(d.line[i].ns())*r.beta[c])
	}
	return s
}

// scale scales the shares of one phase to its energy.
func scale(all []Shares, total float64, of func(*Shares) *float64) {
	sum := 0.0
	for i := range all {
		sum += *of(&all[i])
	}
	if sum <= 0 {
		return
	}
	for i := range all {
		*of(&all[i]) *= total / sum
	}
}
