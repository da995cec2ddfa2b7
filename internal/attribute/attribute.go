// Package attribute relates power to engine steps: pure functions from a power trace and a step log to
// joules.
//
// The energy of a window is measured in two independent ways, as the integral of the power series and as the
// difference of the hardware's energy counter, and the results are compared. The energy of phases comes from
// the series, because a counter is too coarse: [Phases] fits a model of the power over the step log, seen
// through the sensor's averaging window.
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

// Window is an interval of CLOCK_MONOTONIC time in nanoseconds.
type Window struct {
	// Start and End are in nanoseconds of CLOCK_MONOTONIC.
	Start, End int64
}

// Duration returns the length of the window.
func (w Window) Duration() time.Duration { return time.Duration(w.End - w.Start) }

// Quality describes a series inside a window.
type Quality struct {
	// Source names the call that returned the samples, as in power.Sample.
	Source string
	// Samples is the number of samples in the window.
	Samples int
	// Spacing is the median distance of two samples.
	Spacing time.Duration
	// Averaging is the sensor's averaging window.
	Averaging time.Duration
	// LargestGap is the longest time between two samples.
	LargestGap time.Duration
	// Gaps is the number of distances that are too long to hold the last value.
	Gaps int
	// Coverage is the fraction of the window with known power.
	Coverage float64
}

// resolution is the shortest time that the series resolves.
func (q Quality) resolution() time.Duration { return max(q.Spacing, q.Averaging) }

// Curve is the power of one device and source as a step function of time.
type Curve struct {
	segments []segment
	// sum[i] is the energy in joules of all segments before segment i.
	sum       []float64
	times     []int64
	watts     []float64 // at times
	averaging time.Duration
	spacing   time.Duration
	hold      time.Duration
	source    string
	polled    bool // samples are changes found by polling
}

// segment is an interval of constant power.
type segment struct {
	start, end int64
	watts      float64
}

// NewCurve builds the step function from the samples of one device and source, in any order. A sample applies
// to the time before it, up to the previous sample, if the sensor averages or its changes were polled;
// otherwise (an instantaneous sensor, or one that is read faster than it averages) to the time after it. A
// value is held for at most a few spacings; beyond that the power is unknown, not interpolated.
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
		return nil, errors.New("all samples of the power series have the same time stamp")
	}
	c := &Curve{averaging: sorted[0].Window, source: sorted[0].Source, times: make([]int64, len(sorted)),
		watts: make([]float64, len(sorted))}
	for i, s := range sorted {
		c.times[i], c.watts[i] = s.MonoNS, float64(s.Power)
		c.polled = c.polled || s.SinceNS != 0
		if math.IsNaN(float64(s.Power)) || math.IsInf(float64(s.Power), 0) || s.Power < 0 {
			return nil, fmt.Errorf("the power series of %s has an impossible value: %v W", s.Device, float64(s.Power))
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

// resolution is the shortest time that the series resolves.
func (c *Curve) resolution() time.Duration { return max(c.spacing, c.averaging) }

// backward reports whether samples apply to the time before their stamp.
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

// Joules returns the integral between two instants, over the known power.
func (c *Curve) Joules(start, end int64) float64 { return c.upTo(end) - c.upTo(start) }

// MeanPower returns the mean of the known power between two instants, in watts, or NaN if less than half of it is
// known.
func (c *Curve) MeanPower(start, end int64) float64 {
	known := c.covered(Window{start, end})
	if known <= 0 || 2*known < end-start {
		return math.NaN()
	}
	return c.Joules(start, end) / digits.Seconds(known)
}

// covered returns the known part of a window, in nanoseconds.
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
	// Include a gap that contains a window edge.
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

// extremes returns the lowest and highest power in the window.
func (c *Curve) extremes(w Window) (low, high float64) {
	low = math.Inf(1)
	i := sort.Search(len(c.segments), func(i int) bool { return c.segments[i].end > w.Start })
	for ; i < len(c.segments) && c.segments[i].start < w.End; i++ {
		low, high = min(low, c.segments[i].watts), max(high, c.segments[i].watts)
	}
	return min(low, high), high
}

// minCoverage is the fraction of a window that must be known for its integral to be used; the rest is filled
// with the window's mean power.
const minCoverage = 0.98

// Estimate is an energy with the half width of its 95 % statistical interval.
type Estimate struct {
	// Joules is the energy.
	Joules float64
	// Half95 is half the width of its 95 % interval, in joules.
	Half95 float64
}

// Integral returns the energy of the window from the series.
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

// twoEdges95 returns the half width that contains 95 % of the sum of two errors, uniform within ±a and ±b.
// The sum has a trapezoidal density; for a = b = τ/2 the result is 0.78 τ, for b = 0 it is 0.95 a.
func twoEdges95(a, b float64) float64 {
	a, b = max(a, b), min(a, b)
	if q := a + b - math.Sqrt(0.2*a*b); q >= a-b && b > 0 {
		return q
	}
	return 0.95 * a
}

// Mean is the mean power over an interval of steady power, such as an idle machine, with the half width of
// its 95 % confidence interval. Samples are not assumed to be independent: the interval follows Newey and
// West. Drift is the change of power over the interval, from a linear fit, and DriftHalf95 the half width of
// its confidence interval.
type Mean struct {
	// Watts is the mean power and Half95 the half width of its confidence interval, in watts.
	Watts, Half95 float64
	// Drift is the change of power, in watts, and DriftHalf95 the half width of its confidence interval.
	Drift, DriftHalf95 float64
	// Samples is the number of averaged values.
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
		return m, fmt.Errorf("%d power samples are too few for a mean with a confidence interval", len(p))
	}
	m.line(t, p)
	return m, nil
}

// line fits watts = a + b·t and computes the intervals from the residuals.
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
	cov := linear.LongRun(u, bandwidth(e, 1))
	q := student975(float64(len(t) - 2))
	m.Half95 = q * math.Sqrt(max(0, cov.At(0, 0)))
	m.Drift, m.DriftHalf95 = beta[1], q*math.Sqrt(max(0, cov.At(1, 1)))
}
