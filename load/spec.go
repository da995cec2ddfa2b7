package load

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Words of [Arrivals].
const (
	Closed          = "closed"      // no kind: a request is sent when one ends
	Drop            = "drop"        // drops requests beyond the limits
	Clip            = "clip"        // shortens requests beyond the limits
	ByStamp         = "timestamp"   // turns of a trace are sent when they are due
	ByGap           = "gap"         // turns of a trace are sent some time after the answer before them
	OverRate        = "rate"        // a search varies the rate
	OverConcurrency = "concurrency" // a search varies the number in flight
)

// Arrivals are when requests arrive at an engine that batches continuously, and how long.
type Arrivals struct {
	// Kind is constant, poisson, gamma, ramp, rates or trace; empty is a closed loop.
	Kind string `json:"kind,omitempty"`
	// Rate is the mean number of requests, or of conversations that begin, per second; for a ramp the first one, for a
	// trace 0 keeps its own.
	Rate float64 `json:"rate,omitempty"`
	// ToRate is the last rate of a ramp, in requests per second.
	ToRate float64 `json:"to_rate,omitempty"`
	// CV is the coefficient of variation of the times between arrivals of gamma: 1 is Poisson, above 1 is bursty.
	CV float64 `json:"cv,omitempty"`
	// Rates are pieces of constant rate, as SECONDSs:RATE separated by spaces.
	Rates string `json:"rates,omitempty"`
	// Seed of the arrivals; 0 takes the seed of the experiment.
	Seed uint64 `json:"seed,omitempty"`
	// DurationS is how long requests arrive, in seconds; 0 takes Workload.Prompts requests.
	DurationS float64 `json:"duration_s,omitempty"`
	// Normalise scales the arrivals so that the last one is at the end of the duration, as vLLM's benchmark does.
	Normalise bool `json:"normalise,omitempty"`
	// Trace is the path of a file of recorded requests.
	Trace string `json:"trace,omitempty"`
	// Span is the part of the trace, as FROM..TO in durations from its start; empty is all of it.
	Span string `json:"span,omitempty"`
	// Speed divides the times of a trace; 0 is 1.
	Speed float64 `json:"speed,omitempty"`
	// MaxInput and MaxOutput bound the lengths of a trace's requests in tokens; 0 sets none.
	MaxInput  int `json:"max_input,omitempty"`
	MaxOutput int `json:"max_output,omitempty"` // see MaxInput
	// Longer is what happens to longer requests: drop or clip; empty is drop.
	Longer string `json:"longer,omitempty"`
	// Spread spreads requests of a trace with equal stamps over the resolution of its clock.
	Spread bool `json:"spread,omitempty"`
	// Follow is when a turn of a trace is sent that continues another one: timestamp, as recorded or when the answer
	// before it is complete if that is later; or gap, after the recorded pause since the end of that answer. Empty is
	// timestamp.
	Follow string `json:"follow,omitempty"`
	// Turns is the number of turns of a conversation; 0 and 1 are single requests.
	Turns int `json:"turns,omitempty"`
	// ThinkS is the mean time between an answer and the next turn, in seconds; the times are exponential.
	ThinkS float64 `json:"think_s,omitempty"`
	// SharedPrefix is the number of leading tokens that all prompts share.
	SharedPrefix int `json:"shared_prefix,omitempty"`
	// Search is what a search for the highest load within the SLO varies: rate or concurrency; empty does not search.
	Search string `json:"search,omitempty"`
	// SearchFrom and SearchTo bound the search, in requests per second or in flight.
	SearchFrom float64 `json:"search_from,omitempty"`
	SearchTo   float64 `json:"search_to,omitempty"` // see SearchFrom
	// Tolerance is the relative distance of the bounds at which a search ends; 0 is 0.05.
	Tolerance float64 `json:"tolerance,omitempty"`
	// ProbeS is the duration of a probe of the search, in seconds; 0 takes DurationS.
	ProbeS float64 `json:"probe_s,omitempty"`
}

// Open reports whether requests arrive by themselves, however many are in flight.
func (a Arrivals) Open() bool { return a.Kind != "" }

