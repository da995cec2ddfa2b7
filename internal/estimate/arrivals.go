package estimate

import "github.com/llenergymeasure/llem/unit"

// Arrivals are a stretch of requests that arrive at a rate, or of a closed loop.
type Arrivals struct {
	// Rate is in requests per second; 0 in a closed loop, and in a pause.
	Rate float64
	// InFlight is the number of requests in flight of a closed loop; 0 in an open one.
	InFlight int
	// Seconds is how long it lasts.
	Seconds float64
}

// Served is what a stretch of arrivals is modelled to be.
type Served struct {
	Phase
	// InFlight is the mean number of requests in flight, and Rate how many end per second.
	InFlight float64
	Rate     float64 // see InFlight
	// Behind reports that more requests arrive than the engine completes.
	Behind bool
	// request is how long a request takes.
	request float64
}

// longestDrain is the least time in seconds in which a run waits for its last answers; it is as long as the arrivals
// take if that is longer.
const longestDrain = 60

// serve returns the cost of a stretch of arrivals on an engine that batches continuously.
//
// A prompt is computed alone, in t seconds; with n requests in flight the rest of a request takes d(n) seconds of
// steps. At a rate r, prompts take the share r·t of the time, and n requests in flight complete n/d(n)·(1 − r·t)
// requests per second: n is the least number that completes r. Below one request in flight, the engine is idle for
// the rest of the time.
func (s Setup) serve(a Arrivals, c correction) Served {
	idle := float64(s.Resident()) * float64(s.devices())
	if a.Rate <= 0 && a.InFlight <= 0 {
		return Served{Phase: Phase{Seconds: a.Seconds, Energy: unit.FromJoules(idle * a.Seconds), Bound: BoundMemory}}
	}
	prefill, _ := s.batchCost(1)
	prefill = c.apply(prefill)
	decode := func(n int) Phase {
		_, d := s.batchCost(n)
		return c.apply(d)
	}
	// completed returns how many requests end per second with n in flight.
	completed := func(n int) float64 {
		d := decode(n).Seconds
		if a.InFlight > 0 { // each waits for the prompts of the others
			return float64(n) / (d + float64(n)*prefill.Seconds)
		}
		return float64(n) / max(d, 1e-9) * (1 - a.Rate*prefill.Seconds)
	}
	most := max(1, s.Work.Batch)
	out := Served{Rate: a.Rate}
	n := most
	switch {
	case a.InFlight > 0:
		n = min(a.InFlight, most)
		out.Rate = completed(n)
	case completed(most) < a.Rate:
		out.Behind = true
		d := decode(most).Seconds
		out.Rate = float64(most) / (d + float64(most)*prefill.Seconds)
	default:
		low, high := 0, most // completed(high) suffices
		for high-low > 1 {
			if at := (low + high) / 2; completed(at) < a.Rate {
				low = at
			} else {
				high = at
			}
		}
		n = high
	}
	d := decode(n)
	out.request = prefill.Seconds + d.Seconds
	inPrompts := min(1, out.Rate*prefill.Seconds)
	inSteps := 1 - inPrompts
	if n == 1 && a.InFlight == 0 {
		inSteps = min(inSteps, out.Rate*d.Seconds)
	}
	watts := inPrompts*float64(prefill.Watts()) + inSteps*float64(d.Watts()) + (1-inPrompts-inSteps)*idle
	out.InFlight = float64(n)
	if n == 1 && a.InFlight == 0 {
		out.InFlight = min(1, out.Rate*out.request)
	}
	out.Phase = Phase{Seconds: a.Seconds, Energy: unit.FromJoules(watts * a.Seconds), Bound: d.Bound}
	if out.Behind { // what has not ended is served after the last arrival, for as long as it is waited for
		more := min((a.Rate-out.Rate)*a.Seconds/out.Rate, max(longestDrain, a.Seconds))
		out.Phase = out.plus(Phase{more, unit.FromJoules(watts * more), d.Bound})
	}
	return out
}

// arrive returns the window of all arrivals, with the requests that are in flight at its end.
func (s Setup) arrive(c correction) (window Phase, all []Served) {
	for _, a := range s.Arrivals {
		q := s.serve(a, c)
		all = append(all, q)
		window = window.plus(q.Phase)
		drain := min(q.request, q.Seconds)
		window = window.plus(Phase{drain, unit.FromJoules(float64(q.Watts()) * drain), q.Bound})
	}
	return window, all
}
