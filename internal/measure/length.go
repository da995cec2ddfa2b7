package measure

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
)

// minWindow returns the minimum length of the window in seconds: the study's setting, otherwise the length
// that the self-test of the GPUs found to be enough for a total within ±1 %.
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

// length is the planned length of the window, and the number of rounds for it.
type length struct {
	// seconds is the minimum length, and who names its origin; 0 means any length.
	seconds float64
	who     string
	// warmNS is the duration of the first batch in the warm-up; 0 without one.
	warmNS int64
	// lasts is how long requests arrive; 0 if they do not arrive by themselves.
	lasts time.Duration
	// repeats is the number of rounds of the workload in the window.
	repeats int
	// forPhases reports whether the phases need this length; phasesTake is the length that they need if it
	// exceeds the limit: 0 means unknown or enough, a negative value that no length helps.
	forPhases  bool
	phasesTake time.Duration
}

// mayRepeat reports whether the workload may run more than once in the window.
func (d *desk) mayRepeat() bool {
	return d.minWindow() > 0 || len(d.Meters) > 0 && d.Experiment.Energy.MaxWindow > 0
}

// newLength plans the window from the warm-up.
func (d *desk) newLength(ctx context.Context, c *collected, warmNS int64) (length, error) {
	l := d.leastLength(c.work, warmNS)
	if warmNS <= 0 || len(d.Meters) == 0 || d.Experiment.Energy.MaxWindow <= 0 {
		return l, nil
	}
	return d.lengthForPhases(ctx, c, l)
}

// leastLength sets the length that the total energy needs.
func (d *desk) leastLength(w work, warmNS int64) length {
	l := length{warmNS: warmNS, repeats: 1}
	if len(d.Meters) == 0 {
		return l
	}
	l.seconds, l.who = d.minWindow(), "the self-test of the GPUs requires for ±1 %"
	if d.Experiment.Energy.MinWindow > 0 {
		l.who = "energy.min_window requires"
	}
	switch {
	case l.seconds <= 0:
	case warmNS <= 0:
		d.record.Warn(codes.MinWindow,
			"energy.min_window needs a warm-up to determine the number of repetitions, so the workload runs "+
				"once; raise "+
				"warmup.runs")
	default:
		l.repeats = repeatsOf(l.seconds, float64(warmNS)/1e9*float64(w.batches()))
	}
	return l
}

const (
	// maxRepeats bounds how often a workload is repeated to fill a window.
	maxRepeats = 10_000
	// spare is the factor by which a window is planned longer than wanted: the engine may be faster than in
	// the warm-up.
	spare = 1.1
	// tolerated is the fraction of the wanted length that is accepted.
	tolerated = 0.95
)

// repeatsOf returns how often the workload must run if one round takes once seconds.
func repeatsOf(seconds, once float64) int {
	return min(maxRepeats, max(1, int(math.Ceil(spare*seconds/once))))
}

// lengthened returns the length with more rounds if the window was shorter than wanted, and whether it was.
// Without a warm-up, the first requests belong to the window.
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
	d.warn(codes.WindowRepeated, fmt.Sprintf("the warm-up was slower than the window: the workload ran %s in "+
		"%s s, less than the %s s that %s; "+
		"that window is discarded and repeated with %d rounds", digits.Count(l.repeats, "time"),
		digits.Significant(seconds, 3), digits.Significant(l.seconds, 3), l.who, n))
	l.repeats = n
	return l, true
}

// tooShort warns of a window that is shorter than wanted.
func (d *desk) tooShort(l length, w attribute.Window) {
	if got := w.Duration().Seconds(); got < l.seconds && l.warmNS > 0 && !l.forPhases {
		d.warn(codes.MinWindow, fmt.Sprintf("the window of %s s, in which the workload ran %s, is shorter "+
			"than the %s s that %s: "+
			"use more prompts, or raise energy.min_window", digits.Significant(got, 3), digits.Count(l.repeats, "time"),
			digits.Significant(l.seconds, 3), l.who))
	}
}
