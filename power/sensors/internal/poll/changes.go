// Package poll converts a sensor value without time stamps to samples: the value is polled often, and a
// change lies between two polls.
package poll

import (
	"slices"
	"time"

	"github.com/llenergymeasure/llem/internal/sensor"
)

const (
	// HoldMost is the maximum time for which an unchanged value is not recorded.
	HoldMost = 250 * time.Millisecond
	// holdLeast is used until the refresh period is known. A step function may hold a value for 50 ms,
	// whatever the spacing of its samples.
	holdLeast = 40 * time.Millisecond
	// pollPause is the distance of two polls, in intervals, above which the time between them gives no
	// information about the sensor, unless it is within one refresh period.
	pollPause = 10
	// restLeast is the refresh period, in intervals, above which polling pauses after a change; restMost
	// bounds the pause, so that a faster refresh is noticed.
	restLeast = 8
	restMost  = 200 * time.Millisecond
	// stepsKept is the number of distances between changes that are kept, stepsNeeded the number from which
	// the refresh period counts as known.
	stepsKept   = 64
	stepsNeeded = 5
	// frozenAfter is the time after which an unchanged value is reported.
	frozenAfter = time.Minute
)

// Changes decides which polls of a value become samples: polls that returned a new value, and some in
// between, so that the value is known to be unchanged. It also measures the refresh period.
type Changes struct {
	// Interval is the time between two polls.
	Interval time.Duration

	seen       bool
	value      float64
	polledNS   int64 // start of the previous successful poll
	recordedNS int64 // stamp of the newest sample
	changedNS  int64 // when the latest change was seen, or watching began
	middleNS   int64 // middle of the interval that contains the latest change; 0 if none
	steps      []int64
	count      int
	refresh    time.Duration // median of steps; zero if unknown
	warned     bool
}

// Refresh returns the median time between two changes; zero if unknown.
func (c *Changes) Refresh() time.Duration { return c.refresh }

// Verdict is the outcome of a poll.
type Verdict struct {
	record bool
	// SinceNS is the start of the last call that returned the old value, in nanoseconds of CLOCK_MONOTONIC;
	// zero for an unchanged value or an unobserved change.
	SinceNS int64
	// Changed reports whether the value differs from the previous poll's.
	Changed bool
}

// Poll processes a value that a call returned between two instants.
func (c *Changes) Poll(value float64, before, after int64) Verdict {
	previous, first := c.polledNS, !c.seen
	watched := !first && before-previous <= max(pollPause*int64(c.Interval), int64(c.refresh))
	changed := !first && value != c.value
	if !first && after <= c.recordedNS { // one stamp, one sample
		return Verdict{}
	}
	c.seen, c.value, c.polledNS = true, value, before
	v := Verdict{Changed: changed}
	switch {
	case !watched:
		// The time in between is unknown, and the next step would span it.
		v.record, c.changedNS, c.middleNS, c.warned = true, after, 0, false
	case changed:
		v.record, v.SinceNS = true, previous
		c.mark(previous + (after-previous)/2)
		c.changedNS, c.warned = after, false
	default:
		v.record = after-c.recordedNS >= int64(c.hold())
	}
	if v.record {
		c.recordedNS = after
	}
	return v
}

// mark records a change and updates the refresh period.
func (c *Changes) mark(at int64) {
	c.count++
	if c.middleNS != 0 {
		if len(c.steps) == stepsKept { // drop the older half
			c.steps = slices.Delete(c.steps, 0, stepsKept/2)
		}
		c.steps = append(c.steps, at-c.middleNS)
	}
	c.middleNS = at
	if len(c.steps) >= stepsNeeded {
		sorted := slices.Sorted(slices.Values(c.steps))
		c.refresh = time.Duration(sorted[len(sorted)/2])
	}
}

// hold returns the time after which an unchanged value is recorded again: two refresh periods, within limits,
// so that a step function never has to hold a value over many of its spacings.
func (c *Changes) hold() time.Duration {
	// Polls may come a little early, hence slightly less than a whole number of intervals.
	floor := max(holdLeast, c.Interval) - c.Interval/4
	return max(floor, min(2*c.refresh, HoldMost))
}

// rest returns the time until which a poll is pointless: the next change is not expected within three
// quarters of a refresh period. If it comes earlier, its interval is wider, and the refresh period adapts
// step by step.
func (c *Changes) rest() int64 {
	if c.middleNS == 0 || c.refresh < restLeast*c.Interval {
		return 0
	}
	return c.changedNS + int64(min(c.refresh*3/4, restMost))
}

// frozen reports, once, that the value has not changed for so long that the sensor may have stopped.
func (c *Changes) frozen(now int64) bool {
	if c.warned || !c.seen || now-c.changedNS < int64(frozenAfter) {
		return false
	}
	c.warned = true
	return true
}

// Profile returns the measured refresh period with its names.
func (c *Changes) Profile(device, source string) sensor.SourceRefresh {
	return sensor.SourceRefresh{Device: device, Source: source, Period: c.refresh, Changes: c.count}
}
