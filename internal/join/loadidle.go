package join

import (
	"math"

	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/result"
)

// idleEnergy returns the energy of the counted devices in the intervals without a request in flight, from their power
// series, or why it is not known. A sample reaches over the limits of an interval, and power follows the load
// late: each limit may be off by half of the sensor's resolution, times the difference of the power there. The errors
// of the two limits of an interval mostly cancel each other; they are taken as independent.
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
		q := d.curve.Quality(j.Window)
		resolution := max(q.Spacing, q.Averaging).Seconds()
		busy := d.total.Joules / j.Window.Duration().Seconds()
		own, variance := 0.0, 0.0
		for _, w := range intervals {
			watts := d.curve.MeanPower(w.Start, w.End)
			if math.IsNaN(watts) {
				watts = d.curve.MeanPower(w.Start-int64(q.Spacing), w.End+int64(q.Spacing))
			}
			if math.IsNaN(watts) {
				return nil, d.device.ID + ": a gap in the power series"
			}
			seconds := w.Duration().Seconds()
			// Within an interval shorter than the resolution the power is hardly seen.
			edge := min(resolution, seconds) / 2 * math.Abs(busy-watts)
			if seconds < resolution {
				edge = seconds / 2 * busy
			}
			own += watts * seconds
			variance += 2 * edge * edge / 3 // uniform
		}
		joules += own
		half = math.Hypot(half, math.Hypot(1.96*math.Sqrt(variance), gainApart*own))
		gain += d.gain() * own
		sources = append(sources, d.samples[0].Source)
	}
	return &result.Quantity{Value: joules, CI95: [2]float64{max(0, joules-half), joules + half}, Gain95: gain,
		Method: "power series over the times without a request in flight", Source: joinUnique(sources)}, ""
}
