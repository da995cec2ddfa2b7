package campaign

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/llenergymeasure/llem/internal/about"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/extent"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/load/trace"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/study"
)

// Preflight finds mistakes that can be detected before anything is started or written: requests that are longer than
// the context of their model, and models and data sets that do not exist or cannot be read. Each mistake is reported
// once. files reads the traces of loads.
func Preflight(s *study.Study, files *extent.Files) error {
	var errs study.Errors
	for _, p := range Problems(s, files) {
		errs = append(errs, p.Err)
	}
	for _, m := range files.Contexts(s.Experiments, contexts(s)) {
		errs = append(errs, m.Error())
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

// contexts returns the context of an experiment's model in tokens; 0 if the engine has no model, or its description is
// not on this machine.
func contexts(s *study.Study) func(study.Experiment) int {
	known := map[string]int{}
	return func(e study.Experiment) int {
		if s.Engine(e.Backend).Simulated {
			return 0
		}
		if _, seen := known[e.Model]; !seen {
			c, err := model.Describe(e.Model)
			if known[e.Model] = c.Context; err != nil {
				known[e.Model] = 0 // the model itself is checked elsewhere
			}
		}
		return known[e.Model]
	}
}

// Problem is such a mistake, with the experiments that it concerns.
type Problem struct {
	Err      *study.Error
	Concerns func(study.Experiment) bool
}

// Problems returns the mistakes that Preflight reports, with their experiments.
func Problems(s *study.Study, files *extent.Files) []Problem {
	var out []Problem
	type asked struct{ what, backend, name string }
	seen, several := map[asked]bool{}, false
	once := func(a asked, check func() error, concerns func(study.Experiment) bool) {
		if seen[a] {
			return
		}
		seen[a] = true
		if err := check(); err != nil {
			for _, m := range mistakes(err) {
				if a.what == "model" && several && fault.Class(err) == codes.ClassModelNotFound {
					m.Next += "; a comma separates models, unless a file or folder of the whole name exists"
				}
				out = added(out, Problem{m, concerns})
			}
		}
	}
	for _, e := range s.Experiments {
		several = several || e.Model != s.Experiments[0].Model
	}
	for _, e := range s.Experiments {
		once(asked{"model", e.Backend, e.Model}, func() error {
			return checkModel(s, e)
		}, func(o study.Experiment) bool { return o.Model == e.Model && o.Backend == e.Backend })
		once(asked{"dtype", e.Backend, e.Model + " " + e.DType}, func() error { return checkDType(s, e) },
			func(o study.Experiment) bool {
				return o.Model == e.Model && o.Backend == e.Backend && o.DType == e.DType
			})
		once(asked{"template", "", e.Model + " " + e.Workload.ChatTemplate}, func() error { return checkTemplate(e) },
			func(o study.Experiment) bool {
				return o.Model == e.Model && o.Workload.ChatTemplate == e.Workload.ChatTemplate
			})
		if e.Workload.Load.Kind != load.Trace { // which has its own prompts
			once(asked{"dataset", "", e.Workload.Dataset}, func() error { return checkDataset(s, e.Workload.Dataset) },
				func(o study.Experiment) bool { return o.Workload.Dataset == e.Workload.Dataset })
		}
		a := e.Workload.Load
		once(asked{"load", "", fmt.Sprint(a, e.Seed)}, func() error {
			if part := files.Part(e); part != nil {
				return part.Err
			}
			return nil
		}, func(o study.Experiment) bool { return o.Workload.Load == a })
	}
	return out
}

// added returns the problems with one more. Equal mistakes, such as of one file that several experiments read in their
// own way, are one problem.
func added(all []Problem, p Problem) []Problem {
	for i, q := range all {
		if *q.Err == *p.Err {
			all[i].Concerns = func(e study.Experiment) bool { return q.Concerns(e) || p.Concerns(e) }
			return all
		}
	}
	return append(all, p)
}

// checkModel checks a model, and whether its engine can read it.
func checkModel(s *study.Study, e study.Experiment) error {
	if err := model.Check(model.Request{Model: e.Model, Format: formatOf(s, e)}); err != nil {
		return err
	}
	if path, ok := model.FileOf(e.Model); ok && s.Engine(e.Backend).Reads != nil {
		return s.Engine(e.Backend).Reads(path)
	}
	return nil
}

// checkTemplate finds a model without the chat template that its prompts need.
func checkTemplate(e study.Experiment) error {
	if e.Workload.ChatTemplate != terms.TemplateModel {
		return nil
	}
	return model.CheckTemplate(e.Model, "")
}

// checkDType finds a dtype that an existing GGUF file does not have.
func checkDType(s *study.Study, e study.Experiment) error {
	path, ok := model.FileOf(e.Model)
	if !ok || formatOf(s, e) != model.FormatGGUF || e.DType == terms.DTypeAuto {
		return nil
	}
	h, err := gguf.ReadFile(path)
	if err != nil {
		return nil //nolint:nilerr // the model itself is checked elsewhere
	}
	return model.CheckDType(e.Model, e.DType, h.DType())
}

// formatOf returns the format that the engine of an experiment loads.
func formatOf(s *study.Study, e study.Experiment) string {
	d := s.Engine(e.Backend)
	if _, isFile := model.FileOf(e.Model); about.TakesGGUF(&d, isFile) {
		return model.FormatGGUF
	}
	return model.FormatHF
}

// checkDataset reads a data set and checks that it has enough prompts for every experiment that uses it.
func checkDataset(s *study.Study, dataset string) error {
	if dataset == workload.SyntheticSource {
		return nil
	}
	most, turns := map[int]int{}, 0
	for _, e := range s.Experiments {
		if w := e.Workload; w.Dataset == dataset {
			most[w.Load.Turns] = max(most[w.Load.Turns], w.Prompts)
			turns = max(turns, w.Load.Turns)
		}
	}
	set, err := workload.LoadFor(dataset, turns)
	if err != nil {
		return err
	}
	for _, turns := range slices.Sorted(maps.Keys(most)) {
		if _, err := set.Take(most[turns], turns, 0); err != nil { // with any seed: the number is the same
			return err
		}
	}
	return nil
}

// mistakes converts an error to the form of mistakes in a study.
func mistakes(err error) study.Errors {
	if e, ok := errors.AsType[*fault.Error](err); ok {
		return study.Errors{wrong("model", e.Failure.Error(), e.Next)}
	}
	if l, ok := errors.AsType[*trace.LineError](err); ok {
		return study.Errors{{Source: l.File, Line: int(l.Line), Col: 1,
			Note: note.Note{Code: codes.Mistake, Message: l.Message, Next: l.Next}}}
	}
	if m, ok := errors.AsType[*load.Mistake](err); ok {
		return study.Errors{wrong("workload.load."+m.Field, m.Message, m.Next)}
	}
	e, ok := errors.AsType[*workload.DatasetError](err)
	if !ok {
		return study.Errors{wrong("study", err.Error(), "")}
	}
	if len(e.Problems) == 0 {
		return study.Errors{wrong("dataset "+e.Source, e.Message, e.Next)}
	}
	var out study.Errors
	for _, p := range e.Problems {
		out = append(out, &study.Error{Source: e.Source, Line: p.Line, Col: 1, Note: p.Note})
	}
	if e.More > 0 {
		out = append(out, wrong(e.Source, strconv.Itoa(e.More)+" more bad lines", ""))
	}
	out[len(out)-1].Next = e.Next
	return out
}

// wrong returns a mistake in a source, without a position.
func wrong(source, message, next string) *study.Error {
	return &study.Error{Source: source, Note: note.Note{Code: codes.Mistake, Message: message, Next: next}}
}
