package plan

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/llenergymeasure/llem/internal/campaign"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/extent"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/hub"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/shape"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/study"
)

// hubPatience bounds the time in which the hub must answer.
const hubPatience = 5 * time.Second

// Models reports what is wrong with the models of a study, and gives the estimator the hub's description of models
// that are not here.
func Models(ctx context.Context, s *study.Study, e *Estimator) ([]Problem, error) {
	type pair struct {
		backend, model, template string
		load                     study.Arrivals
	}
	seen, names := map[pair]bool{}, []string{}
	few := &study.Study{Execution: s.Execution, Engines: s.Engines}
	for i := range s.Experiments {
		x := s.Experiments[i]
		at := pair{x.Backend, x.Model, x.Workload.ChatTemplate, x.Workload.Load}
		if seen[at] {
			continue
		}
		seen[at] = true
		if hub := (pair{model: x.Model}); !seen[hub] && !s.Engine(x.Backend).Simulated && model.IsHub(x.Model) {
			seen[hub] = true
			names = append(names, x.Model)
		}
		x.Workload.Dataset = workload.SyntheticSource // data sets are checked elsewhere
		few.Experiments = append(few.Experiments, x)
	}
	var out []Problem
	for _, q := range campaign.Problems(few, e.files) {
		out = append(out, problemOf(q, shortOf(q)))
	}
	out = append(out, bare(few)...)
	found, err := reach(ctx, names, e)
	return append(out, found...), err
}

// bare warns of models that have only a configuration: they can be planned, but not run.
func bare(s *study.Study) []Problem {
	var out []Problem
	seen := map[string]bool{}
	for _, x := range s.Experiments {
		if seen[x.Model] || s.Engine(x.Backend).Simulated || !model.Bare(x.Model) {
			continue
		}
		seen[x.Model] = true
		out = append(out, Problem{Finding{Note: note.Note{Code: codes.NoWeights,
			Message: "model: " + x.Model + " has a config.json but no weights: it can be planned, but runs with it " +
				"do not start",
			Next: "download the model completely"}},
			func(o study.Experiment) bool { return o.Model == x.Model }})
	}
	return out
}

// shortOf names what a mistake that is not of a data set is about.
func shortOf(q campaign.Problem) string {
	if strings.HasPrefix(q.Err.Source, terms.LoadKey) || q.Err.Line > 0 { // a line of a trace
		return "load"
	}
	return "model"
}

func problemOf(q campaign.Problem, short string) Problem {
	return Problem{Finding{Error: true, Short: short,
		Note: note.Note{Code: q.Err.Code, Message: q.Err.Error(), Next: q.Err.Next}},
		q.Concerns}
}

