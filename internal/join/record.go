package join

import (
	"github.com/llenergymeasure/llem/internal/atload"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// join computes the numbers of a record from material. It reads nothing else, so that the files reproduce the
// numbers.
type join struct {
	*Material
	record *result.Record
	// show, if set, also receives warnings at once.
	show func(code note.Code, message string)
	// firstUses has the ids of the requests that are excluded from the latencies.
	firstUses map[int]bool
	// firstUsed is the number of those among the requests whose latencies count.
	firstUsed int
	// loads are the run's load, and before it the probes of its search; nil without a load.
	loads []atload.Run
	// counted are the devices of the total; nil without a total of the run's own.
	counted []*deviceEnergy
	// shares are the requests' shares of the phases; nil without a split.
	shares []attribute.Shares
}

// metered reports whether the window is around something that llem did not run as an engine.
func (j *join) metered() bool { return j.record.Config.Backend == terms.Command }

// warn adds a doubt to the record, which the user also sees at once.
func (j *join) warn(code note.Code, message string) {
	j.record.Warn(code, message)
	if j.show != nil {
		j.show(code, message)
	}
}

// whole returns the time in which the engine worked for the run: the window, or all of a load.
func (m *Material) whole() attribute.Window {
	if m.Load != nil {
		return attribute.Window{Start: m.Load.StartNS, End: m.Load.EndNS}
	}
	return m.Window
}
