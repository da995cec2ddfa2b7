// Package announce tells of a study as events: its configurations, its runs as their rows have them, and, for those who
// follow a study of several workers, what its journals gain.
package announce

import (
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/internal/running"
	"github.com/llenergymeasure/llem/internal/shard"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// Study makes events of a study.
type Study struct {
	study *study.Study
	// Names are the names of its experiments.
	Names naming.Naming
}

// New returns the events of a study.
func New(s *study.Study) Study { return Study{s, naming.Of(s.Experiments)} }

// Opening returns the event that opens the study in a folder, with a number of runs, without the runs that are there.
func (a Study) Opening(dir string, part shard.Shard, runs int) event.StudyStarted {
	x := a.study.Execution
	out := event.StudyStarted{Name: part.Named(NameOf(a.study)), Runs: runs, Dir: dir, Experiments: a.Rows(part),
		Cycles: x.Cycles}
	if x.Until.MaxCycles > x.Cycles {
		out.Precision = x.Until.RelativeHalfWidth
	}
	return out
}

// NameOf returns the name of the study's folder without its time: from the study or its model.
func NameOf(s *study.Study) string {
	if s.Name != "" {
		return s.Name
	}
	return s.Experiments[0].Model
}

// Finished returns the event that closes a run, without its position in the study.
func (a Study) Finished(r result.Row) event.RunFinished {
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

// Rows lists the experiments of a shard with their names.
func (a Study) Rows(part shard.Shard) []event.Experiment {
	out := make([]event.Experiment, 0, len(a.study.Experiments))
	for i, e := range a.study.Experiments {
		if part.Cycles(a.study, i) > 0 {
			out = append(out, event.Experiment{ID: e.ID(), Label: a.Names.Label(e)})
		}
	}
	return out
}
