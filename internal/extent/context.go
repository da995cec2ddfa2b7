package extent

import (
	"fmt"
	"slices"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/study"
)

// Contexts returns the recorded requests and the conversations that are longer than the context of their model: an
// engine does not start for them, or refuses them within the run. context returns the context of an experiment's model
// in tokens; 0 if it is unknown, or limits nothing. Each mistake is returned once.
func (f *Files) Contexts(all []study.Experiment, context func(study.Experiment) int) []Mistake {
	var out []Mistake
	for _, e := range all {
		limit := context(e)
		m, ok := f.context(e, limit)
		if !ok || slices.ContainsFunc(out, func(q Mistake) bool { return q.Key == m.Key && q.Message == m.Message }) {
			continue
		}
		m.Code = codes.ContextExceeded
		m.Concerns = func(o study.Experiment) bool {
			q, ok := f.context(o, context(o))
			return ok && q.Key == m.Key && q.Message == m.Message
		}
		out = append(out, m)
	}
	return out
}

// context returns what of an experiment's load is longer than a context.
func (f *Files) context(e study.Experiment, limit int) (Mistake, bool) {
	w := e.Workload
	switch {
	case limit <= 0:
	case w.Load.Kind == load.Trace:
		if p := f.Part(e); p.Err == nil && p.Longest.Input+p.Longest.Output > limit {
			return p.tooLong(e, limit), true
		}
	case w.Load.Turns > 1 && w.MaxContext() > limit:
		one := w.InputTokens + w.OutputTokens
		next := "lower workload.input_tokens or workload.output_tokens"
		if n := limit / one; n > 1 {
			next = fmt.Sprintf("lower workload.load.turns to at most %d, or lower workload.input_tokens or "+
				"workload.output_tokens", n)
		}
		return Mistake{Key: "workload.load.turns", Message: fmt.Sprintf("a conversation of %d turns grows to %d "+
			"tokens, %d prompt tokens and %d output tokens in each turn, but the context of model %s is %d",
			w.Load.Turns,
			w.MaxContext(), w.InputTokens, w.OutputTokens, e.Model, limit), Next: next}, true
	}
	return Mistake{}, false
}

// tooLong returns the mistake of a part with requests longer than a context.
func (p *Part) tooLong(e study.Experiment, limit int) Mistake {
	a, q := e.Workload.Load, p.Longest
	output := min(p.MaxOutput, limit/2)
	return Mistake{Key: a.Trace, Line: q.Line,
		Message: fmt.Sprintf("%d prompt tokens and %d output tokens, but the context of model %s is %d, which %d "+
			"of %s exceed", q.Input, q.Output, e.Model, limit, p.beyond(limit),
			digits.Count(int(p.Requests), "request")),
		Next: fmt.Sprintf("set workload.load.max_input: %d and max_output: %d, with longer: drop to leave longer "+
			"requests out, or longer: clip to shorten them; both are counted", limit-output, output)}
}
