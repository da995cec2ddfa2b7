package study

import (
	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/keys"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/load"
)

const maxLoadSeconds = 7 * 86400 // of load.MaxDuration

// loadKeys are the arrivals of requests, and what makes a request good.
func loadKeys() []commonKey {
	a := func(s *Experiment) *Arrivals { return &s.Workload.Load }
	rate := func(key, help string, at func(*Experiment) *float64) commonKey {
		return unset(numberField(key, load.MinRate, load.MaxRate, help, at))
	}
	return []commonKey{
		choiceField(terms.LoadKey+"kind", "when requests arrive: closed sends the next one when one ends; the others "+
			"are open loops", func(s *Experiment) *string { return &a(s).Kind }, load.Closed, load.Constant,
			load.Poisson, load.Gamma, load.Ramp, load.Rates, load.Trace).empty(load.Closed),
		rate(terms.LoadKey+"rate", "mean requests per second; the first rate of a ramp; scales a trace",
			func(s *Experiment) *float64 { return &a(s).Rate }),
		rate(terms.LoadKey+"to_rate", "last rate of a ramp, in requests per second",
			func(s *Experiment) *float64 { return &a(s).ToRate }),
		unset(numberField(terms.LoadKey+"cv", load.MinCV, load.MaxCV, "coefficient of variation of the gaps of gamma: "+
			"1 is poisson, above 1 is bursty (burstiness is 1/cv²)", func(s *Experiment) *float64 { return &a(s).CV })),
		unset(wordField(terms.LoadKey+"rates", "rates that each hold for some time", keys.RatesKind(),
			func(s *Experiment) *string { return &a(s).Rates })),
		secondsField(terms.LoadKey+"duration_s", 0, maxLoadSeconds, "how long requests arrive; 0 sends "+
			"workload.prompts requests", func(s *Experiment) *float64 { return &a(s).DurationS }),
		seedField(terms.LoadKey+"seed", "seed of the arrivals; 0 takes the key seed",
			func(s *Experiment) *uint64 { return &a(s).Seed }),
		switchField(terms.LoadKey+"normalise", "scale poisson and gamma so that the last of n requests is at n/rate, "+
			"as vLLM's benchmark does", func(s *Experiment) *bool { return &a(s).Normalise }),
		unset(textField(terms.LoadKey+"trace", "a file of recorded requests", "the recorded requests of kind trace",
			func(s *Experiment) *string { return &a(s).Trace })),
		unset(wordField(terms.LoadKey+"span", "part of the trace, from its first request", keys.SpanKind(),
			func(s *Experiment) *string { return &a(s).Span })),
		numberField(terms.LoadKey+"speed", 0.001, 1e6, "divides the times of a trace",
			func(s *Experiment) *float64 { return &a(s).Speed }).zero(1),
		wholeField(terms.LoadKey+"max_input", 0, 1e7, "longest prompt of a trace in tokens; 0 sets no limit",
			func(s *Experiment) *int { return &a(s).MaxInput }),
		wholeField(terms.LoadKey+"max_output", 0, 1e7, "longest answer of a trace in tokens; 0 sets no limit",
			func(s *Experiment) *int { return &a(s).MaxOutput }),
		choiceField(terms.LoadKey+"longer", "what happens to longer requests of a trace",
			func(s *Experiment) *string { return &a(s).Longer }, load.Drop, load.Clip).empty(load.Drop),
		switchField(terms.LoadKey+"spread", "spread requests of a trace with equal stamps over the resolution of its "+
			"clock", func(s *Experiment) *bool { return &a(s).Spread }),
		choiceField(terms.LoadKey+"follow", "when turns of a trace come: at their time, or a pause after the answer",
			func(s *Experiment) *string { return &a(s).Follow }, load.ByStamp, load.ByGap).empty(load.ByStamp),
		wholeField(terms.LoadKey+"turns", 0, 1000, "turns of a conversation, of which workload.prompts begin; "+
			"each turn repeats all before it", func(s *Experiment) *int { return &a(s).Turns }),
		secondsField(terms.LoadKey+"think_s", 0, 86400, "mean time between an answer and the next turn",
			func(s *Experiment) *float64 { return &a(s).ThinkS }),
		wholeField(terms.LoadKey+"shared_prefix", 0, 1e7, "leading tokens that all prompts share",
			func(s *Experiment) *int { return &a(s).SharedPrefix }),
		choiceField(terms.LoadKey+"search", "find the highest rate or concurrency that meets workload.slo",
			func(s *Experiment) *string { return &a(s).Search }, terms.SearchNone, load.OverRate,
			load.OverConcurrency).empty(terms.SearchNone),
		rate(terms.LoadKey+"search_from", "lowest load of the search",
			func(s *Experiment) *float64 { return &a(s).SearchFrom }),
		rate(terms.LoadKey+"search_to", "highest load of the search",
			func(s *Experiment) *float64 { return &a(s).SearchTo }),
		numberField(terms.LoadKey+"tolerance", 0.001, 1, "relative distance of the bounds at which a search ends",
			func(s *Experiment) *float64 { return &a(s).Tolerance }).zero(load.DefaultTolerance),
		secondsField(terms.LoadKey+"probe_s", 0, maxLoadSeconds, "duration of a probe of a search; 0 takes duration_s",
			func(s *Experiment) *float64 { return &a(s).ProbeS }),
		sloClassKey(),
		limitKey("ttft_p95_ms", "the time to the first token",
			func(s *Experiment) *float64 { return &s.Workload.SLO.TTFTMS }),
		limitKey("tpot_p95_ms", "the mean time per further token",
			func(s *Experiment) *float64 { return &s.Workload.SLO.TPOTMS }),
		limitKey("e2e_p95_ms", "the time to the last token",
			func(s *Experiment) *float64 { return &s.Workload.SLO.E2EMS }),
		unset(numberField(terms.SLOKey+"attainment", 0.01, 0.9999, "required fraction of requests within the limits; "+
			"0.95 if it is not set", func(s *Experiment) *float64 { return &s.Workload.SLO.Attainment })),
	}
}

func limitKey(name, what string, at func(*Experiment) *float64) commonKey {
	return unset(numberField(terms.SLOKey+name, 0.001, 1e7, "limit of a good request on "+what+
		", in milliseconds", at))
}

// sloClassKey is shorthand for the limits of a latency class.
func sloClassKey() commonKey {
	var names []string
	for _, c := range load.Classes() {
		names = append(names, c.Name)
	}
	return preset(sloClass, "a latency class of MLPerf, for the limits and an attainment of 0.99", names...)
}

// sloClass is the key that is shorthand for an objective.
const sloClass = terms.SLOKey + "class"

// fillSLO gives an experiment the limits of a latency class. A value given beside it takes precedence.
func (e *Experiment) fillSLO(class string) {
	for _, c := range load.Classes() {
		if c.Name == class {
			e.Workload.SLO = e.Workload.SLO.Or(c)
		}
	}
}

// unset marks a key that has no value by default.
func unset(c commonKey) commonKey {
	c.Unset = true
	return c
}

func secondsField(key string, low, high float64, help string, at func(*Experiment) *float64) commonKey {
	c := numberField(key, low, high, help+", in seconds", at)
	c.Kind = grammar.Seconds(low, high)
	return c
}
