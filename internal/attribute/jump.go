package attribute

import (
	"fmt"
	"math"
	"slices"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/power"
)

// pace is the largest relative difference of counter and series in one step, compared with the other steps; a
// difference that all steps share is judged by the comparison of the totals. loneJump is the limit for a step
// without others.
const (
	pace     = 0.02
	loneJump = 0.15
)

// widestPace bounds the difference that all steps may share.
const widestPace = 0.1

// sureOfPace is the largest uncertainty of the other steps' pace at which it is used.
const sureOfPace = 0.03

// minSeen is the fraction of a step that the series must cover to judge it.
const minSeen = 0.8

// step is the change of a counter between two readings.
type step struct {
	last, now power.Reading
	delta     float64 // joules by the counter
	seen      float64 // joules by the series
	slack     float64 // joules by which the two may differ because of the series' timing and sampling
	high      float64 // highest power around it, in watts
}

// Jump returns an error if the counter changed in one step by energy that the series does not show, while it
// agrees with the series in the other steps. A reading may be late by one refresh period, or by several if
// the period is unknown: that makes one step too small and the next too large. A jump persists: every later
// reading is off by the same amount.
func Jump(readings []power.Reading, curve *Curve) error {
	if curve == nil {
		return nil
	}
	for _, run := range steps(readings, curve) {
		for i, s := range run {
			share := pace
			if len(run) == 1 {
				share = loneJump
			}
			if jump := rise(run, i); math.Abs(jump) > share*s.seen+s.slack {
				return fmt.Errorf(
					"the energy counter (%s) changed by %.4g J in %.2f s in which the power series (%s) has %.4g J, "+
						"%.3g J more or less than its rate before and after implies: it jumped or was reset",
					s.now.Source, s.delta, digits.Seconds(s.now.At()-s.last.At()), curve.source, s.seen, math.Abs(jump))
			}
		}
	}
	return nil
}

// steps returns the counter's steps that the series covers, in unbroken runs.
func steps(readings []power.Reading, curve *Curve) [][]step {
	var all [][]step
	broken := true
	for i := 1; i < len(readings); i++ {
		s, ok := curve.step(readings[i-1], readings[i])
		switch {
		case !ok:
			broken = true
			continue
		case broken:
			all = append(all, nil)
		}
		broken = false
		all[len(all)-1] = append(all[len(all)-1], s)
	}
	return all
}

// step compares two consecutive readings; ok is false if the series covers too little or has no energy.
func (c *Curve) step(last, now power.Reading) (step, bool) {
	w := Window{last.At(), now.At()}
	length := w.End - w.Start
	if length <= 0 {
		return step{}, false
	}
	known := float64(c.covered(w)) / float64(length)
	s := step{last: last, now: now, delta: (now.Energy - last.Energy).Joules(), seen: c.Joules(w.Start, w.End) / known}
	if known < minSeen || s.seen <= 0 {
		return step{}, false
	}
	low, high := c.extremes(Window{w.Start - edgeReach, w.End + edgeReach})
	s.slack = c.resolution().Seconds()*(high-low) + (1-known)*digits.Seconds(length)*high + 3*c.sampling(w)
	s.high = high
	return s, true
}

// inside returns the indices of the samples in a window.
func (c *Curve) inside(w Window) (from, to int) {
	from, _ = slices.BinarySearch(c.times, w.Start)
	to, _ = slices.BinarySearch(c.times, w.End)
	return from, to
}

// sampling returns the standard error, in joules, of the energy of an interval for a sensor that measures
// nothing between its samples.
func (c *Curve) sampling(w Window) float64 {
	from, to := c.inside(w)
	if to-from < 2 {
		return 0
	}
	_, sd := moments(c.watts[from:to])
	return sd / math.Sqrt(float64(to-from)) * w.Duration().Seconds()
}

// rise returns by how much the counter's lead over the series rises permanently in step i of a run: the
// distance between the readings before and the readings after, at the pace of the other steps. A late reading
// affects that pace, so the distance is computed at both ends of the possible pace, and the smaller one
// counts. The pace of few steps may be anything between zero and their average.
func rise(run []step, i int) float64 {
	others := slices.Delete(slices.Clone(run), i, i+1)
	if len(others) == 0 {
		return leap(run, i, 0)
	}
	shown, doubt := paceOf(others)
	low, high := 0.0, shown
	if doubt < sureOfPace {
		low, high = shown-doubt, shown+doubt
	}
	a, b := leap(run, i, low), leap(run, i, high)
	switch {
	case a*b <= 0:
		return 0
	case math.Abs(a) < math.Abs(b):
		return a
	}
	return b
}

// paceOf returns the relative difference of counter and series over some steps, and its uncertainty. For
// enough steps it is the median, because a late reading only affects its two neighbours; for fewer, the sum
// is affected by one reading that is as late as possible.
func paceOf(all []step) (shown, doubt float64) {
	var delta, seen, late float64
	var each, off []float64
	for _, s := range merged(all) {
		delta, seen = delta+s.delta-s.seen, seen+s.seen
		late = max(late, lateness(s.last)*s.high, lateness(s.now)*s.high)
		each = append(each, s.delta/s.seen-1)
	}
	shown, doubt = delta/seen, late/seen
	if n := len(each); n >= enoughSteps {
		shown = middle(each)
		for _, d := range each {
			off = append(off, math.Abs(d-shown))
		}
		doubt = 3 * 1.4826 * middle(off) / math.Sqrt(float64(n))
	}
	return min(max(shown, -widestPace), widestPace), doubt
}

// lateness returns the time in seconds by which a reading may be late.
func lateness(r power.Reading) float64 {
	if timed(r) {
		return edgeBlur(r)
	}
	return edgeBlur(r) + (slowestRefresh - unknownRefresh).Seconds()
}

