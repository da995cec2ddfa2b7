package extent

import (
	"fmt"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/study"
)

// Mistake is a load that cannot be run.
type Mistake struct {
	// Code of the mistake.
	Code note.Code
	// Key is the key with the limit. Of a line of a trace it is the file, and Line counts from 1; otherwise Line is 0.
	Key  string
	Line int64
	// Message is what is wrong, and Next the next step.
	Message, Next string
	// Concerns reports whether it is about an experiment.
	Concerns func(study.Experiment) bool
}

// Beyond returns the schedules that are longer than the limit of a run, 0 without one, and than
// execution.study_timeout with all of the given runs: they cannot end before it, however fast the engine is. runs
// returns the number of runs of the experiment with an index; nil leaves out the limit of the study.
func (f *Files) Beyond(s *study.Study, one time.Duration, runs func(i int) int) []Mistake {
	var out []Mistake
	total, loads := 0.0, 0
	longest, over := 0.0, 0
	for i, e := range s.Experiments {
		x, ok := f.Of(e)
		if !ok {
			continue
		}
		if one > 0 && x.LeastS > one.Seconds() {
			over++
			longest = max(longest, x.LeastS)
		}
		if runs != nil {
			total += x.LeastS * float64(runs(i))
			loads += runs(i)
		}
	}
	if over > 0 {
		out = append(out, Mistake{Code: codes.ScheduleTooLong, Key: "execution.run_timeout",
			Message: fmt.Sprintf("requests arrive for %s in a run, longer than execution.run_timeout, %v",
				digits.Rough(digits.Duration(longest)), study.Duration(one)),
			Next: fmt.Sprintf("raise execution.run_timeout or --timeout: a run takes these %s and the time that its "+
				"engine needs to start; or %s", digits.Rough(digits.Duration(longest)),
				f.waysOf(s.Experiments).shorter()),
			Concerns: func(e study.Experiment) bool {
				x, ok := f.Of(e)
				return ok && x.LeastS > one.Seconds()
			}})
	}
	if limit := time.Duration(s.Execution.StudyTimeout); limit > 0 && total > limit.Seconds() {
		out = append(out, Mistake{Code: codes.ScheduleTooLong, Key: "execution.study_timeout",
			Message: fmt.Sprintf("requests arrive for %s in %s, longer than execution.study_timeout, %v",
				digits.Rough(digits.Duration(total)), digits.Count(loads, "run"), study.Duration(limit)),
			Next: fmt.Sprintf("raise execution.study_timeout: the study takes these %s and the time that engines need "+
				"to start; or lower execution.cycles, or %s", digits.Rough(digits.Duration(total)),
				f.waysOf(s.Experiments).shorter()),
			Concerns: func(e study.Experiment) bool {
				_, ok := f.Of(e)
				return ok
			}})
	}
	return out
}

// Err returns the first mistakes as an error of the study; nil without any.
func Err(all []Mistake) error {
	var out study.Errors
	for _, m := range all {
		out = append(out, m.Error())
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// Error returns the mistake as an error of the study.
func (m Mistake) Error() *study.Error {
	e := &study.Error{Note: m.Note(), Source: m.Key}
	if m.Line > 0 {
		e.Line, e.Col = int(m.Line), 1
	}
	return e
}

// Note returns the mistake as a note.
func (m Mistake) Note() note.Note {
	return note.Note{Code: m.Code, Message: m.Message, Next: m.Next}
}
