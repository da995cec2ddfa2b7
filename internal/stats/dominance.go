package stats

import (
	"fmt"
	"math"
)

// Better is which values of a metric are better; the zero value is an error, so that no direction is assumed.
type Better string

// Directions in which metrics are better.
const (
	Lower  Better = "lower"
	Higher Better = "higher"
)

// Metric is a column of points.
type Metric struct {
	// Name of the metric.
	Name string
	// Better is the direction in which the metric is better.
	Better Better
}

// Point is the value of one metric of one configuration with its interval. A Value of NaN is missing. A Low
// or High of NaN is an unknown bound: nothing is separable on that side. Exact returns a point without
// uncertainty. An interval that excludes its value is widened to include it.
type Point struct {
	// Value, and the limits of its interval, in the unit of the metric.
	Value, Low, High float64
}

// Exact returns a point without uncertainty.
func Exact(value float64) Point { return Point{Value: value, Low: value, High: value} }

// Relation is the relation of one configuration to another.
type Relation string

// Relations of a configuration to another over all metrics. In a metric, one is
// better by value when its value is better, and separably better when all of its
// interval is better than all of the other's (intervals that touch are not
// separable).
const (
	// Dominates: no worse by value in every metric and separably better in at least
	// one. (The other can then be separably better in none.)
	Dominates Relation = "dominates"
	// DominatedBy: the other dominates.
	DominatedBy Relation = "dominated"
	// Incomparable: each is separably better in some metric, a true trade-off.
	Incomparable Relation = "incomparable"
	// NotSeparable: the intervals do not decide. Either no metric is separable, or one configuration is
	// separably better in some metric while the other is better by value in some, but not separably.
	NotSeparable Relation = "not separable"
)

// Relate returns the relation of configuration a to b; both have one point per metric and none missing.
//
// For exact points it is Pareto dominance: a strict partial order, with NotSeparable only for equal points.
// With intervals it is still antisymmetric, but a may dominate b, and b c, while a is not separable from c,
// if the interval of a is wide in the metric in which b beats c.
func Relate(a, b []Point, metrics []Metric) (Relation, error) {
	t, err := newTable([][]Point{a, b}, metrics)
	if err != nil {
		return "", err
	}
	for row, reason := range t.excluded {
		if reason != "" {
			return "", fmt.Errorf("configuration %d: %s", row, reason)
		}
	}
	first, second := t.separable(0, 1), t.separable(1, 0)
	switch {
	case first && second:
		return Incomparable, nil
	case first && t.noWorse(0, 1):
		return Dominates, nil
	case second && t.noWorse(1, 0):
		return DominatedBy, nil
	}
	return NotSeparable, nil
}

// table has the points of configurations (rows), with signs so that lower is better in every metric (column).
type table struct {
	columns          int
	value, low, high []float64
	// excluded is why a row cannot be compared; empty if it can.
	excluded []string
	// compared counts how often the sweeps of Pareto compared a row.
	compared int
}

func newTable(points [][]Point, metrics []Metric) (*table, error) {
	if len(metrics) == 0 {
		return nil, fmt.Errorf("no metrics")
	}
	for _, m := range metrics {
		if m.Better != Lower && m.Better != Higher {
			return nil, fmt.Errorf("metric %s: better is %q: want %q or %q", m.Name, m.Better, Lower, Higher)
		}
	}
	size := len(points) * len(metrics)
	t := &table{columns: len(metrics), excluded: make([]string, len(points)),
		value: make([]float64, size), low: make([]float64, size), high: make([]float64, size)}
	for row, cells := range points {
		if len(cells) != len(metrics) {
			return nil, fmt.Errorf("configuration %d has %d points for %d metrics", row, len(cells), len(metrics))
		}
		for column, p := range cells {
			m := metrics[column]
			if flaw := p.flaw(); flaw != "" {
				t.excluded[row] = m.Name + " " + flaw
				break
			}
			p = p.bounded()
			if m.Better == Higher {
				p = Point{Value: -p.Value, Low: -p.High, High: -p.Low}
			}
			i := row*t.columns + column
			t.value[i], t.low[i], t.high[i] = p.Value, p.Low, p.High
		}
	}
	return t, nil
}

// flaw returns why p cannot be compared, empty if it can.
func (p Point) flaw() string {
	switch {
	case math.IsNaN(p.Value):
		return "is missing"
	case math.IsInf(p.Value, 0):
		return "is infinite"
	case p.Low > p.High:
		return "has an interval whose low end is above its high end"
	}
	return ""
}

// bounded replaces unknown bounds by infinity and extends the interval to the value.
func (p Point) bounded() Point {
	if math.IsNaN(p.Low) {
		p.Low = math.Inf(-1)
	}
	if math.IsNaN(p.High) {
		p.High = math.Inf(1)
	}
	return Point{Value: p.Value, Low: min(p.Low, p.Value), High: max(p.High, p.Value)}
}

// row returns the values of a configuration.
func (t *table) row(i int) []float64 { return t.value[i*t.columns : (i+1)*t.columns] }

// noWorse reports whether a is at least as good as b by value in every metric.
func (t *table) noWorse(a, b int) bool { return below(t.row(a), t.row(b), -1) }

// separable reports whether a is separably better than b in some metric.
func (t *table) separable(a, b int) bool {
	for column := range t.columns {
		if t.high[a*t.columns+column] < t.low[b*t.columns+column] {
			return true
		}
	}
	return false
}

// below reports whether a is not above b in every column but one (−1: in all).
func below(a, b []float64, but int) bool {
	for i, v := range a {
		if v > b[i] && i != but {
			return false
		}
	}
	return true
}