// span is the range of the counter's lead over the series, in joules.
type span struct{ low, high float64 }

// leadOf widens a lead by the uncertainty of the reading's time: the error is symmetric around an observed
// update, while any other reading may only be late.
func leadOf(joules float64, r power.Reading, watts float64, outermost bool) span {
	blur := edgeBlur(r) * watts
	switch {
	case r.Snapped && r.SinceNS != 0:
		return span{joules - blur/2, joules + blur/2}
	case outermost: // no other reading shows that it was late
		blur = lateness(r) * watts
	}
	return span{joules, joules + blur}
}

// leap returns the distance between the counter's leads before and after step i, after subtracting a share of
// the series' energy; zero if they overlap. The outermost readings count only if there is no other on their
// side, or if their timing is known.
func leap(run []step, i int, share float64) float64 {
	first, last := run[0].last, len(run)-1
	none := span{math.Inf(1), math.Inf(-1)}
	lead, before, after := 0.0, none, none
	if i == 0 || timed(first) {
		before = leadOf(0, first, run[0].high, true)
	}
	for k, s := range run {
		lead += s.delta - (1+share)*s.seen
		now := leadOf(lead, s.now, s.high, k == last)
		switch {
		case k < i:
			before = before.with(now)
		case k < last || i == last || timed(s.now):
			after = after.with(now)
		}
	}
	switch {
	case after.low > before.high:
		return after.low - before.high
	case after.high < before.low:
		return after.high - before.low
	}
	return 0
}

// timed reports whether a reading cannot be later than edgeBlur allows.
func timed(r power.Reading) bool { return r.Refresh > 0 || r.Snapped && r.SinceNS != 0 }

// with returns the range that contains both.
func (a span) with(b span) span { return span{min(a.low, b.low), max(a.high, b.high)} }

// maxDeviceWatts exceeds the power of any single board, package or module; a GB200 superchip is rated at 2.7
// kW.
const maxDeviceWatts = 3000

// enoughSteps is the number of steps needed to compare them with each other, and hidden the share of the
// energy that a jump may hide in their scatter.
const (
	enoughSteps = 4
	hidden      = 0.03
)

// Alone checks the counter of a window without an independent series. A step with more power than any device
// draws is an error. doubt explains why a smaller jump could have been missed; it is empty if it would have
// been found.
func Alone(readings []power.Reading, w Window) (doubt string, err error) {
	before, after := around(readings, w)
	if before == nil || after == nil {
		return "", nil
	}
	var run []step
	for i := 1; i < len(readings); i++ {
		s := step{last: readings[i-1], now: readings[i]}
		if s.last.At() < before.At() || s.now.At() > after.At() {
			continue
		}
		s.delta = (s.now.Energy - s.last.Energy).Joules()
		longest := s.length() + (edgeBlur(s.last) + edgeBlur(s.now))
		if s.delta > maxDeviceWatts*longest {
			return "", fmt.Errorf(
				"the energy counter (%s) changed by %.4g J in %.2f s, which is %.3g W at least, more than any "+
					"device draws: it jumped or was reset",
				s.now.Source, s.delta, s.length(), s.delta/longest)
		}
		run = append(run, s)
	}
	return apart(merged(run), (after.Energy - before.Energy).Joules()), nil
}

func (s step) length() float64 { return digits.Seconds(s.now.At() - s.last.At()) }

// merged joins steps that are short compared with the others with the step before.
func merged(run []step) []step {
	var lengths []float64
	for _, s := range run {
		lengths = append(lengths, s.length())
	}
	typical := middle(lengths)
	var out []step
	for _, s := range run {
		if n := len(out); n > 0 && (s.length() < typical/2 || out[n-1].length() < typical/2) {
			last := &out[n-1]
			last.now, last.delta, last.seen, last.high = s.now, last.delta+s.delta, last.seen+
				s.seen, max(last.high, s.high)
			continue
		}
		out = append(out, s)
	}
	return out
}

// apart compares the mean powers of the steps of a window with each other.
func apart(run []step, total float64) (doubt string) {
	if len(run) < enoughSteps {
		return fmt.Sprintf("there is no power series to check the energy counter, and with %d of its steps "+
			"in the window, "+
			"fewer than %d, they cannot be compared with each other: a jump of the counter would not show", len(run),
			enoughSteps)
	}
	var watts []float64
	for _, s := range run {
		watts = append(watts, s.delta/s.length())
	}
	typical := middle(watts)
	var off []float64
	for _, p := range watts {
		off = append(off, math.Abs(p-typical))
	}
	scatter := 1.4826 * middle(off) // the standard deviation of normal values
	var unseen float64
	for i, s := range run {
		slack := 4*scatter*s.length() + (edgeBlur(s.last)+edgeBlur(s.now))/2*typical
		if d := off[i] * s.length(); d > slack && d > hidden*total {
			return fmt.Sprintf(
				"there is no power series to check the energy counter, and it changed by %.3g W in one step "+
					"of %.2f s but by %.3g W in most others: "+
					"either the load changed or the counter jumped", watts[i], s.length(), typical)
		}
		unseen = max(unseen, slack)
	}
	if unseen > hidden*total {
		return fmt.Sprintf("there is no power series to check the energy counter, and its steps in the "+
			"window differ so much that a jump by %.3g J (%.0f %%) would not show",
			unseen, 100*unseen/total)
	}
	return ""
}

// middle returns the median.
func middle(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// moments returns the mean and the standard deviation.
func moments(v []float64) (mean, sd float64) {
	var sum, square float64
	for _, x := range v {
		sum, square = sum+x, square+x*x
	}
	n := float64(len(v))
	return sum / n, math.Sqrt(max(0, square/n-sum/n*sum/n))
}
