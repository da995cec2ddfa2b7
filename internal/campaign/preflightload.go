package campaign

import (
	"fmt"
	"time"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/study"
)

// checkLoad finds a load that cannot run: one that this version does not have, a trace that cannot be replayed, and
// arrivals that take longer than a run or the study may.
func checkLoad(s *study.Study, e study.Experiment) error {
	a := e.Workload.Load
	if err := a.Unready(); err != nil {
		return err
	}
	lasts, err := lastsOf(e)
	if err != nil {
		return err
	}
	for _, limit := range []struct {
		key string
		d   study.Duration
	}{{"run_timeout", s.Execution.RunTimeout}, {"study_timeout", s.Execution.StudyTimeout}} {
		if limit.d <= 0 || lasts < time.Duration(limit.d) {
			continue
		}
		m := &load.Mistake{Field: "duration_s", Message: fmt.Sprintf("requests arrive for %s s, but execution.%s is %v",
			digits.Significant(lasts.Seconds(), 3), limit.key, limit.d), Next: "raise the limit, or shorten the load"}
		if a.Kind == load.Trace {
			m.Field, m.Next = "trace", "raise the limit, take a part with "+terms.LoadKey+"span, or set "+
				terms.LoadKey+"speed"
		}
		return m
	}
	return nil
}

// lastsOf returns how long the requests of an experiment arrive; 0 if it depends on answers.
func lastsOf(e study.Experiment) (time.Duration, error) {
	a := e.Workload.Load
	switch {
	case a.Kind == load.Trace:
		t, err := workload.Replayed(a, e.Seed)
		if err != nil {
			return 0, err
		}
		return time.Duration(t.Requests[len(t.Requests)-1].AtNS), nil
	case !a.Open() || a.Search != "":
		return 0, nil
	}
	p, err := e.Process()
	if err != nil {
		return 0, err
	}
	_, seconds := p.Expected()
	return digits.Duration(seconds), nil
}
