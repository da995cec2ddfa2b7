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

// checkLoad finds a trace that cannot be replayed or takes longer than a run or the study may. Package extent has the
// limits of other arrivals.
func checkLoad(s *study.Study, e study.Experiment) error {
	a := e.Workload.Load
	if a.Kind != load.Trace {
		return nil
	}
	t, err := workload.Replayed(a, e.Seed)
	if err != nil {
		return err
	}
	lasts := time.Duration(t.Requests[len(t.Requests)-1].AtNS)
	for _, limit := range []struct {
		key string
		d   study.Duration
	}{{"run_timeout", s.Execution.RunTimeout}, {"study_timeout", s.Execution.StudyTimeout}} {
		if limit.d > 0 && lasts >= time.Duration(limit.d) {
			return &load.Mistake{Field: "trace",
				Message: fmt.Sprintf("requests arrive for %s s, but execution.%s is %v",
					digits.Significant(lasts.Seconds(), 3), limit.key, limit.d),
				Next: "raise the limit, take a part with " + terms.LoadKey + "span, or set " + terms.LoadKey + "speed"}
		}
	}
	return nil
}
