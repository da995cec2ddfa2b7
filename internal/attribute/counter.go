package attribute

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/power"
)

// edgeReach is the maximum distance of a counter reading from a window limit, in nanoseconds.
const edgeReach = int64(1500 * time.Millisecond)

// Counter returns the energy of the window from the readings of one device's counter: the difference between
// the readings around the window, corrected with the series for the slivers between the readings and the
// window's limits. Without a series (curve is nil) the slivers have the mean power.
//
// A counter that went backwards or froze is an error, because none of its values in this window can be
// trusted. See also [Jump] and [Alone].
func Counter(readings []power.Reading, curve *Curve, w Window) (Estimate, error) {
	before, after := around(readings, w)
	if before == nil || after == nil {
		return Estimate{}, errors.New("no counter readings on both sides of the window")
	}
	if err := steady(readings); err != nil {
		return Estimate{}, err
	}
	delta := (after.Energy - before.Energy).Joules()
	mean := delta / digits.Seconds(after.At()-before.At())
	head, tail := edgeOf(*before, w.Start, curve, mean), edgeOf(*after, w.End, curve, mean)
	return Estimate{
		Joules: delta - head.joules - tail.joules,
		Half95: math.Hypot(twoEdges95(head.blur, tail.blur), math.Hypot(head.half, tail.half)),
	}, nil
}

// edge describes the time between a reading and a limit of the window.
type edge struct {
	joules float64 // energy of the sliver
	blur   float64 // half of the energy of the reading's uncertainty in time
	half   float64 // 95 % half width of the sliver's energy
}

// settling is the time that power may take to follow the load at a window's limit: 95 % of the charge of the
// board's capacitors.
const settling = 5 * time.Millisecond

// edgeOf estimates the sliver between a reading and a limit. Outside the window, the power is the machine's
// power before or after it, which samples far enough from the limit measure; samples next to the limit
// average over both sides.
func edgeOf(r power.Reading, limit int64, curve *Curve, mean float64) edge {
	from, to := min(r.At(), limit), max(r.At(), limit)
	length := digits.Seconds(to - from)
	watts, sd, ok := curve.beyond(r.At() < limit, limit)
	switch {
	case ok && length > 0:
		half := 2 * sd * length
		if r.At() > limit { // power still settles after the limit
			half += settling.Seconds() / 2 * math.Abs(mean-watts)
		}
		return edge{watts * length, edgeBlur(r) / 2 * watts, half}
	case curve != nil && curve.resolution() <= maxSliver && curve.covered(Window{from, to}) == to-from:
		joules := curve.Joules(from, to)
		local := joules / length
		if length == 0 {
			local = curve.MeanPower(limit-int64(slowestRefresh), limit)
		}
		if math.IsNaN(local) {
			local = mean
		}
		return edge{joules, edgeBlur(r) / 2 * max(mean, local), curve.resolution().Seconds() / 2 * math.Abs(mean-local)}
	}
	// The power is unknown: anything from zero to the mean of the window.
	return edge{mean * length / 2, edgeBlur(r) / 2 * mean, 0.95 * mean * length / 2}
}

// maxScatter is the largest relative standard deviation of samples at which power counts as steady.
const maxScatter = 0.15

// maxSliver is the coarsest resolution at which a series measures the power of a sliver.
const maxSliver = 250 * time.Millisecond

// beyond returns the mean power before or after a window, from samples that do not reach into it, with the
// standard error. ok is false if the power there is not steady.
func (c *Curve) beyond(before bool, limit int64) (watts, sd float64, ok bool) {
	if c == nil {
		return 0, 0, false
	}
	guard := int64(max(c.spacing, c.averaging)*11/10 + 6*settling)
	lo, hi := limit+guard, limit+guard+reach
	if before {
		lo, hi = limit-reach, limit-int64(2*settling)
	}
	var n, sum, square float64
	for i, t := range c.times {
		if t < lo || t > hi || before && c.averaging > 2*c.spacing {
			continue
		}
		p := c.watts[i]
		n, sum, square = n+1, sum+p, square+p*p
	}
	if n == 0 {
		return 0, 0, false
	}
	watts = sum / n
	if n == 1 {
		return watts, 0.05 * watts, true
	}
	spread := math.Sqrt(max(0, square/n-watts*watts))
	return watts, spread / math.Sqrt(n-1), spread <= maxScatter*watts
}

