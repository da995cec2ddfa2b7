package plan

import (
	"math"

	"github.com/llenergymeasure/llem/internal/estimate"
	"github.com/llenergymeasure/llem/internal/extent"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/study"
)

// Context returns the context of an experiment's model in tokens; 0 if it is unknown, or the engine has no model.
func (e *Estimator) Context(x study.Experiment) int {
	if e.engineOf(x.Backend).Simulated {
		return 0
	}
	c, err := e.config(x.Model)
	if err != nil {
		return 0
	}
	return c.Context
}

// work returns the requests of an experiment, with all turns of its conversations, or the requests that it takes from a
// trace. Of lengths that differ by design it has the mean.
func (e *Estimator) work(x study.Experiment) estimate.Work {
	w := x.Workload
	out := estimate.Work{Prompts: w.Distinct(), Input: w.InputTokens, Output: w.OutputTokens,
		Padded: w.Dataset != workload.SyntheticSource}
	mean := func(tokens, requests float64) int { return max(1, int(math.Round(tokens/requests))) }
	if p := e.files.Part(x); p != nil && p.Err == nil {
		n := float64(p.Requests)
		out.Prompts, out.Input, out.Output = int(p.Requests), mean(p.Input, n), mean(p.Output, n)
	} else if w.Load.Turns > 1 {
		prompt, _ := extent.Lengths(w)
		out.Input = mean(prompt, 1)
	}
	return out
}

// contexts returns the recorded requests and conversations that are longer than the context of their model.
func contexts(s *study.Study, e *Estimator) []Problem {
	var out []Problem
	for _, m := range e.files.Contexts(s.Experiments, e.Context) {
		n := m.Note()
		n.Message = m.Error().Error()
		out = append(out, Problem{Finding{Error: true, Short: "context", Note: n}, m.Concerns})
	}
	return out
}
