package join

import (
	"math"

	"github.com/llenergymeasure/llem/internal/atload"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/result"
)

// idleEnergy returns the energy of the counted devices in the intervals without a request in flight, from their power
// series, or why it is not known.
func (j *join) idleEnergy(intervals []attribute.Window) (*result.Quantity, string) {
	if len(intervals) == 0 {
		return nil, ""
	}
	var joules, half, gain float64
	var sources []string
	for _, d := range j.counted {
		if d.curve == nil {
			return nil, d.device.ID + ": no power series"
		}
		own, err := atload.IdleEnergy(d.curve, intervals, j.Window, d.total.Joules/j.Window.Duration().Seconds())
		if err != nil {
			return nil, d.device.ID + ": " + err.Error()
		}
		joules += own.Joules
		half = math.Hypot(half, math.Hypot(own.Half95, gainApart*own.Joules))
		gain += d.gain() * own.Joules
		sources = append(sources, d.samples[0].Source)
	}
	return &result.Quantity{Value: joules, CI95: [2]float64{max(0, joules-half), joules + half}, Gain95: gain,
		Method: "power series over the times without a request in flight", Source: joinUnique(sources)}, ""
}