// reach queries the hub about models, all at once.
func reach(ctx context.Context, names []string, e *Estimator) ([]Problem, error) {
	type answer struct {
		config shape.Config
		known  bool
		err    error
	}
	answers := make([]answer, len(names))
	limited, cancel := context.WithTimeout(ctx, hubPatience)
	defer cancel()
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() {
			a := &answers[i]
			a.config, a.known, a.err = model.Reach(limited, model.Request{Model: name})
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var out []Problem
	for i, name := range names {
		a := answers[i]
		if a.known {
			e.Know(name, a.config)
		}
		if a.err == nil {
			continue
		}
		out = append(out, unreachable(name, a.err))
	}
	return out, nil
}

// unreachable returns the problem for a failure to reach a model: a hub that does not answer now may answer later.
func unreachable(name string, err error) Problem {
	class := fault.Class(err)
	q := Problem{Finding{Error: true, Short: "model",
		Note: note.Note{Code: codes.ModelUnreachable, Message: "model " + name + ": " + err.Error()}},
		func(x study.Experiment) bool { return x.Model == name }}
	if e, ok := errors.AsType[*fault.Error](err); ok {
		q.Message, q.Next = "model: "+e.Failure.Error(), e.Next
	}
	switch class {
	case codes.ClassGated:
		q.Short = "gated"
	case codes.ClassOffline, codes.ClassDownloadFailed, codes.ClassInterrupted:
		q.Error = hub.OfflineSet()
	}
	return q
}

// Datasets reports what is wrong with the data sets of a study: for each point, whether there are enough prompts,
// and whether any has the requested length.
func Datasets(s *study.Study) []Problem {
	seen := map[string]bool{}
	var out []Problem
	for i := range s.Experiments {
		name := s.Experiments[i].Workload.Dataset
		if seen[name] || name == workload.SyntheticSource {
			continue
		}
		seen[name] = true
		one := s.Experiments[i]
		one.Workload.Prompts, one.Workload.Load = 1, study.Arrivals{} // loads are checked with the models
		bad := false
		few := &study.Study{Experiments: []study.Experiment{one}, Engines: s.Engines}
		for _, q := range campaign.Problems(few, &extent.Files{}) {
			if q.Concerns(study.Experiment{Workload: one.Workload}) {
				bad = true
				out = append(out, problemOf(q, "data set"))
			}
		}
		turns := 0
		for _, x := range s.Experiments {
			if x.Workload.Dataset == name {
				turns = max(turns, x.Workload.Load.Turns)
			}
		}
		if set, err := workload.LoadFor(name, turns); err == nil && !bad {
			out = append(out, prompts(set, s)...)
		}
	}
	return out
}

// Contexts warns of points whose sequences may exceed the context of their model. Conversations and traces, which
// certainly do, are refused elsewhere.
func Contexts(s *study.Study, e *Estimator) []Problem {
	longest, names := map[string]int{}, []string{}
	for i := range s.Experiments {
		x := &s.Experiments[i]
		if s.Engine(x.Backend).Simulated || !mayFit(x.Workload) {
			continue
		}
		if _, seen := longest[x.Model]; !seen {
			names = append(names, x.Model)
		}
		longest[x.Model] = max(longest[x.Model], x.Workload.MaxContext())
	}
	var out []Problem
	for _, name := range names {
		if c, err := e.config(name); err == nil && c.Context > 0 && longest[name] > c.Context {
			out = append(out, Problem{Finding{Note: note.Note{Code: codes.ContextExceeded,
				Message: fmt.Sprintf("the context of model %s is %d tokens, but up to %d "+
					"are requested", name, c.Context, longest[name]),
				Next: "lower workload.input_tokens or workload.output_tokens: some engines refuse it, others " +
					"return nonsense"}},
				func(x study.Experiment) bool {
					return x.Model == name && mayFit(x.Workload) && x.Workload.MaxContext() > c.Context
				}})
		}
	}
	return out
}

// mayFit reports whether the requests of a workload may be shorter than it states.
func mayFit(w study.Workload) bool { return w.Load.Trace == "" && w.Load.Turns < 2 }

// prompts compares a data set with the points that use it.
func prompts(set *workload.Set, s *study.Study) []Problem {
	longest := 0 // in bytes, which is an upper bound for any tokenizer
	for _, p := range set.Prompts {
		longest = max(longest, len(p.Text))
	}
	room := map[int]int{} // for workloads by their number of turns
	for _, x := range s.Experiments {
		if turns := x.Workload.Load.Turns; x.Workload.Dataset == set.Source {
			room[turns] = set.Room(turns)
		}
	}
	lacks := func(w study.Workload) bool { return w.Prompts > room[w.Load.Turns] }
	var most study.Workload // that lacks prompts
	wanted := 0
	for i := range s.Experiments {
		if w := s.Experiments[i].Workload; w.Dataset == set.Source {
			if lacks(w) && w.Prompts > most.Prompts {
				most = w
			}
			if w.ChatTemplate == "" { // a template adds an unknown number of tokens
				wanted = max(wanted, w.InputTokens)
			}
		}
	}
	var out []Problem
	uses := func(x study.Experiment) bool { return x.Workload.Dataset == set.Source }
	for _, n := range set.Notes() {
		out = append(out, Problem{Finding{Note: n}, uses})
	}
	if most.Prompts > 0 {
		have := room[most.Load.Turns]
		what := digits.Count(have, "prompt")
		if most.Load.Turns > 1 {
			what = fmt.Sprintf("%s of %d turns", digits.Count(have, "conversation"), most.Load.Turns)
		}
		out = append(out, Problem{Finding{Error: true, Short: "data set", Note: note.Note{Code: codes.Mistake,
			Message: fmt.Sprintf("dataset %s: has %s, but up to %d are requested", set.Source, what,
				most.Prompts),
			Next: workload.Fewer(have, most.Load.Turns) + "; a study that has such a point is refused"}},
			func(x study.Experiment) bool { return uses(x) && lacks(x.Workload) }})
	}
	if wanted > longest {
		out = append(out, Problem{Finding{Note: note.Note{Code: codes.PromptsShort,
			Message: fmt.Sprintf("dataset %s: its longest prompt has %s, and therefore "+
				"fewer than the %d tokens of workload.input_tokens", set.Source, digits.Count(longest, "byte"), wanted),
			Next: "dataset: synthetic has prompts of exactly that length; estimates take the stated length"}},
			func(x study.Experiment) bool {
				return uses(x) && x.Workload.ChatTemplate == "" && x.Workload.InputTokens > longest
			}})
	}
	return out
}