// SLO is what makes a request good: each limit that is set holds for it. A load meets the objective if at least
// Attainment of all scheduled requests are good.
type SLO struct {
	// TTFTMS limits the time to the first token, TPOTMS the mean time per further token, and E2EMS the time to the last
	// token, in milliseconds; 0 sets none. In an open loop times count from the scheduled arrival.
	TTFTMS float64 `json:"ttft_p95_ms,omitempty"`
	TPOTMS float64 `json:"tpot_p95_ms,omitempty"` // see TTFTMS
	E2EMS  float64 `json:"e2e_p95_ms,omitempty"`  // see TTFTMS
	// Attainment is the required fraction of good requests; 0 is 0.95.
	Attainment float64 `json:"attainment,omitempty"`
}

// Set reports whether there is an objective.
func (s SLO) Set() bool { return s != SLO{} }

// Limits returns the objective with its attainment.
func (s SLO) Limits() Limits {
	return Limits{TTFTMS: s.TTFTMS, TPOTMS: s.TPOTMS, E2EMS: s.E2EMS,
		Attainment: cmp.Or(s.Attainment, DefaultAttainment)}
}

// Limited reports whether a limit is set.
func (s SLO) Limited() bool { return s.TTFTMS != 0 || s.TPOTMS != 0 || s.E2EMS != 0 }

// Or returns the objective with the values of a class where it has none.
func (s SLO) Or(c Class) SLO {
	l := c.Limits
	return SLO{cmp.Or(s.TTFTMS, l.TTFTMS), cmp.Or(s.TPOTMS, l.TPOTMS), cmp.Or(s.E2EMS, l.E2EMS),
		cmp.Or(s.Attainment, l.Attainment)}
}

// Canonical returns the objective without what has no effect.
func (s SLO) Canonical() SLO {
	if s.Attainment == DefaultAttainment {
		s.Attainment = 0
	}
	return s
}

// Process returns the arrivals, which [Times] turns into a list. prompts is the number of requests if no duration
// limits them, and seed the seed if the arrivals have none. The error is a [Mistake].
func (a Arrivals) Process(prompts int, seed uint64) (Process, error) {
	p := Process{Kind: a.Kind, Rate: a.Rate, ToRate: a.ToRate, CV: a.CV, Seed: cmp.Or(a.Seed, seed),
		DurationS: a.DurationS, Normalise: a.Normalise}
	if a.Rates != "" {
		pieces, err := ParseRates(a.Rates)
		if err != nil {
			return Process{}, err
		}
		p.Rates = pieces
	}
	if a.DurationS == 0 && a.Kind != Rates {
		p.Requests = prompts
	}
	return p, nil
}

// Searches returns the search for the highest load within an objective; nil if there is none.
func (a Arrivals) Searches(s SLO) *Search {
	if a.Search == "" {
		return nil
	}
	return &Search{From: a.SearchFrom, To: a.SearchTo, Tolerance: a.Tolerance, Attainment: s.Attainment,
		Whole: a.Search == OverConcurrency, Sustained: true}
}

// Canonical returns the arrivals without settings that have no effect.
func (a Arrivals) Canonical() Arrivals {
	if a.Turns == 1 {
		a.Turns = 0
	}
	if a.Speed == 1 {
		a.Speed = 0
	}
	if a.Tolerance == DefaultTolerance {
		a.Tolerance = 0
	}
	if !a.Seeded() {
		a.Seed = 0
	}
	if a.Search == OverRate {
		a.ProbeS = cmp.Or(a.ProbeS, a.DurationS) // the sustained runs take DurationS
	}
	return a
}

// Seeded reports whether a seed determines the arrivals.
func (a Arrivals) Seeded() bool {
	switch a.Kind {
	case Poisson, Gamma, Ramp, Rates:
		return true
	case Trace:
		return a.Spread
	}
	return a.ThinkS > 0
}

// ParseSpan reads FROM..TO; an empty FROM is the start, and an empty TO, which is then 0, the end.
func ParseSpan(text string) (from, to time.Duration, err error) {
	head, tail, found := strings.Cut(text, "..")
	if found && head != "" {
		from, err = time.ParseDuration(head)
	}
	if found && tail != "" && err == nil {
		if to, err = time.ParseDuration(tail); err == nil && to <= from {
			found = false
		}
	}
	if !found || err != nil || from < 0 || head+tail == "" {
		return 0, 0, fmt.Errorf("%q is not FROM..TO", text)
	}
	return from, to, nil
}
