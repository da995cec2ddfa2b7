package main

import (
	"slices"
	"sort"

	"github.com/llenergymeasure/llem/internal/attribute"
)

// held returns the value of a polled series at t.
func held(all [][3]int64, t int64) float64 {
	i := sort.Search(len(all), func(i int) bool { return all[i][1] > t })
	return float64(all[max(i-1, 0)][2]) / 1e3
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Clone(v)
	slices.Sort(s)
	return s[len(s)/2]
}

// naive returns the results of other tools' methods on the sensors that they use.
func (r *recording) naive(w window, total float64) []answer {
	var ttft, polledP, polledD, timeP, timeD float64
	for _, s := range w.Steps {
		d := float64(s[1]-s[0]) / 1e9
		if s[2] > 0 {
			// The 1 s average at the first token, times the time to it.
			ttft += held(r.Average, s[1]) * d
			timeP += d
		} else {
			timeD += d
		}
	}
	at := 0
	for t := w.Start; t < w.End; t += 1e8 { // 10 Hz, trapezoid
		for at < len(w.Steps)-1 && w.Steps[at][1] < t {
			at++
		}
		joules := (held(r.Instant, t) + held(r.Instant, t+1e8)) / 2 * 0.1
		if w.Steps[at][2] > 0 {
			polledP += joules
		} else {
			polledD += joules
		}
	}
	answers := []answer{
		{name: "1 s average until the first token", value: split{ttft, total - ttft}},
		{name: "10 Hz polling, trapezoid", value: split{polledP, polledD}},
		{name: "in proportion to time", value: split{total * timeP / (timeP + timeD), total * timeD / (timeP + timeD)}},
	}
	if one, ok := r.onePass(w); ok {
		p := one * w.count(true)
		answers = append(answers, answer{name: "two passes: one token, then all", value: split{p, total - p}})
	}
	return answers
}

// onePass returns the energy of a prefill in the run with one token, by the counter from the start to the end
// of that run, not snapped.
func (r *recording) onePass(w window) (float64, bool) {
	for _, o := range r.Windows {
		if o.Config == w.Config && o.Kind == "prefill" {
			span := attribute.Window{Start: o.Start, End: o.End}
			at := func(t int64) float64 {
				i := sort.Search(len(r.Counter), func(i int) bool { return r.Counter[i][1] > t })
				return float64(r.Counter[max(i-1, 0)][2]) / 1e3
			}
			return (at(span.End) - at(span.Start)) / o.count(true), true
		}
	}
	return 0, false
}
