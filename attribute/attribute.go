// Package attribute lays power over engine steps: pure functions from a power
// trace and a step log to joules.
//
// Two independent ways measure the energy of a window: the integral of the power
// series, and the difference of the hardware's energy counter. Both are computed
// and compared. Phases come from the series, since a counter is too coarse for
// them.
//
// The phase split here is the simple method: the series is integrated over the
// prefill steps and over the decode steps. It is blind to the sensor's averaging
// window, which smears power across phase changes; the bounds of each phase say
// by how much at most, and where a phase is shorter than the sensor can resolve
// the split is refused.
package attribute

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

// Window is a stretch of CLOCK_MONOTONIC time in nanoseconds.
type Window struct{ Start, End int64 }

// Duration of the window.
func (w Window) Duration() time.Duration { return time.Duration(w.End - w.Start) }

// Quality describes a series inside a window.
type Quality struct {
	Source  string
	Samples int
	// Spacing is the median distance of two samples.
	Spacing time.Duration
	// Averaging is the sensor's own averaging window.
	Averaging  time.Duration
	LargestGap time.Duration
	// Gaps counts distances over which the last value may not be held.
	Gaps int
	// Coverage is the part of the window for which power is known.
	Coverage float64
}

// Resolution is the shortest time that the series can tell apart.
func (q Quality) Resolution() time.Duration { return max(q.Spacing, q.Averaging) }

// Curve is power over time as a step function, from one device and one source.
type Curve struct {
	segments []segment
	// sum[i] is the energy in joules of all segments before i.
	sum       []float64
	times     []int64
	averaging time.Duration
	spacing   time.Duration
	hold      time.Duration
	source    string
}

// segment is a stretch of constant power.
type segment struct {
	start, end int64
	watts      float64
}

