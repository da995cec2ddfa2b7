package study

import (
	"errors"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/load"
)

// loadField is a key of a load, with the kinds of arrivals that it applies to.
type loadField struct {
	name  string
	set   func(Arrivals) bool
	kinds []string
}

// loadFields are the keys that have no effect on some kinds of arrivals. A seed is not among them: studies set it for
// all of their points.
func loadFields() []loadField {
	renewal := []string{load.Constant, load.Poisson, load.Gamma}
	traced := []string{load.Trace}
	return []loadField{
		{"rate", func(a Arrivals) bool { return a.Rate != 0 }, append(slices.Clone(renewal), load.Ramp, load.Trace)},
		{"to_rate", func(a Arrivals) bool { return a.ToRate != 0 }, []string{load.Ramp}},
		{"cv", func(a Arrivals) bool { return a.CV != 0 }, []string{load.Gamma}},
		{"rates", func(a Arrivals) bool { return a.Rates != "" }, []string{load.Rates}},
		{"duration_s", func(a Arrivals) bool { return a.DurationS != 0 }, append(slices.Clone(renewal), load.Ramp)},
		{"normalise", func(a Arrivals) bool { return a.Normalise }, []string{load.Poisson, load.Gamma}},
		{"trace", func(a Arrivals) bool { return a.Trace != "" }, traced},
		{"span", func(a Arrivals) bool { return a.Span != "" }, traced},
		{"speed", func(a Arrivals) bool { return a.Speed != 0 }, traced},
		{"max_input", func(a Arrivals) bool { return a.MaxInput != 0 }, traced},
		{"max_output", func(a Arrivals) bool { return a.MaxOutput != 0 }, traced},
		{"longer", func(a Arrivals) bool { return a.Longer != "" }, traced},
		{"spread", func(a Arrivals) bool { return a.Spread }, traced},
		{"turns", func(a Arrivals) bool { return a.Turns > 1 }, append(slices.Clone(renewal), load.Ramp, load.Rates, "")},
		{"think_s", func(a Arrivals) bool { return a.ThinkS != 0 },
			append(slices.Clone(renewal), load.Ramp, load.Rates, "")},
		{"shared_prefix", func(a Arrivals) bool { return a.SharedPrefix != 0 },
			append(slices.Clone(renewal), load.Ramp, load.Rates, "")},
	}
}

// loadConflict returns values of a load that do not fit together.
func (k *table) loadConflict(e *Experiment) *engine.Conflict {
	w := e.Workload
	if w.Load == (Arrivals{}) && w.SLO == (SLO{}) {
		return nil
	}
	for _, check := range []func(Workload) *engine.Conflict{kindConflict, searchConflict, sloConflict} {
		if c := check(w); c != nil {
			return c
		}
	}
	if c := k.promptConflict(e); c != nil {
		return c
	}
	return scheduleConflict(e)
}

func loadConflictf(name, next, format string, args ...any) *engine.Conflict {
	return engine.Conflictf(terms.LoadKey+name, next, terms.LoadKey+name+" "+format, args...)
}

// kindConflict returns a key that the kind of arrivals lacks, or does not use.
func kindConflict(w Workload) *engine.Conflict {
	a := w.Load
	for _, f := range loadFields() {
		if !f.set(a) || slices.Contains(f.kinds, a.Kind) {
			continue
		}
		kinds := strings.Join(f.kinds, ", ")
		if a.Kind == "" {
			return loadConflictf(f.name, "set "+terms.LoadKey+"kind to one of "+kinds+", or leave it out",
				"has no effect on a closed loop")
		}
		return loadConflictf(f.name, "leave it out: it is for "+strings.TrimSuffix(kinds, ", "),
			"has no effect on kind %s", a.Kind)
	}
	needs := func(name, next string) *engine.Conflict {
		return engine.Conflictf(terms.LoadKey+"kind", "set "+terms.LoadKey+name+next, terms.LoadKey+"kind %s needs %s",
			a.Kind, name)
	}
	usesRate := slices.Contains([]string{load.Constant, load.Poisson, load.Gamma, load.Ramp}, a.Kind)
	switch {
	case usesRate && a.Rate == 0 && a.Search != terms.SearchRate:
		return needs("rate", " to requests per second")
	case a.Kind == load.Ramp && a.ToRate == 0:
		return needs("to_rate", " to the last rate")
	case a.Kind == load.Gamma && a.CV == 0:
		return needs("cv", "; 1 is poisson, above 1 is bursty")
	case a.Kind == load.Rates && a.Rates == "":
		return needs("rates", ", such as 30s:2 1m:8")
	case a.Kind == load.Trace && a.Trace == "":
		return needs("trace", " to a file of recorded requests")
	case a.Kind == load.Trace && a.Rate != 0 && a.Speed != 0:
		return loadConflictf("speed", "leave one of them out", "and rate both change the times of the trace")
	case a.ThinkS != 0 && a.Turns < 2:
		return loadConflictf("think_s", "set "+terms.LoadKey+"turns to 2 or more", "has no effect without turns")
	case a.Longer != "" && a.MaxInput == 0 && a.MaxOutput == 0:
		return loadConflictf("longer", "set "+terms.LoadKey+"max_input or max_output", "has no effect without a limit")
	}
	return nil
}

