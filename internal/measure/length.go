package measure

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/codes"
)

// minWindow is the least length of the window in seconds: what the study asks for,
// else what the self-test of the GPUs found to be enough for a total within ±1 %.
func (d *desk) minWindow() float64 {
	if w := d.Experiment.Energy.MinWindow; w > 0 || len(d.Meters) == 0 {
		return w
	}
	var w float64
	for _, p := range d.Profiles {
		w = max(w, p.MinWindowS)
	}
	return w
}

// length is how long the window is to be, and how often the workload runs for that.
type length struct {
	// seconds is the least length, and who tells who wants it; 0 is any length.
	seconds float64
	who     string
	// warmNS is how long the first batch took in the warm-up; 0 without one.
	warmNS int64
	// repeats is how often the workload runs in the window.
	repeats int
	// forPhases says that the phases want it; phasesTake is how long a window they take where that is more than
	// they can have: 0 is not known, or enough, and less than 0 that no length helps.
	forPhases  bool
	phasesTake time.Duration
}

// mayRepeat reports whether the workload may run more than once in the window.
func (d *desk) mayRepeat() bool {
	return d.minWindow() > 0 || len(d.Meters) > 0 && d.Experiment.Energy.MaxWindow > 0
}

// newLength plans the window, judged by the warm-up.
func (d *desk) newLength(ctx context.Context, c *collected, warmNS int64) (length, error) {
	l := d.leastLength(c.work, warmNS)
	if warmNS <= 0 || len(d.Meters) == 0 || d.Experiment.Energy.MaxWindow <= 0 {
		return l, nil
	}
	return d.lengthForPhases(ctx, c, l)
}

// leastLength is the length that the energy in all takes.
func (d *desk) leastLength(w work, warmNS int64) length {
	l := length{warmNS: warmNS, repeats: 1}
	if len(d.Meters) == 0 {
		return l
	}
	l.seconds, l.who = d.minWindow(), "the self-test of the GPUs found to be enough for ±1 %"
	if d.Experiment.Energy.MinWindow > 0 {
		l.who = "energy.min_window asks for"
	}
	switch {
	case l.seconds <= 0:
	case warmNS <= 0:
		d.record.Warn(codes.MinWindow,
			"energy.min_window needs a warm-up to know how often to repeat the workload: it runs once; raise "+
				"warmup.runs")
	default:
		l.repeats = repeatsOf(l.seconds, float64(warmNS)/1e9*float64(w.batches()))
	}
	return l
}

const (
	// maxRepeats bounds how often a workload is repeated to fill a window.
	maxRepeats = 10_000
	// spare is how much longer than wanted a window is planned: the engine may be faster
	// in it than before.
	spare = 1.1
	// tolerated is the part of the wanted length that will do.
	tolerated = 0.95
)

// repeatsOf is how often the workload must run where one time takes once seconds.
func repeatsOf(seconds, once float64) int {
	return min(maxRepeats, max(1, int(math.Ceil(spare*seconds/once))))
}

// lengthened returns the length with more repeats where the window got shorter than
// wanted, and whether it did. Without a warm-up the first requests belong to the window.
func (d *desk) lengthened(l length, got attribute.Window) (length, bool) {
	seconds := got.Duration().Seconds()
	if seconds >= tolerated*l.seconds || l.warmNS <= 0 {
		return l, false
	}
	n := repeatsOf(l.seconds, seconds/float64(l.repeats))
	if n <= l.repeats {
		return l, false
	}
	d.record.Timing.DiscardedWindowS = seconds
	d.warn(codes.WindowRepeated, fmt.Sprintf("the warm-up was slower than the window: the workload ran %d times in "+
		"%.3g s, less than the %.3g s that %s; "+
		"that window is thrown away and measured again with %d times", l.repeats, seconds, l.seconds, l.who, n))
	l.repeats = n
	return l, true
}

// tooShort warns of a window that is shorter than wanted.
func (d *desk) tooShort(l length, w attribute.Window) {
	if got := w.Duration().Seconds(); got < l.seconds && l.warmNS > 0 && !l.forPhases {
		d.warn(codes.MinWindow, fmt.Sprintf("the window of %.3g s, in which the workload ran %d times, is shorter "+
			"than the %.3g s that %s: "+
			"use more prompts, or raise energy.min_window", got, l.repeats, l.seconds, l.who))
	}
}
