// Package view is what every printer of a study shows: the names of its configurations, the table of their figures,
// the answer in a sentence, and why numbers are missing. Terminal, Markdown, CSV, the page and the site print the same
// view, so that a number, its interval and its doubt are the same wherever they appear. It reads records and summaries
// only.
package view

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// subject is a run or a configuration to be named.
type subject struct {
	config *study.Experiment
	// dtype is the type that the engine used, if known.
	dtype string
	cycle int
}

func subjectOf(r *result.Record) subject { return subject{&r.Config, r.Backend.DType, r.Cycle} }

// DType returns the type that the engine used, or the requested type if that is unknown.
func DType(r *result.Record) string { return cmp.Or(r.Backend.DType, r.Config.DType) }

// configurations are the subjects of a study's experiments.
func configurations(s *result.StudyResult) []subject {
	out := make([]subject, len(s.Experiments))
	for i := range s.Experiments {
		out[i] = subject{&s.Experiments[i].Config, s.Experiments[i].DType, 1}
	}
	return out
}

// Names are subjects by name: by the keys that vary in the study, and by what becomes of them in a run.
type Names struct {
	naming.Naming
	subjects []subject
	// types, batches and cycles report that the types which engines used, their batches, or the cycles differ where no
	// key does.
	types, batches, cycles bool
}

// Naming names the experiments of a study that has results.
func Naming(s *result.StudyResult) naming.Naming {
	all := make([]study.Experiment, len(s.Experiments))
	for i := range s.Experiments {
		all[i] = s.Experiments[i].Config
	}
	return naming.Of(all)
}

// NameConfigurations names the experiments of a study.
func NameConfigurations(s *result.StudyResult) Names { return newNames(Naming(s), configurations(s)) }

// NameRuns names runs of a study by the keys that vary in all of it.
func NameRuns(s *result.StudyResult, runs []*result.Record) Names {
	all, configs := make([]subject, len(runs)), make([]study.Experiment, len(runs))
	for i, r := range runs {
		all[i], configs[i] = subjectOf(r), r.Config
	}
	if len(s.Experiments) > 0 {
		return newNames(Naming(s), all)
	}
	return newNames(naming.Of(configs), all)
}

// InOrderOf returns the names of named runs in the order in which they are shown.
func (n Names) InOrderOf(named, shown []*result.Record) Names {
	subjects := make([]subject, len(shown))
	for i, r := range shown {
		if at := slices.Index(named, r); at >= 0 {
			subjects[i] = n.subjects[at]
		} else {
			subjects[i] = subjectOf(r)
		}
	}
	n.subjects = subjects
	return n
}

func newNames(n naming.Naming, subjects []subject) Names {
	out := Names{Naming: n, subjects: subjects, batches: otherBatches(subjects)}
	for _, s := range subjects {
		first := subjects[0]
		out.cycles = out.cycles || s.cycle != first.cycle
		out.types = out.types || !n.Varies("dtype") && s.dtype != "" && first.dtype != "" && s.dtype != first.dtype
	}
	return out
}

// otherBatches reports whether engines differ in the size of their batches, each of which has a single one.
func otherBatches(subjects []subject) bool {
	of, all := map[string]string{}, map[string]bool{}
	for _, s := range subjects {
		text := s.config.BatchText()
		if was, known := of[s.config.Backend]; known && was != text {
			return false
		}
		of[s.config.Backend], all[text] = text, true
	}
	return len(all) > 1
}

// AllHeads returns the columns that distinguish the subjects.
func (n Names) AllHeads() []string {
	out := n.Heads()
	if n.types {
		out = append(out, "dtype")
	}
	if n.batches {
		out = append(out, "batch")
	}
	if n.cycles {
		out = append(out, "cycle")
	}
	return out
}

// Cells returns the values of a subject in these columns.
func (n Names) Cells(i int) []string {
	s := n.subjects[i]
	out := n.Values(*s.config)
	for k, c := range n.Columns {
		if c.Has("dtype") && out[k] == terms.DTypeAuto && s.dtype != "" {
			out[k] += " (" + s.dtype + ")"
		}
	}
	if n.types {
		out = append(out, s.dtype)
	}
	if n.batches {
		out = append(out, s.config.BatchText())
	}
	if n.cycles {
		out = append(out, strconv.Itoa(s.cycle))
	}
	return out
}

// Called names a subject in a line of text.
func (n Names) Called(i int) string {
	s := n.subjects[i]
	text := n.Label(*s.config)
	if n.cycles {
		text += fmt.Sprintf(", cycle %d", s.cycle)
	}
	return text
}

// facts returns the work that all subjects share.
var facts = []func(subject) string{
	func(s subject) string { return s.config.Model },
	func(s subject) string { return s.config.Backend },
	func(s subject) string {
		if s.dtype == "" && s.config.DType == terms.DTypeAuto { // the engine did not start
			return "dtype " + terms.DTypeAuto
		}
		return cmp.Or(s.dtype, s.config.DType)
	},
	func(s subject) string { return "batch " + s.config.BatchText() },
	func(s subject) string { return naming.Prompts(s.config.Workload) },
	func(s subject) string { return tokens(s.config.Workload.InputTokens, "in", s) },
	func(s subject) string { return tokens(s.config.Workload.OutputTokens, "out", s) },
}

// tokens is a length of prompts or answers; empty for recorded ones.
func tokens(n int, what string, s subject) string {
	if s.config.Workload.Load.Trace != "" {
		return ""
	}
	return fmt.Sprintf("%d %s", n, what)
}

// Common are the facts that all subjects share.
func (n Names) Common() string {
	var shared []string
	known := facts
	if !slices.ContainsFunc(n.subjects, func(s subject) bool { return s.config.Backend != terms.Command }) {
		known = facts[:1] // a command has a name, and no workload
	}
	for _, fact := range known {
		values := map[string]bool{}
		for _, s := range n.subjects {
			values[fact(s)] = true
		}
		for v := range values {
			if len(values) == 1 && v != "" {
				shared = append(shared, v)
			}
		}
	}
	return strings.Join(shared, " · ")
}

// Table is an empty table with the columns that name its rows before the given ones.
func (n Names) Table(title string, heads []string) table.Table {
	names := n.AllHeads()
	return table.Table{Head: append(names, heads...), Names: len(names), Title: title, Indent: 2}
}

// labelsShown is how many configurations are named that share a caution.
const labelsShown = 3

// Some names the first of several subjects, and how many more there are.
func (n Names) Some(of []int) string {
	var labels []string
	for _, i := range of[:min(labelsShown, len(of))] {
		labels = append(labels, n.Called(i))
	}
	head := strings.Join(labels, "; ")
	if more := len(of) - labelsShown; more > 0 {
		head += fmt.Sprintf(" and %d more", more)
	}
	return head
}
