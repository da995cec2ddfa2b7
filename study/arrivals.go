package study

import (
	"errors"
	"strings"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/study/keys"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/load"
)

// Process returns the arrivals of an open loop, which [load.Times] turns into a list. A trace has none: its requests
// are recorded. The error is a [load.Mistake].
func (e Experiment) Process() (load.Process, error) {
	return e.Workload.Load.Process(e.Workload.Prompts, e.Seed)
}

// canonical returns the work without settings that have no effect.
func (w Workload) canonical() Workload {
	w.Load, w.SLO = w.Load.Canonical(), w.SLO.Canonical()
	w.Load.Trace = keys.CanonicalPath(w.Load.Trace, func(string) bool { return false })
	switch w.Load.Kind {
	case load.Trace: // it has its own prompts
		w.Dataset, w.ChatTemplate = synthetic, ""
		w.Prompts, w.InputTokens, w.OutputTokens = usualWorkload.Prompts, usualWorkload.InputTokens,
			usualWorkload.OutputTokens
	case "":
		// A repeated workload has no more requests under way than it contains.
		w.Concurrency = min(w.Concurrency, w.Prompts)
	}
	return w
}

// loadConflict returns values of a load that do not fit together.
func loadConflict(e *Experiment) *engine.Conflict {
	w := e.Workload
	if w.Load == (Arrivals{}) && w.SLO == (SLO{}) {
		return nil
	}
	err := load.Work{Load: w.Load, SLO: w.SLO, Prompts: w.Prompts, InputTokens: w.InputTokens,
		Concurrency: w.Concurrency, Templated: w.ChatTemplate != ""}.Check()
	m, ok := errors.AsType[*load.Mistake](err)
	if !ok {
		return nil
	}
	key := terms.LoadKey + m.Field
	switch {
	case m.Field == "requests":
		key = "workload.prompts"
	case m.Field == "concurrency", strings.HasPrefix(m.Field, "slo."):
		key = "workload." + m.Field
	}
	return engine.Conflictf(key, m.Next, "%s", m.Message)
}