// NewCurve makes the step function of the samples of one device and source, in
// any order. A sample of an averaging sensor stands for the time before it, up to
// the previous sample; a sample of a sensor that is polled faster than it
// averages, or not averaging at all, for the time after it. A value is held over
// at most a few spacings: what lies beyond is unknown, not interpolated.
func NewCurve(samples []power.Sample) (*Curve, error) {
	if len(samples) < 2 {
		return nil, fmt.Errorf("the power series has too few samples (%d): the window is too short for this sensor; use more prompts or longer outputs", len(samples))
	}
	sorted := slices.Clone(samples)
	slices.SortStableFunc(sorted, func(a, b power.Sample) int { return compare(a.MonoNS, b.MonoNS) })
	sorted = slices.CompactFunc(sorted, func(a, b power.Sample) bool { return a.MonoNS == b.MonoNS })
	if len(sorted) < 2 {
		return nil, errors.New("power series whose samples all carry one time stamp")
	}
	c := &Curve{averaging: sorted[0].Window, source: sorted[0].Source, times: make([]int64, len(sorted))}
	for i, s := range sorted {
		c.times[i] = s.MonoNS
		if math.IsNaN(float64(s.Power)) || math.IsInf(float64(s.Power), 0) || s.Power < 0 {
			return nil, fmt.Errorf("power series of %s has an impossible value: %v W", s.Device, float64(s.Power))
		}
	}
	c.spacing = medianSpacing(c.times)
	c.hold = max(3*c.spacing, 2*c.averaging, 50*time.Millisecond)
	c.build(sorted)
	return c, nil
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func medianSpacing(times []int64) time.Duration {
	d := make([]int64, len(times)-1)
	for i := range d {
		d[i] = times[i+1] - times[i]
	}
	slices.Sort(d)
	return time.Duration(d[len(d)/2])
}

// backward says that samples stand for the time before their stamp.
func (c *Curve) backward() bool { return c.averaging > 0 && c.averaging <= 2*c.spacing }

func (c *Curve) build(s []power.Sample) {
	hold := int64(c.hold)
	add := func(start, end int64, w unit.Watts) {
		if end > start {
			c.segments = append(c.segments, segment{start, end, float64(w)})
		}
	}
	if c.backward() {
		add(s[0].MonoNS-int64(c.averaging), s[0].MonoNS, s[0].Power)
		for i := 1; i < len(s); i++ {
			add(max(s[i-1].MonoNS, s[i].MonoNS-hold), s[i].MonoNS, s[i].Power)
		}
	} else {
		for i := range len(s) - 1 {
			add(s[i].MonoNS, min(s[i+1].MonoNS, s[i].MonoNS+hold), s[i].Power)
		}
		last := s[len(s)-1]
		add(last.MonoNS, last.MonoNS+int64(c.spacing), last.Power)
	}
	c.sum = make([]float64, len(c.segments)+1)
	for i, g := range c.segments {
		c.sum[i+1] = c.sum[i] + g.watts*seconds(g.end-g.start)
	}
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }

// upTo returns the energy in joules and the covered seconds before t.
func (c *Curve) upTo(t int64) float64 {
	i := sort.Search(len(c.segments), func(i int) bool { return c.segments[i].end > t })
	e := c.sum[i]
	if i < len(c.segments) && c.segments[i].start < t {
		e += c.segments[i].watts * seconds(t-c.segments[i].start)
	}
	return e
}

// Joules is the integral between two instants, over what is known.
func (c *Curve) Joules(start, end int64) float64 { return c.upTo(end) - c.upTo(start) }

// covered is how much of a window is known, in nanoseconds.
func (c *Curve) covered(w Window) int64 {
	var sum int64
	i := sort.Search(len(c.segments), func(i int) bool { return c.segments[i].end > w.Start })
	for ; i < len(c.segments) && c.segments[i].start < w.End; i++ {
		sum += min(c.segments[i].end, w.End) - max(c.segments[i].start, w.Start)
	}
	return sum
}

// Quality describes the series inside the window.
func (c *Curve) Quality(w Window) Quality {
	q := Quality{Source: c.source, Spacing: c.spacing, Averaging: c.averaging}
	from := sort.Search(len(c.times), func(i int) bool { return c.times[i] >= w.Start })
	to := sort.Search(len(c.times), func(i int) bool { return c.times[i] > w.End })
	q.Samples = to - from
	// Gaps include the one that a window edge may lie in.
	for i := max(from, 1); i < min(to+1, len(c.times)); i++ {
		gap := time.Duration(c.times[i] - c.times[i-1])
		q.LargestGap = max(q.LargestGap, gap)
		if gap > c.hold {
			q.Gaps++
		}
	}
	if d := w.End - w.Start; d > 0 {
		q.Coverage = float64(c.covered(w)) / float64(d)
	}
	return q
}

// extremes are the lowest and highest power inside the window.
func (c *Curve) extremes(w Window) (low, high float64) {
	low = math.Inf(1)
	i := sort.Search(len(c.segments), func(i int) bool { return c.segments[i].end > w.Start })
	for ; i < len(c.segments) && c.segments[i].start < w.End; i++ {
		low, high = min(low, c.segments[i].watts), max(high, c.segments[i].watts)
	}
	return min(low, high), high
}

// minCoverage is the part of a window that must be known for its integral to be
// used; the small rest is filled with the window's mean power.
const minCoverage = 0.98

// Estimate is an energy with the half width of its 95 % statistical interval.
type Estimate struct {
	Joules float64
	Half95 float64
}

// Integral is the energy of the window from the series.
func (c *Curve) Integral(w Window) (Estimate, error) {
	if w.End <= w.Start {
		return Estimate{}, errors.New("the window is empty")
	}
	q := c.Quality(w)
	if q.Coverage < minCoverage {
		return Estimate{}, fmt.Errorf("the power series (%s) covers only %.1f %% of the window; longest gap %v",
			c.source, 100*q.Coverage, q.LargestGap.Round(time.Millisecond))
	}
	joules := c.Joules(w.Start, w.End) / q.Coverage
	mean := joules / w.Duration().Seconds()
	unknown := (1 - q.Coverage) * joules
	age := q.Resolution().Seconds() / 2
	return Estimate{joules, twoEdges95(age, age)*mean + unknown}, nil
}

// twoEdges95 is the half width that holds 95 % of the sum of two errors that are
// uniform within ±a and ±b. The sum has a trapezoidal density; for a = b = τ/2 the
// result is 0.78 τ, for b = 0 it is 0.95 a.
func twoEdges95(a, b float64) float64 {
	a, b = max(a, b), min(a, b)
	if q := a + b - math.Sqrt(0.2*a*b); q >= a-b && b > 0 {
		return q
	}
	return 0.95 * a
}

// edgeReach is how far from a window limit a counter reading may lie.
const edgeReach = int64(1500 * time.Millisecond)

// Counter is the energy of the window from readings of one device's counter: the
// difference between the readings around the window, less what the series says
// about the slivers between the readings and the window's limits. curve may be
// nil; the slivers are then taken at the mean power.
func Counter(readings []power.Reading, curve *Curve, w Window) (Estimate, error) {
	before, after := around(readings, w)
	if before == nil || after == nil {
		return Estimate{}, errors.New("no counter readings on both sides of the window")
	}
	delta := (after.Energy - before.Energy).Joules()
	span := seconds(after.At() - before.At())
	switch {
	case delta < 0:
		return Estimate{}, fmt.Errorf("the energy counter (%s) went backwards: it was reset during the run", before.Source)
	case delta == 0:
		return Estimate{}, fmt.Errorf("the energy counter (%s) did not move in %.2f s", before.Source, span)
	}
	mean := delta / span
	slivers := sliver(curve, before.At(), w.Start, mean) + sliver(curve, w.End, after.At(), mean)
	return Estimate{delta - slivers, twoEdges95(edgeBlur(*before)/2, edgeBlur(*after)/2) * mean}, nil
}

// sliver is the energy between two instants close to each other.
func sliver(curve *Curve, start, end int64, mean float64) float64 {
	if curve != nil && curve.covered(Window{start, end}) == end-start {
		return curve.Joules(start, end)
	}
	return mean * seconds(end-start)
}

// edgeBlur is the time in seconds by which a reading's true instant is unknown.
func edgeBlur(r power.Reading) float64 {
	call := seconds(r.AfterNS - r.BeforeNS)
	switch {
	case r.Snapped && r.SinceNS != 0:
		return seconds(r.AfterNS - r.SinceNS)
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
