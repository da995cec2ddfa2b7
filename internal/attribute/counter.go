package attribute

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/power"
)

// edgeReach is how far from a window limit a counter reading may lie.
const edgeReach = int64(1500 * time.Millisecond)

// Counter is the energy of the window from readings of one device's counter: the
// difference between the readings around the window, less what the series says
// about the slivers between the readings and the window's limits. curve may be
// nil; the slivers are then taken at the mean power.
//
// A counter that went backwards or stood still is refused: nothing that it says
// about this window can be trusted. See also [Jump] and [Alone].
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

// edge is what lies between a reading and a limit of the window.
type edge struct {
	joules float64 // energy of the sliver
	blur   float64 // half of the energy by which the reading's own instant is unknown
	half   float64 // 95 % half width of the sliver's power, as energy
}

// settling is the time that power may take to follow the load at a window's limit:
// 95 % of the charge of the board's own capacitors.
const settling = 5 * time.Millisecond

// edgeOf estimates the sliver between a reading and a limit. Beyond the limit power
// is that of the machine around the window, which the samples far enough from the
// limit know; those next to it average over both sides.
func edgeOf(r power.Reading, limit int64, curve *Curve, mean float64) edge {
	from, to := min(r.At(), limit), max(r.At(), limit)
	length := digits.Seconds(to - from)
	watts, sd, ok := curve.beyond(r.At() < limit, limit)
	switch {
	case ok:
		half := 2 * sd * length
		if r.At() > limit { // power is still coming to what it is beyond
			half += settling.Seconds() / 2 * math.Abs(mean-watts)
		}
		return edge{watts * length, edgeBlur(r) / 2 * watts, half}
	case curve != nil && curve.resolution() <= maxSliver && curve.covered(Window{from, to}) == to-from:
		joules := curve.Joules(from, to)
		local := mean
		if length > 0 {
			local = joules / length
		}
		return edge{joules, edgeBlur(r) / 2 * max(mean, local), curve.resolution().Seconds() / 2 * math.Abs(mean-local)}
	}
	// Nothing is known: anything between none and the mean of the window.
	return edge{mean * length / 2, edgeBlur(r) / 2 * mean, 0.95 * mean * length / 2}
}

// maxScatter is the relative standard deviation of samples up to which power counts
// as steady.
const maxScatter = 0.15

// maxSliver is the resolution up to which a series knows the power of a sliver.
const maxSliver = 250 * time.Millisecond

// beyond is the mean power next to a window, before or after it, from samples that
// do not reach into it, with the standard error. It is not known where power is not
// steady there.
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

// slowestRefresh is the slowest refresh that is known of a local counter.
const slowestRefresh = 500 * time.Millisecond

// longStill is how long a counter may show one value.
const longStill = 3 * time.Second

// steady refuses a counter that cannot be right.
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
			return fmt.Errorf("the energy counter (%s) did not move in %.2f s: it is frozen", now.Source,
				digits.Seconds(now.At()-still.At()))
		}
	}
	if n := len(readings); n > 1 && readings[0].Energy == readings[n-1].Energy {
		return fmt.Errorf("the energy counter (%s) did not move in %.2f s: it is frozen", readings[0].Source,
			digits.Seconds(readings[n-1].At()-readings[0].At()))
	}
	return nil
}

// Snap moves the limits of a window to the instants at which the counter moved:
// to the first change seen at or after each limit. Over such a window the counter's
// difference is free of its refresh period; what remains is the time between the
// calls around each change. Work must be counted to the limits that it returns.
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
		return Window{}, Estimate{}, errors.New("the counter was not seen to move after both limits of the window")
	}
	delta := (to.Energy - from.Energy).Joules()
	if delta < 0 {
		return Window{}, Estimate{}, fmt.Errorf("the energy counter (%s) went backwards: it was reset", from.Source)
	}
	snapped := Window{from.At(), to.At()}
	mean := delta / snapped.Duration().Seconds()
	return snapped, Estimate{Joules: delta, Half95: twoEdges95(edgeBlur(*from)/2, edgeBlur(*to)/2) * mean}, nil
}

// edgeBlur is the time in seconds by which a reading's true instant is unknown.
func edgeBlur(r power.Reading) float64 {
	call := digits.Seconds(r.AfterNS - r.BeforeNS)
	switch {
	case r.Snapped && r.SinceNS != 0:
		// A call takes its value at the same moment of its course each time. So the
		// update lies between that moment of the call before and that of this one, and
		// the moment itself shifts both limits of a window alike.
		return digits.Seconds(r.BeforeNS - r.SinceNS)
	case r.Refresh > 0:
		return call + r.Refresh.Seconds()
	}
	return call + unknownRefresh.Seconds()
}

// unknownRefresh is assumed for a counter whose refresh period was not measured:
// that of data-centre GPUs.
const unknownRefresh = 100 * time.Millisecond

// around picks the readings that enclose the window: the snapped ones if they are
// near, else the nearest.
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