// searchConflict returns what a search lacks, or what contradicts it.
func searchConflict(w Workload) *engine.Conflict {
	a := w.Load
	search := func(name, next, format string, args ...any) *engine.Conflict {
		return loadConflictf(name, next, format, args...)
	}
	switch a.Search {
	case "":
		for _, f := range []struct {
			name string
			set  bool
		}{{"search_from", a.SearchFrom != 0}, {"search_to", a.SearchTo != 0}, {"tolerance", a.Tolerance != 0},
			{"probe_s", a.ProbeS != 0}} {
			if f.set {
				return search(f.name, "set "+terms.LoadKey+"search to rate or concurrency, or leave it out",
					"has no effect without a search")
			}
		}
		return nil
	case terms.SearchRate:
		switch {
		case !slices.Contains([]string{load.Constant, load.Poisson, load.Gamma}, a.Kind):
			return search("search", "set "+terms.LoadKey+"kind to constant, poisson or gamma, or search concurrency",
				"is rate, but kind %s has no rate to vary", kindName(a.Kind))
		case a.Rate != 0:
			return search("rate", "leave it out, and set search_from and search_to", "is %g, but the search varies it",
				a.Rate)
		case a.ProbeS == 0 && a.DurationS == 0:
			return search("search", "set "+terms.LoadKey+"probe_s", "needs the duration of a probe")
		}
	case terms.SearchConcurrency:
		switch {
		case a.Kind != "":
			return search("search", "leave out "+terms.LoadKey+"kind, or search rate",
				"is concurrency, but kind %s does not wait for answers", a.Kind)
		case w.Concurrency != 0:
			return engine.Conflictf("workload.concurrency", "leave it out, and set search_from and search_to",
				"workload.concurrency is %d, but the search varies it", w.Concurrency)
		}
	}
	switch {
	case w.SLO.limits() == 0:
		return search("search", "set "+terms.SLOKey+"ttft_p95_ms, tpot_p95_ms or e2e_p95_ms", "needs an objective")
	case a.SearchFrom == 0:
		return search("search", "set "+terms.LoadKey+"search_from to the lowest load", "needs search_from")
	case a.SearchTo == 0:
		return search("search", "set "+terms.LoadKey+"search_to to the highest load", "needs search_to")
	}
	return mistakeConflict(a.search(w.SLO).Check())
}

func kindName(kind string) string {
	if kind == "" {
		return terms.LoadClosed
	}
	return kind
}

// limits counts the limits that are set.
func (s SLO) limits() (n int) {
	for _, v := range []float64{s.TTFTMS, s.TPOTMS, s.E2EMS} {
		if v != 0 {
			n++
		}
	}
	return n
}

func sloConflict(w Workload) *engine.Conflict {
	if w.SLO.Set() && w.SLO.limits() == 0 {
		return engine.Conflictf(terms.SLOKey+"attainment", "set "+terms.SLOKey+"ttft_p95_ms, tpot_p95_ms or e2e_p95_ms",
			"%sattainment is %g, but no limit is set", terms.SLOKey, w.SLO.Attainment)
	}
	return nil
}

// promptConflict returns prompts that a load cannot have.
func (k *table) promptConflict(e *Experiment) *engine.Conflict {
	w, own := e.Workload, k.sections[e.Backend]
	switch {
	case w.Load.SharedPrefix > 0 && w.Load.SharedPrefix >= w.InputTokens:
		return loadConflictf("shared_prefix", "make it shorter, or raise workload.input_tokens",
			"is %d, but a prompt has %d tokens", w.Load.SharedPrefix, w.InputTokens)
	case w.Load.Turns > 1 && (own.descriptor.Serves == nil || !own.descriptor.Serves(own.bound)):
		return loadConflictf("turns", "leave it out, or use a server", "is %d, but the %s backend is not a server",
			w.Load.Turns, e.Backend)
	}
	return nil
}

// scheduleConflict returns a schedule beyond the bounds.
func scheduleConflict(e *Experiment) *engine.Conflict {
	a := e.Workload.Load
	if a.Kind == "" || a.Kind == load.Trace {
		return nil
	}
	p, err := e.Process()
	if err == nil {
		if a.Search == terms.SearchRate { // the largest probe
			p.Rate = a.SearchTo
			if a.ProbeS > 0 {
				p.DurationS, p.Requests = a.ProbeS, 0
			}
		}
		err = p.Check()
	}
	c := mistakeConflict(err)
	if c != nil && c.Key == terms.LoadKey+"duration_s" && a.DurationS == 0 { // the key that is there
		c.Key = terms.LoadKey + "rate"
		switch {
		case a.Rates != "":
			c.Key = terms.LoadKey + "rates"
		case a.Search == terms.SearchRate:
			c.Key = terms.LoadKey + "probe_s"
		}
	}
	return c
}

// mistakeConflict returns a mistake of package load as a conflict of its key.
func mistakeConflict(err error) *engine.Conflict {
	if err == nil {
		return nil
	}
	m, ok := errors.AsType[*load.Mistake](err)
	if !ok {
		return engine.Conflictf(terms.LoadKey+"kind", "correct the load", "%v", err)
	}
	key := terms.LoadKey + m.Field
	switch m.Field {
	case "requests":
		key = "workload.prompts"
	case "attainment":
		key = terms.SLOKey + m.Field
	}
	return engine.Conflictf(key, m.Next, "%s", m.Message)
}
