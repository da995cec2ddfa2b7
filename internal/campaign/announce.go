package campaign

import (
	"math"
	"strings"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// opening is the event that opens the study: its grid, and what of it an earlier
// process has made, as the journal says.
func (s *schedule) opening(plan []Planned) event.StudyStarted {
	out := event.StudyStarted{Name: nameOf(s.Study), Runs: len(plan), Dir: s.folder.path(),
		Experiments: s.rows(), Cycles: s.Study.Execution.Cycles}
	if x := s.Study.Execution; x.Until.MaxCycles > x.Cycles {
		out.Precision = x.Until.RelativeHalfWidth
	}
	for key, e := range s.folder.made {
		if s.folder.wasMade(key, s.RetryFailed) {
			out.Made = append(out.Made, s.finished(e.Row))
		}
	}
	return out
}

// finished is the event that closes a run, without its place in the study.
func (s *schedule) finished(r result.Row) event.RunFinished {
	message := r.Message
	if code := r.Unequal(); code != "" && r.Status == result.OK {
		message = "not compared: " + string(code)
	}
	return event.RunFinished{ID: r.ID, Cycle: r.Cycle, Status: string(r.Status), Metric: s.metric(r),
		Message: message, LeftOut: r.Class == note.ClassLeftOut}
}

// metric is the number by which an experiment is followed: that which decides on more
// cycles, else energy per output token, else output tokens per second.
func (s *schedule) metric(r result.Row) event.Metric {
	if !r.Comparable() {
		return event.Metric{Value: math.NaN()} // the view shows means of the values
	}
	for _, name := range []string{s.Study.Execution.Until.Metric, "energy.per_output_token_j",
		"throughput.output_tokens_per_s"} {
		m, err := result.Metric(name)
		if err != nil {
			continue // no goal
		}
		v, ok := r.Values.Get(m.Name)
		if !ok {
			continue
		}
		out := event.Metric{Name: m.Name, Unit: m.Unit, Value: v}
		switch {
		case r.Simulated():
			out.Origin = string(result.Simulated)
		case strings.HasPrefix(m.Name, "energy.") && r.Provenance == result.Modelled:
			out.Origin = string(result.Modelled)
		}
		return out
	}
	return event.Metric{Value: math.NaN()}
}

// rows lists the experiments by name.
func (s *schedule) rows() []event.Experiment {
	out := make([]event.Experiment, len(s.Study.Experiments))
	for i, e := range s.Study.Experiments {
		out[i] = event.Experiment{ID: e.ID(), Label: s.names.Label(e)}
	}
	return out
}
