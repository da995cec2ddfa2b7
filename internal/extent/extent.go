// Package extent tells how much a load asks of an engine and how long it takes, before it is run: for the plan of a
// study, and to refuse a study that cannot end within its limits.
//
//	experiment ─▶ Of ─▶ stretches of one rate, or of one number in flight ─▶ requests, tokens, seconds
//
// A search has a stretch for each probe that it may need, and for its sustained runs. A trace is read by the function
// that a run reads it with, so that both count the same requests.
package extent

import (
	"cmp"
	"math"

	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/study"
)

// Stretch is a part of a load.
type Stretch struct {
	// Rate is in requests per second; 0 in a closed loop, and where nothing arrives.
	Rate float64
	// InFlight is the number of requests in flight of a closed loop.
	InFlight int
	// Seconds is how long it takes.
	Seconds float64
}

// Extent is how much a load asks.
type Extent struct {
	// Stretches are its parts in order; of a search the parts that it takes at most.
	Stretches []Stretch
	// Requests is the expected number of requests, with all turns of conversations; of a search over rates the most,
	// and 0 if it is unknown.
	Requests float64
	// Prompt and Output are the tokens of these requests; a turn's prompt holds the turns before it.
	Prompt, Output float64
	// Seconds is the expected time in which requests arrive, of a search the most without extended probes. LeastS is
	// the least: a search may end after its first probe.
	Seconds float64
	LeastS  float64 // see Seconds
	// Probes is the highest number of probes of a search without extensions, of ProbeS seconds each; 0 without one.
	Probes int
	ProbeS float64 // see Probes
	// Sustained is the number of sustained runs of a search.
	Sustained int
	// Over is what a search varies.
	Over string
	// Part is what is taken from a trace; nil for other loads, and if it cannot be replayed.
	Part *Part
}

// sustainedRuns is how many runs follow a search that found a lower limit.
const sustainedRuns = 2

// pieces is into how many stretches a ramp is divided.
const pieces = 8

// Of returns the extent of an experiment's load, and whether it has one. A closed loop of a number of prompts has
// none: how long it takes depends on the engine alone.
func (f *Files) Of(e study.Experiment) (x Extent, ok bool) {
	w := e.Workload
	switch a := w.Load; {
	case a.Search != "":
		x, ok = search(e), true
	case a.Kind == load.Trace:
		return f.Part(e).extent(), true
	case a.Open():
		x, ok = open(e)
	}
	turns := float64(max(1, w.Load.Turns)) // a request is the begin of a conversation
	x.Requests *= turns
	for i := range x.Stretches {
		x.Stretches[i].Rate *= turns
	}
	prompt, output := Lengths(w)
	x.Prompt, x.Output = x.Requests*prompt, x.Requests*output
	return x, ok
}

// Lengths returns the mean tokens of a workload's prompts and answers. The prompt of a turn holds the turns before it.
func Lengths(w study.Workload) (prompt, output float64) {
	turns := float64(max(1, w.Load.Turns))
	input, output := float64(w.InputTokens), float64(w.OutputTokens)
	return input*(turns+1)/2 + output*(turns-1)/2, output
}

// open returns the extent of arrivals that are made.
func open(e study.Experiment) (Extent, bool) {
	a := e.Workload.Load
	p, err := e.Process()
	if err != nil || p.Check() != nil {
		return Extent{}, false
	}
	var x Extent
	x.Requests, x.Seconds = p.Expected()
	x.LeastS = x.Seconds
	switch a.Kind {
	case load.Rates:
		for _, q := range p.Rates {
			x.Stretches = append(x.Stretches, Stretch{Rate: q.Rate, Seconds: q.Seconds})
		}
	case load.Ramp:
		for i := range pieces {
			rate := a.Rate + (float64(i)+0.5)/pieces*(a.ToRate-a.Rate)
			x.Stretches = append(x.Stretches, Stretch{Rate: rate, Seconds: x.Seconds / pieces})
		}
	default:
		x.Stretches = []Stretch{{Rate: a.Rate, Seconds: x.Seconds}}
	}
	return x, true
}

// search returns what a search takes at most: doublings from its lowest load, halvings below its highest one, and the
// sustained runs there.
func search(e study.Experiment) Extent {
	w := e.Workload
	a := w.Load
	s := a.Searches(w.SLO)
	x := Extent{Over: a.Search, ProbeS: cmp.Or(a.ProbeS, a.DurationS, e.Energy.MinWindow), Sustained: sustainedRuns}
	_, x.Probes = s.Probes()
	add := func(at, seconds float64) {
		q := Stretch{Rate: at, Seconds: seconds}
		if a.Search == load.OverConcurrency {
			q = Stretch{InFlight: int(math.Round(at)), Seconds: seconds}
		}
		x.Stretches = append(x.Stretches, q)
		x.Seconds += seconds
		x.Requests += q.Rate * seconds
	}
	at := a.SearchFrom
	for range x.Probes {
		add(at, x.ProbeS)
		at = min(2*at, a.SearchTo)
	}
	sustained := cmp.Or(a.DurationS, x.ProbeS)
	if a.DurationS == 0 && a.Search == load.OverRate {
		sustained = max(float64(w.Prompts)/a.SearchFrom, e.Energy.MinWindow)
	}
	for i := range x.Sustained {
		add(a.SearchTo*(1-(1-load.SustainedPart)*float64(i)), sustained)
	}
	x.LeastS = x.ProbeS
	return x
}
