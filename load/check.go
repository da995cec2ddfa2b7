package load

import (
	"errors"
	"slices"
	"strings"
)

// Work is what a load does to an engine, for [Work.Check].
type Work struct {
	// Load is when requests arrive.
	Load Arrivals
	// SLO is what makes a request good.
	SLO SLO
	// Prompts is the number of prompts, InputTokens their length, and Concurrency the maximum number in flight; 0 sets
	// none.
	Prompts     int
	InputTokens int // see Prompts
	Concurrency int // see Prompts
	// Templated reports that prompts are put into a chat template.
	Templated bool
}

// applies is a value that has no effect on some kinds of arrivals.
type applies struct {
	field string
	set   func(Arrivals) bool
	kinds []string
}

// fields are the values that do not apply to all kinds of arrivals. A seed is not among them: studies set it for all of
// their points.
func fields() []applies {
	renewal := []string{Constant, Poisson, Gamma}
	rated := append(slices.Clone(renewal), Ramp)
	made := append(slices.Clone(rated), Rates, "")
	traced := []string{Trace}
	return []applies{
		{"rate", func(a Arrivals) bool { return a.Rate != 0 }, append(slices.Clone(rated), Trace)},
		{"to_rate", func(a Arrivals) bool { return a.ToRate != 0 }, []string{Ramp}},
		{"cv", func(a Arrivals) bool { return a.CV != 0 }, []string{Gamma}},
		{"rates", func(a Arrivals) bool { return a.Rates != "" }, []string{Rates}},
		{"duration_s", func(a Arrivals) bool { return a.DurationS != 0 }, rated},
		{"normalise", func(a Arrivals) bool { return a.Normalise }, []string{Poisson, Gamma}},
		{"trace", func(a Arrivals) bool { return a.Trace != "" }, traced},
		{"span", func(a Arrivals) bool { return a.Span != "" }, traced},
		{"speed", func(a Arrivals) bool { return a.Speed != 0 }, traced},
		{"max_input", func(a Arrivals) bool { return a.MaxInput != 0 }, traced},
		{"max_output", func(a Arrivals) bool { return a.MaxOutput != 0 }, traced},
		{"longer", func(a Arrivals) bool { return a.Longer != "" }, traced},
		{"spread", func(a Arrivals) bool { return a.Spread }, traced},
		{"follow", func(a Arrivals) bool { return a.Follow != "" }, traced},
		{"turns", func(a Arrivals) bool { return a.Turns > 1 }, made},
		{"think_s", func(a Arrivals) bool { return a.ThinkS != 0 }, made},
		{"shared_prefix", func(a Arrivals) bool { return a.SharedPrefix != 0 }, made},
	}
}

