package extent

import (
	"fmt"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/study"
)

// ways are the keys that make the loads of a study shorter or longer.
type ways struct {
	// made loads have a duration, pieces of rates have one each, and of traces a part is replayed; scaled ones of them
	// at a rate instead of a speed.
	made, pieces, traced, scaled bool
	// whole reports that all of a trace is taken.
	whole bool
}

func (w *ways) add(a load.Arrivals) {
	switch a.Kind {
	case load.Trace:
		w.traced, w.scaled, w.whole = true, w.scaled || a.Rate > 0, w.whole || a.Span == ""
	case load.Rates:
		w.pieces = true
	default:
		w.made = true
	}
}

// waysOf returns the ways of all loads with an extent.
func (f *Files) waysOf(all []study.Experiment) (w ways) {
	for _, e := range all {
		if _, ok := f.Of(e); ok {
			w.add(e.Workload.Load)
		}
	}
	return w
}

// pace is the key that changes the times of a trace.
func (w ways) pace() string {
	if w.scaled {
		return "workload.load.rate"
	}
	return "workload.load.speed"
}

// shorter is what makes loads shorter.
func (w ways) shorter() string {
	var out []string
	if w.made || w.pieces {
		out = append(out, "shorten workload.load")
	}
	if w.traced {
		out = append(out, "take a shorter part of the trace (workload.load.span), or raise "+w.pace())
	}
	return strings.Join(out, "; ")
}

// longer is what makes loads longer that have the given part of the time in seconds that they need.
func (w ways) longer(seconds, part float64) string {
	out := w.lengthen(seconds)
	if w.traced {
		out = append(out, fmt.Sprintf("lower %s to %s times its value, or take %s", w.pace(),
			digits.Significant(part, 2), w.another()))
	}
	return strings.Join(out, "; ")
}

// more is what gives loads more requests. seconds is how long they are needed.
func (w ways) more(seconds float64) string {
	out := w.lengthen(seconds)
	if w.traced { // at another speed, it has the same requests
		out = append(out, "take "+w.another())
	}
	return strings.Join(out, "; ")
}

// lengthen is what makes loads longer that are not recorded.
func (w ways) lengthen(seconds float64) (out []string) {
	if w.made {
		out = append(out, fmt.Sprintf("raise workload.load.duration_s to %d", roundUp(seconds)))
	}
	if w.pieces {
		out = append(out, fmt.Sprintf("lengthen the pieces of workload.load.rates to %d s in all", roundUp(seconds)))
	}
	return out
}

// another is a longer trace.
func (w ways) another() string {
	if w.whole {
		return "a longer trace (all of this one is replayed)"
	}
	return "a longer part of the trace (workload.load.span)"
}
