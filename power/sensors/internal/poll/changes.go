// Package poll turns values that a sensor shows without a time into samples: it is asked often,
// and a change lies between two calls.
package poll

import (
	"slices"
	"time"

	"github.com/llenergymeasure/llem/internal/sensor"
)

const (
	// HoldMost is the longest time for which an unchanged value goes unrecorded.
	HoldMost = 250 * time.Millisecond
	// holdLeast is used until the refresh is known. A step function may hold a
	// value over 50 ms whatever the spacing of its samples.
	holdLeast = 40 * time.Millisecond
	// pollPause is the distance of two polls, in intervals, from which the time
	// between them says nothing about the sensor, unless it is within a refresh.
	pollPause = 10
	// restLeast is the refresh, in intervals, from which it pays to rest after a
	// change; restMost bounds the rest, so that a faster refresh is noticed.
	restLeast = 8
	restMost  = 200 * time.Millisecond
	// stepsKept bounds the memory of the refresh, stepsNeeded is from how many
	// distances of changes on it counts as known.
	stepsKept   = 64
	stepsNeeded = 5
	// frozenAfter is when an unchanged value becomes worth a sentence.
	frozenAfter = time.Minute
)

// Changes decides which polls of a value become samples: those that saw it
// change, and some in between so that it can be seen to be held. It measures the
// refresh meanwhile.
type Changes struct {
	// Interval is the time between two polls.
	Interval time.Duration

	seen       bool
	value      float64
	polledNS   int64 // start of the previous poll that succeeded
	recordedNS int64 // stamp of the newest sample
	changedNS  int64 // when the newest change was seen, or watching began
	middleNS   int64 // of the interval that holds the newest change; 0: none yet
	steps      []int64
	count      int
	refresh    time.Duration // median of steps, or zero while it is not known
	warned     bool
}

// Refresh returns the median time between two changes; zero while it is not known.
func (c *Changes) Refresh() time.Duration { return c.refresh }

// Verdict is what a poll was worth.
type Verdict struct {
	record bool
	// SinceNS is when the last call that saw another value began, in nanoseconds of
	// CLOCK_MONOTONIC; zero for a value that is held or whose change was not watched.
	SinceNS int64
	// Changed reports whether the value is another than the poll before returned.
	Changed bool
}

// Poll takes the value that a call returned between two instants.
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
		// What happened meanwhile is not known, and the next step would span it.
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

// mark notes a change and renews the refresh.
func (c *Changes) mark(at int64) {
	c.count++
	if c.middleNS != 0 {
		if len(c.steps) == stepsKept { // the older half has served
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

// hold is after how long an unchanged value is recorded again: two refreshes,
// within limits, so that a step function is never asked to hold a value over many
// of its spacings.
func (c *Changes) hold() time.Duration {
	// A little less than a whole number of polls: they come a little early or late.
	floor := max(holdLeast, c.Interval) - c.Interval/4
	return max(floor, min(2*c.refresh, HoldMost))
}

// rest is until when a poll would tell nothing: for three quarters of a refresh
// after a change the next one is not to be expected. Should it come earlier, the
// interval that holds it is wider, and the refresh is learned anew step by step.
func (c *Changes) rest() int64 {
	if c.middleNS == 0 || c.refresh < restLeast*c.Interval {
		return 0
	}
	return c.changedNS + int64(min(c.refresh*3/4, restMost))
}

// frozen says, once, that the value has not changed for so long that the sensor
// may have stopped.
func (c *Changes) frozen(now int64) bool {
	if c.warned || !c.seen || now-c.changedNS < int64(frozenAfter) {
		return false
	}
	c.warned = true
	return true
}

// Profile returns the measured refresh under its names.
func (c *Changes) Profile(device, source string) sensor.SourceRefresh {
	return sensor.SourceRefresh{Device: device, Source: source, Period: c.refresh, Changes: c.count}
}
