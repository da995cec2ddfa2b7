package plan

import (
	"context"
	"errors"
	"testing"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/study"
)

// found is an engine that is installed, or is not.
type found struct {
	backend.Backend
	err error
}

func (f found) Probe(context.Context) (backend.Info, error) { return backend.Info{}, f.err }

// TestAbsent: experiments of an engine that is not installed are told apart from others; if no experiment can run, or
// all have to, the engines are mistakes. A failure that is not certain before the start is left to the run.
func TestAbsent(t *testing.T) {
	gone := note.Failf(codes.ClassNotInstalled, "install it", "it is not there")
	slow := note.Failf(codes.ClassTimeout, "wait", "it does not answer")
	s := &study.Study{}
	for _, name := range []string{"fake", "llamacpp"} {
		e := study.Experiment{Backend: name}
		s.Experiments = append(s.Experiments, e)
	}
	for name, q := range map[string]struct {
		errs    [2]error
		all     bool
		absent  [2]bool
		refused int
	}{
		"all there":    {},
		"one gone":     {errs: [2]error{nil, gone}, absent: [2]bool{false, true}},
		"both gone":    {errs: [2]error{gone, gone}, absent: [2]bool{true, true}, refused: 2},
		"all have to":  {errs: [2]error{nil, gone}, all: true, absent: [2]bool{false, true}, refused: 1},
		"not certain":  {errs: [2]error{slow, slow}},
		"all, and are": {all: true},
	} {
		absent, err := Absent(t.Context(), s, map[string]backend.Backend{"fake": found{err: q.errs[0]},
			"llamacpp": found{err: q.errs[1]}}, q.all)
		mistakes, ok := errors.AsType[study.Errors](err)
		if ok != (q.refused > 0) || len(mistakes) != q.refused || absent == nil {
			t.Errorf("%s: %v, want %d mistakes", name, err, q.refused)
			continue
		}
		for i, e := range s.Experiments {
			if f := absent(e); (f != nil) != q.absent[i] || f != nil && f.Next != "install it" {
				t.Errorf("%s: %s is absent: %v, want %v", name, e.Backend, f, q.absent[i])
			}
		}
	}
}
