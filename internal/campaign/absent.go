package campaign

import (
	"fmt"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/study"
)

// absent returns why the engine of an experiment cannot run on this machine, or nil.
func (s *schedule) absent(e study.Experiment) *note.Failure {
	if s.Absent == nil {
		return nil
	}
	return s.Absent(e)
}

// leaveAbsent records the open runs whose engine is not installed as failed, before any other run starts. Runs that
// have failed earlier are not repeated.
func (s *schedule) leaveAbsent(plan []Planned) error {
	type reason struct {
		failure *note.Failure
		runs    []Planned
	}
	var all []*reason
	at := map[*note.Failure]*reason{}
	for _, p := range plan {
		f := s.absent(p.Experiment)
		if f == nil {
			continue
		}
		if at[f] == nil {
			at[f] = &reason{failure: f}
			all = append(all, at[f])
		}
		at[f].runs = append(at[f].runs, p)
	}
	for _, r := range all {
		var open []Planned
		for _, p := range r.runs {
			if !s.folder.wasMade(keyOfRun(p), false) {
				open = append(open, p)
			}
		}
		s.index += len(r.runs) - len(open)
		if len(open) == 0 {
			continue
		}
		s.emit(event.Note{Code: codes.EngineMissing, Next: r.failure.Next,
			Message: fmt.Sprintf("%s: %s; not started, recorded as failed: %s", open[0].Experiment.Backend,
				r.failure.Error(), digits.Count(len(open), "run"))})
		for _, p := range open {
			s.index++
			if err := s.leaveOut(p); err != nil {
				return err
			}
			if s.FailFast {
				return errFailFast
			}
		}
	}
	return nil
}
