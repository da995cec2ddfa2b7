package study

import (
	"cmp"

	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/load/trace"
)

// Process returns the arrivals of an open loop, which [load.Times] turns into a list. A trace has none: its requests
// are recorded. The error is a [load.Mistake].
func (e Experiment) Process() (load.Process, error) {
	a := e.Workload.Load
	p := load.Process{Kind: a.Kind, Rate: a.Rate, ToRate: a.ToRate, CV: a.CV, Seed: cmp.Or(a.Seed, e.Seed),
		DurationS: a.DurationS, Normalise: a.Normalise}
	if a.Rates != "" {
		pieces, err := load.ParseRates(a.Rates)
		if err != nil {
			return load.Process{}, err
		}
		p.Rates = pieces
	}
	if a.DurationS == 0 && a.Kind != load.Rates {
		p.Requests = e.Workload.Prompts
	}
	return p, nil
}

// Traced returns which requests of a trace the experiment takes.
func (e Experiment) Traced() (trace.Options, error) {
	a := e.Workload.Load
	o := trace.Options{Speed: a.Speed, Rate: a.Rate, MaxInput: a.MaxInput, MaxOutput: a.MaxOutput,
		Clip: a.Longer == terms.LongerClip, Spread: a.Spread, Seed: cmp.Or(a.Seed, e.Seed)}
	if a.Span == "" {
		return o, nil
	}
	var err error
	o.From, o.To, err = parseSpan(a.Span)
	return o, err
}

// Searches returns the search for the highest load within the objective; nil if there is none.
func (w Workload) Searches() *load.Search {
	if w.Load.Search == "" {
		return nil
	}
	return w.Load.search(w.SLO)
}

func (a Arrivals) search(s SLO) *load.Search {
	return &load.Search{From: a.SearchFrom, To: a.SearchTo, Tolerance: a.Tolerance, Attainment: s.Attainment,
		Whole: a.Search == terms.SearchConcurrency, Sustained: true}
}

// Limits returns the objective with its attainment.
func (s SLO) Limits() load.Limits {
	return load.Limits{TTFTMS: s.TTFTMS, TPOTMS: s.TPOTMS, E2EMS: s.E2EMS,
		Attainment: cmp.Or(s.Attainment, load.DefaultAttainment)}
}

// canonical returns the load without settings that have no effect.
func (a Arrivals) canonical() Arrivals {
	if a.Turns == 1 {
		a.Turns = 0
	}
	if a.Speed == 1 {
		a.Speed = 0
	}
	if a.Tolerance == load.DefaultTolerance {
		a.Tolerance = 0
	}
	if !a.seeded() {
		a.Seed = 0
	}
	if a.Search == terms.SearchRate {
		if a.ProbeS == 0 {
			a.ProbeS = a.DurationS
		}
		a.DurationS = 0
	}
	a.Trace = canonicalPath(a.Trace, func(string) bool { return false })
	return a
}

// seeded reports whether a seed determines the arrivals.
func (a Arrivals) seeded() bool {
	switch a.Kind {
	case load.Poisson, load.Gamma, load.Ramp, load.Rates:
		return true
	case load.Trace:
		return a.Spread
	}
	return false
}

// canonical returns the objective without what has no effect.
func (s SLO) canonical() SLO {
	if s.Attainment == load.DefaultAttainment {
		s.Attainment = 0
	}
	return s
}

// canonical returns the work without settings that have no effect.
func (w Workload) canonical() Workload {
	w.Load, w.SLO = w.Load.canonical(), w.SLO.canonical()
	switch {
	case w.Load.Kind == load.Trace: // it has its own prompts
		w.Dataset, w.ChatTemplate = synthetic, ""
		w.Prompts, w.InputTokens, w.OutputTokens = usualWorkload.Prompts, usualWorkload.InputTokens,
			usualWorkload.OutputTokens
	case w.Load.byTime() && w.Dataset == synthetic: // as many prompts as requests
		w.Prompts = usualWorkload.Prompts
	case w.Load.Kind == "":
		// A repeated workload has no more requests under way than it contains.
		w.Concurrency = min(w.Concurrency, w.Prompts)
	}
	return w
}

// byTime reports whether the duration determines the number of requests.
func (a Arrivals) byTime() bool {
	return a.DurationS > 0 || a.Kind == load.Rates || a.Search == terms.SearchRate
}
