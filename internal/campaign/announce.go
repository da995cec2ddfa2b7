package campaign

import (
	"time"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/internal/running"
	"github.com/llenergymeasure/llem/internal/shard"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// announcer emits the events of a study.
type announcer struct {
	study *study.Study
	// names are the names of the study's experiments.
	names naming.Naming
}

func newAnnouncer(s *study.Study) announcer { return announcer{s, naming.Of(s.Experiments)} }

// opening returns the event that opens the study: its experiments, and the runs of earlier processes from the
// journal.
func (a announcer) opening(plan []Planned, f *folder, o *Options) event.StudyStarted {
	out := event.StudyStarted{Name: o.Shard.Named(NameOf(a.study)), Runs: len(plan), Dir: f.path(),
		Experiments: a.rows(o.Shard), Cycles: a.study.Execution.Cycles}
	if x := a.study.Execution; x.Until.MaxCycles > x.Cycles {
		out.Precision = x.Until.RelativeHalfWidth
	}
	for key, e := range f.made {
		if f.wasMade(key, o.RetryFailed) {
			out.Made = append(out.Made, a.finished(e.Row))
		}
	}
	for i, all := range o.Planned { // what is open is taken for as long as what is made
		runs := max(1, len(a.study.Experiments)*a.study.Execution.Cycles)
		out.Expected[i] = all * time.Duration(len(plan)-len(out.Made)) / time.Duration(runs)
	}
	return out
}

// finished returns the event that closes a run, without its position in the study.
func (a announcer) finished(r result.Row) event.RunFinished {
	message := r.Message
	if code := r.Unequal(); code != "" && r.Status == result.OK {
		message = "not compared: " + string(code)
	}
	return event.RunFinished{ID: r.ID, Cycle: r.Cycle, Status: string(r.Status),
		Metric:  running.Shown(a.study.Execution.Until.Metric, r),
		Prefill: running.Of("energy.phases.prefill.j_per_token", r),
		Decode:  running.Of("energy.phases.decode.j_per_token", r),
		Message: message, LeftOut: r.Class == codes.ClassLeftOut}
}

// rows lists the experiments of a shard with their names.
func (a announcer) rows(part shard.Shard) []event.Experiment {
	out := make([]event.Experiment, 0, len(a.study.Experiments))
	for i, e := range a.study.Experiments {
		if part.Cycles(a.study, i) > 0 {
			out = append(out, event.Experiment{ID: e.ID(), Label: a.names.Label(e)})
		}
	}
	return out
}
