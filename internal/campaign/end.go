package campaign

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// errFailFast ends a study early.
var errFailFast = errors.New("stopped at the first failed run")

// TimeoutError is the error if the study's time limit is reached before all runs have finished.
type TimeoutError struct {
	Limit time.Duration
	Dir   string
}

// Error names the limit.
func (e *TimeoutError) Error() string {
	return fmt.Sprintf("the study's time limit (execution.study_timeout, %v over all its starts) is reached; "+
		"runs remain", e.Limit)
}

// NextStep returns the next step for the user.
func (e *TimeoutError) NextStep() string {
	return fmt.Sprintf("continue with more time: `llem run %s --resume=%s -s execution.study_timeout=%v`",
		shell.Path(filepath.Join(e.Dir, store.StudyFile)), shell.Path(e.Dir), study.Duration(2*e.Limit))
}

// ended returns why the study ended.
func ended(s *result.StudyResult, err error, interrupted bool) result.Ended {
	_, timeout := errors.AsType[*TimeoutError](err)
	switch {
	case timeout:
		return result.EndTimeout
	case errors.Is(err, errFailFast):
		return result.EndFailFast
	case interrupted && err != nil:
		return result.EndInterrupted
	case err != nil:
		return result.EndError
	case s.Complete:
		return result.EndComplete
	case s.LeftOut > 0:
		return result.EndFailures
	}
	return result.EndError
}
