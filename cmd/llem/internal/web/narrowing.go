package web

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/metric"
	"github.com/llenergymeasure/llem/internal/stats"
)

// narrowing is how the interval of a configuration's metric narrows over its cycles.
type narrowing struct {
	id     string
	last   int // the line of its newest run
	failed int
	metric event.Metric
	values map[int]float64 // by cycle
	points []interval
}

// interval is a mean with half its relative 95 % interval, after a run.
type interval struct{ mean, half float64 }

// add adds a run; values of another metric than the first run's are not comparable.
func (n *narrowing) add(cycle, line int, m event.Metric) {
	n.last = line
	if m.Name == "" || math.IsNaN(m.Value) || len(n.values) > 0 && m.Name != n.metric.Name {
		return
	}
	n.metric = m
	n.values[cycle] = m.Value
	all := make([]float64, 0, len(n.values))
	sum := 0.0
	for _, v := range n.values {
		all, sum = append(all, v), sum+v
	}
	half, err := stats.RelativeHalfWidth(all)
	if err != nil {
		half = math.Inf(1)
	}
	n.points = append(n.points, interval{sum / float64(len(all)), half})
}

// narrowed is a line of the table of intervals.
type narrowed struct {
	Label, Cycles, Mean, Half, Metric string
	Met                               bool
	Chart                             template.HTML // drawn here: numbers only
}

// maxNarrowed is the number of lines of the table.
const maxNarrowed = 20

// intervals is the table of intervals.
type intervals struct {
	Lines []narrowed
	// More is the number of configurations that are not shown.
	More int
	// Goal is the half width at which a configuration needs no more cycles; empty without a goal.
	Goal string
}

// intervals returns the configurations with the newest runs, in the order of their first ones.
func (t *tail) intervals() intervals {
	newest := slices.Clone(t.order)
	slices.SortStableFunc(newest, func(a, b *narrowing) int { return cmp.Compare(b.last, a.last) })
	newest = newest[:min(len(newest), maxNarrowed)]
	out := intervals{More: len(t.order) - len(newest)}
	if t.goal > 0 {
		out.Goal = digits.Significant(100*t.goal, 2)
	}
	for _, n := range t.order {
		if slices.Contains(newest, n) {
			out.Lines = append(out.Lines, n.line(t.names(n.id), t.goal))
		}
	}
	return out
}

// line describes a configuration.
func (n *narrowing) line(label string, goal float64) narrowed {
	out := narrowed{Label: nameOr(label, n.id), Cycles: fmt.Sprint(len(n.values)), Mean: "–", Chart: n.chart()}
	if n.failed > 0 {
		out.Cycles += fmt.Sprintf(" (%d failed)", n.failed)
	}
	if len(n.points) == 0 {
		return out
	}
	p := n.points[len(n.points)-1]
	out.Mean, out.Metric = view.Value(p.mean, n.metric.Unit), metricText(n.metric)
	if !math.IsInf(p.half, 0) {
		out.Half = "±" + digits.Significant(100*p.half, 2) + " %"
		out.Met = goal > 0 && p.half <= goal
	}
	return out
}

// metricText names a metric and its origin if that is not a sensor.
func metricText(m event.Metric) string {
	if m.Origin != "" {
		return metric.Title(m.Name) + ", " + m.Origin
	}
	return metric.Title(m.Name)
}

// chart draws the interval after each cycle around its mean. The one of two values is mostly far too wide for the
// scale of the later ones, and is cut off.
func (n *narrowing) chart() template.HTML {
	points := n.points[max(0, len(n.points)-30):]
	if len(points) < 2 {
		return ""
	}
	last := points[len(points)-1]
	limit := 0.0
	for i, p := range points {
		wide := math.Abs(p.mean-last.mean) + math.Abs(p.mean)*p.half
		if !math.IsInf(wide, 0) && (i > 1 || len(points) == 2) {
			limit = max(limit, 1.1*wide)
		}
	}
	if limit == 0 {
		limit = max(math.Abs(last.mean), 1)
	}
	y := func(v float64) float64 {
		return sparkHeight/2 - max(-1, min(1, (v-last.mean)/limit))*(sparkHeight/2-2)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="whiskers" viewBox="0 0 %d %d" role="img" aria-label="interval after each cycle">`,
		sparkWidth, sparkHeight)
	fmt.Fprintf(&b, `<path class="mean" d="M0 %.1fH%d"/>`, y(last.mean), sparkWidth)
	step := min(24, float64(sparkWidth)/float64(len(points)))
	for i, p := range points {
		x := (float64(i) + 0.5) * step
		if half := math.Abs(p.mean) * p.half; !math.IsInf(half, 0) {
			shown := metric.Shown(n.metric.Name, p.mean, &[2]float64{p.mean - half, p.mean + half})
			fmt.Fprintf(&b, `<path d="M%.1f %.1fV%.1f"/>`, x, y(shown[0]), y(shown[1]))
		}
		fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="2"/>`, x, y(p.mean))
	}
	return template.HTML(b.String() + "</svg>")
}
