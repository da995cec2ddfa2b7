package atload

import (
	"cmp"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/power"
)

const (
	// slowest is the longest refresh period of a counter on this machine.
	slowest = 500 * time.Millisecond
	// assumed is the refresh period of a counter that does not tell it.
	assumed = 100 * time.Millisecond
	// nearby is the distance in nanoseconds within which a reading at a change of the counter is preferred.
	nearby = int64(time.Second)
	// kept is the share of a window that must remain when its limits are moved.
	kept = 0.8
)

// Held returns readings with the times for which their values hold on average: between two changes a counter shows
// the value of the last one, so that a reading that does not follow a change is older than its call by half of the
// refresh period.
func Held(readings []power.Reading) []power.Reading {
	out := slices.Clone(readings)
	for i := range out {
		r := &out[i]
		if refresh := cmp.Or(r.Refresh, assumed); !r.Snapped && refresh <= slowest {
			r.BeforeNS, r.AfterNS = r.BeforeNS-int64(refresh/2), r.AfterNS-int64(refresh/2)
		}
	}
	return out
}

// Snap moves the limits of a window inwards to the nearest readings of a counter, see [Held]. The energy between two
// readings does not depend on the power around them.
func Snap(held []power.Reading, w attribute.Window) (attribute.Window, bool) {
	var first, last *power.Reading
	for i := range held {
		r := &held[i]
		if r.At() < w.Start || r.At() > w.End {
			continue
		}
		if first == nil || r.Snapped && !first.Snapped && r.At()-first.At() <= nearby {
			first = r
		}
		if last == nil || r.Snapped || !last.Snapped || r.At()-last.At() > nearby {
			last = r
		}
	}
	if first == nil || last == first {
		return w, false
	}
	out := attribute.Window{Start: first.At(), End: last.At()}
	return out, float64(out.Duration()) >= kept*float64(w.Duration())
}

// Within returns the readings from which the energy of a part of a load is computed. A reading at a limit is better
// than one at a change of the counter some way beyond: between them the machine is not idle.
func Within(held []power.Reading, w attribute.Window) []power.Reading {
	at := func(limit int64) bool {
		return slices.ContainsFunc(held, func(r power.Reading) bool { return r.At() == limit })
	}
	atStart, atEnd := at(w.Start), at(w.End)
	return slices.DeleteFunc(slices.Clone(held), func(r power.Reading) bool {
		return atStart && r.At() < w.Start || atEnd && r.At() > w.End
	})
}
