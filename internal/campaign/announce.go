package campaign

import (
	"time"

	"github.com/llenergymeasure/llem/event"
)

// opening returns the event that opens the study: its experiments, and the runs of earlier processes from the
// journal.
func (s *schedule) opening(plan []Planned) event.StudyStarted {
	f, o := s.folder, s.Options
	out := s.announce.Opening(f.path(), o.Shard, len(plan))
	if f.worker != nil {
		out.Worker = f.worker.Name()
	}
	for key, e := range f.made {
		if f.wasMade(key, o.RetryFailed) {
			out.Made = append(out.Made, s.announce.Finished(e.Row))
		}
	}
	for i, all := range o.Planned { // what is open is taken for as long as what is made
		runs := max(1, len(o.Study.Experiments)*o.Study.Execution.Cycles)
		out.Expected[i] = all * time.Duration(len(plan)-len(out.Made)) / time.Duration(runs)
	}
	return out
}