// Check returns the first values of a load that do not fit together, as a [Mistake]. Its field is the name of the
// value, slo.NAME for a value of the objective, and concurrency or requests for the other values.
func (w Work) Check() error {
	for _, check := range []func() error{w.checkKind, w.checkNeeds, w.checkSearch, w.checkObjective, w.checkSchedule} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checkKind returns a value that the kind of arrivals does not use.
func (w Work) checkKind() error {
	a := w.Load
	for _, f := range fields() {
		if !f.set(a) || slices.Contains(f.kinds, a.Kind) {
			continue
		}
		kinds := strings.Trim(strings.Join(f.kinds, ", "), ", ")
		if a.Kind == "" {
			return mistakef(f.field, "set workload.load.kind to one of "+kinds+", or leave it out",
				"workload.load.%s has no effect on a closed loop", f.field)
		}
		return mistakef(f.field, "leave it out: it is for "+kinds, "workload.load.%s has no effect on kind %s", f.field,
			a.Kind)
	}
	return nil
}

// checkNeeds returns a value that the kind of arrivals lacks, or that another one needs.
func (w Work) checkNeeds() error {
	a := w.Load
	needs := func(field, next string) error {
		return mistakef("kind", "set workload.load."+field+next, "workload.load.kind %s needs %s", a.Kind, field)
	}
	usesRate := slices.Contains([]string{Constant, Poisson, Gamma, Ramp}, a.Kind)
	switch {
	case usesRate && a.Rate == 0 && a.Search != OverRate:
		return needs("rate", " to requests per second")
	case a.Kind == Ramp && a.ToRate == 0:
		return needs("to_rate", " to the last rate")
	case a.Kind == Gamma && a.CV == 0:
		return needs("cv", "; 1 is poisson, above 1 is bursty")
	case a.Kind == Rates && a.Rates == "":
		return needs("rates", ", such as 30s:2 1m:8")
	case a.Kind == Trace && a.Trace == "":
		return needs("trace", " to a file of recorded requests")
	case a.Kind == Trace && a.Rate != 0 && a.Speed != 0:
		return mistakef("speed", "leave one of them out", "workload.load.speed and rate both change the times of the "+
			"trace")
	case a.ThinkS != 0 && a.Turns < 2:
		return mistakef("think_s", "set workload.load.turns to 2 or more",
			"workload.load.think_s has no effect without turns")
	case a.Turns > 1 && w.Templated:
		return mistakef("turns", "leave out workload.chat_template", "workload.load.turns is %d: a turn continues the "+
			"tokens before it, and a chat template would begin a conversation each time", a.Turns)
	case a.Longer != "" && a.MaxInput == 0 && a.MaxOutput == 0:
		return mistakef("longer", "set workload.load.max_input or max_output", "workload.load.longer has no effect "+
			"without a limit")
	case a.SharedPrefix > 0 && a.SharedPrefix >= w.InputTokens:
		return mistakef("shared_prefix", "make it shorter, or raise workload.input_tokens",
			"workload.load.shared_prefix is %d, but a prompt has %d tokens", a.SharedPrefix, w.InputTokens)
	}
	return nil
}

// checkSearch returns what a search lacks, or what contradicts it.
func (w Work) checkSearch() error {
	a := w.Load
	kind := a.Kind
	if kind == "" {
		kind = Closed
	}
	switch {
	case a.Search == "":
		return w.checkNoSearch()
	case a.Search == OverRate && !slices.Contains([]string{Constant, Poisson, Gamma}, kind):
		return mistakef("search", "set workload.load.kind to constant, poisson or gamma, or search concurrency",
			"workload.load.search is rate, but kind %s has no rate to vary", kind)
	case a.Search == OverRate && a.Rate != 0:
		return mistakef("rate", "leave it out, and set search_from and search_to",
			"workload.load.rate is %g, but the search varies it", a.Rate)
	case a.Search == OverRate && a.ProbeS == 0 && a.DurationS == 0:
		return mistakef("search", "set workload.load.probe_s", "workload.load.search needs the duration of a probe")
	case a.Search == OverConcurrency && kind != Closed:
		return mistakef("search", "leave out workload.load.kind, or search rate",
			"workload.load.search is concurrency, but kind %s does not wait for answers", kind)
	case a.Search == OverConcurrency && w.Concurrency != 0:
		return mistakef("concurrency", "leave it out, and set search_from and search_to",
			"workload.concurrency is %d, but the search varies it", w.Concurrency)
	case !w.SLO.Limited():
		return mistakef("search", "set workload.slo.ttft_p95_ms, tpot_p95_ms or e2e_p95_ms",
			"workload.load.search needs an objective")
	case a.SearchFrom == 0:
		return mistakef("search", "set workload.load.search_from to the lowest load",
			"workload.load.search needs search_from")
	case a.SearchTo == 0:
		return mistakef("search", "set workload.load.search_to to the highest load",
			"workload.load.search needs search_to")
	}
	return a.Searches(w.SLO).Check()
}

// checkNoSearch returns a value that only a search has.
func (w Work) checkNoSearch() error {
	a := w.Load
	for _, f := range []struct {
		field string
		value float64
	}{{"search_from", a.SearchFrom}, {"search_to", a.SearchTo}, {"tolerance", a.Tolerance}, {"probe_s", a.ProbeS}} {
		if f.value != 0 {
			return mistakef(f.field, "set workload.load.search to rate or concurrency, or leave it out",
				"workload.load.%s has no effect without a search", f.field)
		}
	}
	return nil
}

func (w Work) checkObjective() error {
	if w.SLO.Set() && !w.SLO.Limited() {
		return mistakef("slo.attainment", "set workload.slo.ttft_p95_ms, tpot_p95_ms or e2e_p95_ms",
			"workload.slo.attainment is %g, but no limit is set", w.SLO.Attainment)
	}
	return nil
}

// checkSchedule returns a schedule beyond the bounds.
func (w Work) checkSchedule() error {
	a := w.Load
	if a.Kind == "" || a.Kind == Trace {
		return nil
	}
	p, err := a.Process(w.Prompts, 0)
	if err != nil {
		return err
	}
	if a.Search == OverRate { // the largest probe
		p.Rate = a.SearchTo
		if a.ProbeS > 0 {
			p.DurationS, p.Requests = a.ProbeS, 0
		}
	}
	err = p.Check()
	// name the value that is there
	if m, ok := errors.AsType[*Mistake](err); ok && m.Field == "duration_s" && a.DurationS == 0 {
		switch {
		case a.Rates != "":
			m.Field = "rates"
		case a.Search == OverRate:
			m.Field = "probe_s"
		default:
			m.Field = "rate"
		}
	}
	return err
}
