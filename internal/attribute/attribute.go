// Package attribute lays power over engine steps: pure functions from a power
// trace and a step log to joules.
//
// Two independent ways measure the energy of a window: the integral of the power
// series, and the difference of the hardware's energy counter. Both are computed
// and compared. Phases come from the series, since a counter is too coarse for
// them.
//
// Phases come from a model of the power over the step log, seen through the
// sensor's own averaging window: see [Phases].
package attribute

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/linear"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

// Window is a stretch of CLOCK_MONOTONIC time in nanoseconds.
type Window struct {
	// Start and End are in nanoseconds of CLOCK_MONOTONIC.
	Start, End int64
}

// Duration of the window.
func (w Window) Duration() time.Duration { return time.Duration(w.End - w.Start) }

// Quality describes a series inside a window.
type Quality struct {
	// Source names the call behind the samples, as power.Sample does.
	Source string
	// Samples is how many of them lie in the window.
	Samples int
	// Spacing is the median distance of two samples.
	Spacing time.Duration
	// Averaging is the sensor's own averaging window.
	Averaging time.Duration
	// LargestGap is the longest time between two samples.
	LargestGap time.Duration
	// Gaps counts distances over which the last value may not be held.
	Gaps int
	// Coverage is the part of the window for which power is known.
	Coverage float64
}

// resolution is the shortest time that the series can tell apart.
func (q Quality) resolution() time.Duration { return max(q.Spacing, q.Averaging) }

// Curve is power over time as a step function, from one device and one source.
type Curve struct {
	segments []segment
	// sum[i] is the energy in joules of all segments before i.
	sum       []float64
	times     []int64
	watts     []float64 // at times
	averaging time.Duration
	spacing   time.Duration
	hold      time.Duration
	source    string
	polled    bool // samples are changes seen by polling
}

// segment is a stretch of constant power.
type segment struct {
	start, end int64
	watts      float64
}

// NewCurve makes the step function of the samples of one device and source, in
// any order. A sample of an averaging sensor, or of one whose changes were polled,
// stands for the time before it, up to the previous sample; a sample of a sensor
// that is read faster than it averages, or not averaging at all, for the time after
// it. A value is held over
// at most a few spacings: what lies beyond is unknown, not interpolated.
func NewCurve(samples []power.Sample) (*Curve, error) {
	if len(samples) < 2 {
		return nil, fmt.Errorf(
			"the power series has too few samples (%d): the window is too short for this sensor; use more prompts "+
				"or longer outputs", len(samples))
	}
	sorted := slices.Clone(samples)
	slices.SortStableFunc(sorted, func(a, b power.Sample) int { return compare(a.MonoNS, b.MonoNS) })
	sorted = slices.CompactFunc(sorted, func(a, b power.Sample) bool { return a.MonoNS == b.MonoNS })
	if len(sorted) < 2 {
		return nil, errors.New("power series whose samples all carry one time stamp")
	}
	c := &Curve{averaging: sorted[0].Window, source: sorted[0].Source, times: make([]int64, len(sorted)),
		watts: make([]float64, len(sorted))}
	for i, s := range sorted {
		c.times[i], c.watts[i] = s.MonoNS, float64(s.Power)
		c.polled = c.polled || s.SinceNS != 0
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

// resolution is the shortest time that the series can tell apart.
func (c *Curve) resolution() time.Duration { return max(c.spacing, c.averaging) }

// backward says that samples stand for the time before their stamp.
func (c *Curve) backward() bool {
	return c.polled || c.averaging > 0 && c.averaging <= 2*c.spacing
}

func (c *Curve) build(s []power.Sample) {
	hold := int64(c.hold)
	add := func(start, end int64, w unit.Watts) {
		if end > start {
			c.segments = append(c.segments, segment{start, end, float64(w)})
		}
	}
	if c.backward() {
		add(s[0].MonoNS-int64(min(c.averaging, c.spacing)), s[0].MonoNS, s[0].Power)
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
		c.sum[i+1] = c.sum[i] + g.watts*digits.Seconds(g.end-g.start)
	}
}

// upTo returns the energy in joules and the covered seconds before t.
func (c *Curve) upTo(t int64) float64 {
	i := sort.Search(len(c.segments), func(i int) bool { return c.segments[i].end > t })
	e := c.sum[i]
	if i < len(c.segments) && c.segments[i].start < t {
		e += c.segments[i].watts * digits.Seconds(t-c.segments[i].start)
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
	// Joules is the energy.
	Joules float64
	// Half95 is half the width of its 95 % interval, in joules.
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
	age := q.resolution().Seconds() / 2
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

// Mean is the mean power of a stretch of steady power, such as an idle machine,
// with the half width of its 95 % interval. Samples are not taken as independent:
// the interval is that of Newey and West. Drift is the change of power over the
// stretch, from a straight line, and DriftHalf95 its interval.
type Mean struct {
	// Watts is the mean power, and Half95 half the width of its interval, in watts.
	Watts, Half95 float64
	// Drift is the change of power over the stretch, in watts, and DriftHalf95 half the
	// width of its interval.
	Drift, DriftHalf95 float64
	// Samples is how many values the mean is of.
	Samples int
}

// MeanPower computes the mean of the samples of one device and source inside the
// window.
func MeanPower(samples []power.Sample, w Window) (Mean, error) {
	c, err := NewCurve(samples)
	if err != nil {
		return Mean{}, err
	}
	e, err := c.Integral(w)
	if err != nil {
		return Mean{}, err
	}
	m := Mean{Watts: e.Joules / w.Duration().Seconds()}
	var t, p []float64
	for _, o := range observations(samples, w) {
		if o.at >= w.Start && o.at <= w.End {
			t = append(t, digits.Seconds(o.at-w.Start)/w.Duration().Seconds()-0.5)
			p = append(p, o.watts)
		}
	}
	m.Samples = len(p)
	if len(p) < 4 {
		return m, fmt.Errorf("%d power samples are too few for a mean with an interval", len(p))
	}
	m.line(t, p)
	return m, nil
}

// line fits watts = a + b·t and takes the intervals from the residuals.
func (m *Mean) line(t, p []float64) {
	gram := linear.NewMatrix(2)
	xy := make([]float64, 2)
	for i := range t {
		x := []float64{1, t[i]}
		gram.AddOuter(x, 1)
		xy[0], xy[1] = xy[0]+p[i], xy[1]+p[i]*t[i]
	}
	inv, ok := gram.Inverse()
	if !ok {
		return
	}
	beta := inv.Times(xy)
	e, u := make([]float64, len(t)), make([][]float64, len(t))
	for i := range t {
		e[i] = p[i] - beta[0] - beta[1]*t[i]
		u[i] = inv.Times([]float64{e[i], t[i] * e[i]})
	}
	cov := neweyWest(u, bandwidth(e, 1))
	q := student975(float64(len(t) - 2))
	m.Half95 = q * math.Sqrt(max(0, cov.At(0, 0)))
	m.Drift, m.DriftHalf95 = beta[1], q*math.Sqrt(max(0, cov.At(1, 1)))
}