// slowestRefresh is the slowest known refresh period of a local counter.
const slowestRefresh = 500 * time.Millisecond

// longStill is the longest time for which a working counter may keep a value.
const longStill = 3 * time.Second

// steady returns an error for a counter that cannot be right.
func steady(readings []power.Reading) error {
	var still *power.Reading
	for i := range readings {
		now := &readings[i]
		if i == 0 {
			still = now
			continue
		}
		last := &readings[i-1]
		delta := (now.Energy - last.Energy).Joules()
		switch {
		case delta < 0:
			return fmt.Errorf("the energy counter (%s) went backwards: it was reset during the run", now.Source)
		case delta > 0:
			still = now
		case now.At()-still.At() > int64(longStill):
			return fmt.Errorf("the energy counter (%s) did not change in %.2f s: it is frozen", now.Source,
				digits.Seconds(now.At()-still.At()))
		}
	}
	if n := len(readings); n > 1 && readings[0].Energy == readings[n-1].Energy {
		return fmt.Errorf("the energy counter (%s) did not change in %.2f s: it is frozen", readings[0].Source,
			digits.Seconds(readings[n-1].At()-readings[0].At()))
	}
	return nil
}

// Snap moves the limits of a window to changes of the counter: to the first change seen at or after each
// limit. Over such a window, the counter's difference does not depend on its refresh period; the remaining
// uncertainty is the time between the calls around each change. Work must be counted within the returned
// limits.
func Snap(readings []power.Reading, w Window) (Window, Estimate, error) {
	first := func(t int64) *power.Reading {
		for i := range readings {
			if r := &readings[i]; r.Snapped && r.SinceNS >= t {
				return r
			}
		}
		return nil
	}
	from, to := first(w.Start), first(w.End)
	if from == nil || to == nil || from == to {
		return Window{}, Estimate{}, errors.New("no change of the counter was seen after each limit of the window")
	}
	delta := (to.Energy - from.Energy).Joules()
	if delta < 0 {
		return Window{}, Estimate{}, fmt.Errorf("the energy counter (%s) went backwards: it was reset", from.Source)
	}
	snapped := Window{from.At(), to.At()}
	mean := delta / snapped.Duration().Seconds()
	return snapped, Estimate{Joules: delta, Half95: twoEdges95(edgeBlur(*from)/2, edgeBlur(*to)/2) * mean}, nil
}

// edgeBlur returns the uncertainty of a reading's true time, in seconds.
func edgeBlur(r power.Reading) float64 {
	call := digits.Seconds(r.AfterNS - r.BeforeNS)
	switch {
	case r.Snapped && r.SinceNS != 0:
		// A call takes its value at a fixed point of its duration. So the update lies between that point of
		// the previous call and that point of this call, and the offset of the point shifts both limits of a
		// window equally.
		return digits.Seconds(r.BeforeNS - r.SinceNS)
	case r.Refresh > 0:
		return call + r.Refresh.Seconds()
	}
	return call + unknownRefresh.Seconds()
}

// unknownRefresh is assumed for a counter whose refresh period was not measured; it is the value of
// data-centre GPUs.
const unknownRefresh = 100 * time.Millisecond

// around returns the readings that enclose the window: snapped readings if they are near, otherwise the
// nearest.
func around(readings []power.Reading, w Window) (before, after *power.Reading) {
	better := func(old, r *power.Reading, nearer bool) bool {
		return old == nil || r.Snapped && !old.Snapped || r.Snapped == old.Snapped && nearer
	}
	for i := range readings {
		r := &readings[i]
		switch at := r.At(); {
		case at <= w.Start && w.Start-at <= edgeReach:
			if better(before, r, before != nil && at > before.At()) {
				before = r
			}
		case at >= w.End && at-w.End <= edgeReach:
			if better(after, r, after != nil && at < after.At()) {
				after = r
			}
		}
	}
	return before, after
}
