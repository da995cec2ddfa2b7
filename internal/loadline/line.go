// Package loadline has the load line of an engine: its mean power as a linear function of the rate of requests that
// it completes.
//
//	power of the window ── Fit over the rates ──▶ intercept (W): what the engine needs without a request
//	                                        └──▶ slope (J): the marginal energy of a request
//
// The energy of a request at a rate is the power divided by the rate, a hyperbola whose asymptote is the slope. The
// functions are pure.
package loadline

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/llenergymeasure/llem/internal/stats"
)

// Point is one run.
type Point struct {
	// Rate is how many requests were completed per second.
	Rate float64
	// W is the mean power in watts.
	W float64
}

// Interval is a value with its 95 % interval.
type Interval struct {
	Value, Low, High float64
}

// around is the interval of a value from its standard error and the quantile.
func around(v, se, t float64) Interval { return Interval{v, v - t*se, v + t*se} }

// Half is half the width of the interval.
func (i Interval) Half() float64 { return (i.High - i.Low) / 2 }

// Line is the least-squares line of power over rate, with intervals from the residuals of the runs.
type Line struct {
	// Runs is how many points the line is fitted to, Rates how many of their rates differ by more than 10 %.
	Runs, Rates int
	// InterceptW is the power at rate 0, in watts.
	InterceptW Interval
	// SlopeJ is the additional energy of a request, in joules.
	SlopeJ Interval
	// ResidualW is the standard deviation of the residuals, in watts.
	ResidualW float64
	// Low and High are the smallest and the largest rate.
	Low, High float64

	mean, sxx, t float64
}

// The least that a line needs.
const (
	leastRuns  = 3
	leastRates = 3
	apart      = 0.1 // relative distance of rates that count as different
)

// Fit fits a line to runs below saturation.
func Fit(points []Point) (Line, error) {
	l := Line{Runs: len(points), Rates: distinct(points)}
	if l.Runs < leastRuns || l.Rates < leastRates {
		return l, fmt.Errorf("a load line needs %d rates below saturation, and the study has %d", leastRates, l.Rates)
	}
	n := float64(len(points))
	var meanW float64
	l.Low, l.High = points[0].Rate, points[0].Rate
	for _, p := range points {
		if p.Rate < 0 || math.IsNaN(p.Rate+p.W) || math.IsInf(p.Rate+p.W, 0) {
			return l, errors.New("a rate or a power is not a number")
		}
		l.mean, meanW = l.mean+p.Rate/n, meanW+p.W/n
		l.Low, l.High = min(l.Low, p.Rate), max(l.High, p.Rate)
	}
	var sxy float64
	for _, p := range points {
		l.sxx += (p.Rate - l.mean) * (p.Rate - l.mean)
		sxy += (p.Rate - l.mean) * (p.W - meanW)
	}
	slope := sxy / l.sxx
	intercept := meanW - slope*l.mean
	var rss float64
	for _, p := range points {
		r := p.W - intercept - slope*p.Rate
		rss += r * r
	}
	l.ResidualW = math.Sqrt(rss / (n - 2))
	l.t = stats.StudentQuantile(len(points) - 2)
	l.SlopeJ = around(slope, l.ResidualW/math.Sqrt(l.sxx), l.t)
	l.InterceptW = around(intercept, l.ResidualW*math.Sqrt(1/n+l.mean*l.mean/l.sxx), l.t)
	return l, nil
}

// distinct counts the rates that differ.
func distinct(points []Point) int {
	rates := make([]float64, len(points))
	for i, p := range points {
		rates[i] = p.Rate
	}
	slices.Sort(rates)
	n, last := 0, math.Inf(-1)
	for _, r := range rates {
		if r > last*(1+apart) || n == 0 {
			n, last = n+1, r
		}
	}
	return n
}

// At returns the power of the line at a rate, with the interval of the mean there.
func (l Line) At(rate float64) Interval {
	d := rate - l.mean
	return around(l.InterceptW.Value+l.SlopeJ.Value*rate, l.ResidualW*math.Sqrt(1/float64(l.Runs)+d*d/l.sxx), l.t)
}

// PerRequest returns the energy of a request at a rate above 0, in joules.
func (l Line) PerRequest(rate float64) Interval {
	w := l.At(rate)
	return Interval{w.Value / rate, w.Low / rate, w.High / rate}
}

// Proportionality returns how close the power is to being proportional to the load, up to a capacity in requests
// per second: 1 minus the area between the power and the straight line from 0 to the power at capacity, divided by
// the area below that line. It is 1 if power is proportional and 0 if it is constant. The power is linear between
// points, and idle at rate 0; it is NaN without a point at or above 0.9 of the capacity.
func Proportionality(idleW float64, points []Point, capacity float64) float64 {
	means := []Point{{0, idleW}}
	sorted := slices.Clone(points)
	slices.SortFunc(sorted, func(a, b Point) int { return cmp.Compare(a.Rate, b.Rate) })
	n := 0.0
	for _, p := range sorted {
		last := &means[len(means)-1]
		if len(means) > 1 && p.Rate <= last.Rate*(1+apart/2) { // runs at one rate
			n++
			last.Rate, last.W = last.Rate+(p.Rate-last.Rate)/n, last.W+(p.W-last.W)/n
			continue
		}
		means, n = append(means, p), 1
	}
	end := means[len(means)-1]
	if capacity <= 0 || end.Rate < 0.9*capacity || len(means) < 2 {
		return math.NaN()
	}
	var measured float64
	for i := 1; i < len(means); i++ {
		measured += (means[i].Rate - means[i-1].Rate) * (means[i].W + means[i-1].W) / 2
	}
	proportional := end.Rate * end.W / 2
	return 1 - (measured-proportional)/proportional
}
