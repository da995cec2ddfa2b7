package attribute

import (
	"cmp"
	"math"
	"time"

	"github.com/llenergymeasure/llem/power"
)

// unknownScatter is the assumed relative standard deviation of power within a refresh period of the counter
// if there is no series to measure it.
const unknownScatter = 0.2

// Aliasing returns the half width (95 %), in joules, of the uncertainty of a window's energy that arises
// because the counter measures only a part of each refresh period and extrapolates from it. The relative
// standard deviation is
//
//	scatter · missed(f) / √n
//
// where f is the measured part, n the number of refresh periods in the window, and scatter the variation of
// the power within a period, from the series. If the series shows that the load is in step with the counter,
// the error does not decrease with n. In the two periods in which the load begins and ends, up to (1 − f) of
// the period may be taken for load or for idle time.
//
// swing is how much the counter's response to short pulses depends on their phase, from the self-test: 0
// means that the counter misses nothing. curve may be nil.
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

// missed returns the standard deviation of the mean power in the measured part of a period relative to the
// mean of the whole, in units of the scatter. Power that changes once per period gives √2 (1 − f); power that
// changes from quarter to quarter gives √((1 − f) / 4f), which for f = ¼ is √(1 − f), the value for sampling
// one of four.
func missed(f float64) float64 { return max(math.Sqrt2*(1-f), math.Sqrt((1-f)/(4*f))) }

// aboveIdle returns how far the mean power of a window is above the power around it, or all of it if that is
// unknown.
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

// seenPart returns the part f of its period that a counter measures, from the relative swing of its response
// to pulses of a quarter period. The extremes are pulses inside the part, each counted 1/f times, and pulses
// as far outside as possible.
func seenPart(swing float64) float64 {
	if swing >= 2./3 {
		return max(0.25, 1/(2*swing))
	}
	return 2 / (2 + max(swing, 0))
}

// scatter returns the relative standard deviation of the power within a period. If the series is too coarse
// to resolve a period, the scatter between samples is used, enlarged if a sample averages over several
// periods.
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

// inStep returns the relative standard deviation of the mean power over the phases of a period. It is the
// part of the scatter that does not average out over periods, because the load is in step with the counter.
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

// Sees reports whether the series has several samples in a refresh period of a counter, so that it sees what
// the counter may miss.
func (c *Curve) Sees(r power.Reading) bool { return c.sees(cmp.Or(r.Refresh, unknownRefresh)) }

func (c *Curve) sees(period time.Duration) bool { return 3*c.resolution() <= period }
