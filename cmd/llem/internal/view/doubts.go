package view

import (
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// Runs is the number of runs of a study that its doubts count.
func Runs(s *result.StudyResult) int { return max(len(s.Runs), len(s.Rows)) }

// Doubts returns why energy is missing and the warnings of all runs, each kind once, with the message
// of the first run that has it, or of messages that differ in numbers the one that holds for all.
func Doubts(s *result.StudyResult) []result.Doubt {
	if s.Runs == nil {
		return s.Doubts
	}
	type doubt struct {
		kind string
		code note.Code
	}
	var order []doubt
	messages, counts := map[doubt]string{}, map[doubt]int{}
	add := func(d doubt, message string) {
		if counts[d]++; counts[d] == 1 {
			order = append(order, d)
			messages[d] = message
		}
		if digits.Alike(messages[d], message) {
			messages[d] = digits.Later(messages[d], message)
		}
	}
	for _, r := range s.Runs {
		if r.Status == result.OK && r.Energy.TotalJ == nil {
			add(doubt{"not measured", note.Code(r.Energy.Reason)}, r.Energy.Reason)
		}
		seen := map[note.Code]bool{}
		for _, w := range r.Warnings {
			if !seen[w.Code] {
				add(doubt{DoubtOfRuns, w.Code}, w.Message)
			}
			seen[w.Code] = true
		}
	}
	all := make([]result.Doubt, len(order))
	for i, d := range order {
		all[i] = result.Doubt{Kind: d.kind, Note: note.Note{Code: d.code, Message: messages[d]}, Runs: counts[d]}
	}
	return all
}

// DoubtOfRuns is the kind of doubts, in summaries, that the runs themselves have.
const DoubtOfRuns = "warning"

// Caution is a doubt about configurations.
type Caution struct {
	note.Note
	// Where names the configurations.
	Where string
}

// Text is the caution with its configurations in front.
func (c Caution) Text() string { return c.Where + ": " + c.Message }

// Shared returns the cautions of configurations; equal cautions are merged, with the names of the configurations.
func Shared(all []result.ExperimentSummary, named Names) (out []Caution) {
	var order []note.Note
	of := map[string][]int{}
	for i, e := range all {
		for _, w := range e.Caveats {
			if of[w.Message] == nil {
				order = append(order, w)
			}
			of[w.Message] = append(of[w.Message], i)
		}
	}
	for _, w := range order {
		out = append(out, Caution{w, named.Some(of[w.Message])})
	}
	return out
}
