package attribute

import (
	"cmp"
	"math"
	"time"

	"github.com/llenergymeasure/llem/power"
)

// unknownScatter is the relative standard deviation of power within a refresh of the
// counter that is assumed where no series shows it.
const unknownScatter = 0.2

// Aliasing is the half width (95 %), in joules, by which the energy of a window is
// uncertain because the counter sees a part of each of its refresh periods only and
// takes it for the whole. The relative standard deviation is
//
//	scatter · missed(f) / √n
//
// with f the part that it sees, n the refresh periods in the window, and the scatter
// of the power within a period, from the series. Where the series is fine enough to
// see that the load keeps step with the counter, the error does not fall with n. The
// two periods in which the load begins and ends may each be taken for load or for
// idle time up to (1 − f) of their length.
// swing is how far the counter's energy of short pulses swings with their phase, as
// the self-test has it: 0 is a counter that sees everything. curve may be nil.
func Aliasing(joules, swing float64, r power.Reading, curve *Curve, w Window) float64 {
	period := cmp.Or(r.Refresh, unknownRefresh)
	n := max(1, float64(w.Duration())/float64(period))
	scatter := unknownScatter / math.Sqrt(n)
	if curve != nil {
		scatter = curve.scatter(w, period) / math.Sqrt(n)
		scatter = max(scatter, curve.inStep(w, period))
	}
	f := seenPart(swing)
	watts := math.Abs(joules) / w.Duration().Seconds()
	edge := (1 - f) * period.Seconds() / 2
	return math.Hypot(1.96*scatter*missed(f)*math.Abs(joules), twoEdges95(edge, edge)*curve.aboveIdle(w, watts))
}

// missed is the standard deviation of the mean power in the seen part of a period
// against that of the whole, in units of the scatter. Power that changes once in
// the period gives √2 (1 − f); power that changes from quarter to quarter gives
// √((1 − f) / 4f), which for f = ¼ is the √(1 − f) of drawing one of four.
func missed(f float64) float64 { return max(math.Sqrt2*(1-f), math.Sqrt((1-f)/(4*f))) }

// aboveIdle is how much the mean power of a window lies from that around it; all of it
// where that is not known.
func (c *Curve) aboveIdle(w Window, watts float64) float64 {
	above := 0.0
	for _, limit := range []int64{w.Start, w.End} {
		idle, _, ok := c.beyond(limit == w.Start, limit)
		if !ok {
			return watts
		}
		above = max(above, math.Abs(watts-idle))
	}
	return above
}

// seenPart is the part of its period that a counter sees whose energy of pulses of a
// quarter of the period swings by so much, relative to their mean: the extremes are
// pulses within the part, each counted 1/f times, and pulses as far outside as may be.
func seenPart(swing float64) float64 {
	if swing >= 2./3 {
		return max(0.25, 1/(2*swing))
	}
	return 2 / (2 + max(swing, 0))
}

// scatter is the relative standard deviation of the power within a period. A series
// that is too coarse to see into a period stands for it with its scatter from sample to
// sample, enlarged where a sample is itself a mean over several periods.
func (c *Curve) scatter(w Window, period time.Duration) float64 {
	from, to := c.inside(w)
	if to-from < 2 {
		return unknownScatter
	}
	mean, sd := moments(c.watts[from:to])
	switch {
	case mean <= 0:
		return 0
	case !c.sees(period):
		return sd / mean * math.Sqrt(max(1, float64(c.averaging)/float64(period)))
	}
	var square, free float64
	for from < to {
		end := from + 1
		for end < to && c.times[end]-c.times[from] < int64(period)-int64(c.spacing)/2 {
			end++
		}
		_, sd := moments(c.watts[from:end])
		square, free = square+sd*sd*float64(end-from), free+float64(end-from-1)
		from = end
	}
	return math.Sqrt(square/max(1, free)) / mean
}

// inStep is the relative standard deviation of the mean power at the phases of a
// period: what a load that keeps step with the counter leaves of the scatter in any
// number of periods.
func (c *Curve) inStep(w Window, period time.Duration) float64 {
	if !c.sees(period) {
		return 0
	}
	phases := int64(period / c.resolution())
	sum, n := make([]float64, phases), make([]float64, phases)
	from, to := c.inside(w)
	for i := from; i < to; i++ {
		k := (c.times[i] - w.Start) % int64(period) * phases / int64(period)
		sum[k], n[k] = sum[k]+c.watts[i], n[k]+1
	}
	for k := range sum {
		if n[k] == 0 {
			return 0
		}
		sum[k] /= n[k]
	}
	mean, sd := moments(sum)
	if mean <= 0 {
		return 0
	}
	return sd / mean
}

// Sees says that the series has several samples in a refresh period of a counter, so
// that it does not miss what a counter misses that sees a part of it.
func (c *Curve) Sees(r power.Reading) bool { return c.sees(cmp.Or(r.Refresh, unknownRefresh)) }

func (c *Curve) sees(period time.Duration) bool { return 3*c.resolution() <= period }
