package doctor

import (
	"math"
	"slices"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/power"
)

// kind is what cards must share so that one load costs them the same.
type kind struct {
	name  string
	limit float64 // of the power, in watts
}

// loadedW returns the power under steady load, from the counter if there is one; 0 if it is not known.
func (d *Device) loadedW() float64 {
	switch a := d.Steady; {
	case a == nil || d.Modelled || d.Kind != string(power.GPU):
		return 0
	case a.CounterW != nil:
		return *a.CounterW
	default:
		return a.SeriesW
	}
}

// judgeKinds names the cards that draw more or less under the load than others of their kind.
func (r *Report) judgeKinds() {
	groups := map[kind][]*Device{}
	of := func(d *Device) kind {
		k := kind{name: d.Name}
		if d.PowerLimitW != nil {
			k.limit = *d.PowerLimitW
		}
		return k
	}
	for _, d := range r.Devices {
		if d.loadedW() > 0 {
			groups[of(d)] = append(groups[of(d)], d)
		}
	}
	for _, d := range r.Devices {
		if group := groups[of(d)]; slices.Contains(group, d) {
			r.judgeKind(d, group)
		}
	}
}

// judgeKind compares a card with the others of its kind. Of two cards neither is known to be the odd one: the finding
// is given once, for the second.
func (r *Report) judgeKind(d *Device, group []*Device) {
	if len(group) == 1 || len(group) == 2 && d == group[0] {
		return
	}
	var others []float64
	for _, o := range group {
		if o != d {
			others = append(others, o.loadedW())
		}
	}
	usual, whose := stats.Median(others), "the other one of its kind"
	if len(others) > 1 {
		whose = digits.Count(len(others), "other") + " of its kind"
	}
	more := d.loadedW()/usual - 1
	if math.Abs(more) <= sensor.Gain95 {
		return
	}
	r.find(Warn, codes.CardDiffers, d.Device,
		"compare configurations on one card only: the difference may be the card's or its sensor's",
		"%.0f W under the load, %.0f W for %s (median): %+.1f %%, more than the gain of a sensor explains (±%.0f %%)",
		d.loadedW(), usual, whose, 100*more, 100*sensor.Gain95)
}
