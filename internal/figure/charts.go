package figure

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Value is a number with its interval. Low and High are NaN where there is none.
type Value struct{ Value, Low, High float64 }

// Exactly is a value without an interval.
func Exactly(v float64) Value { return Value{v, math.NaN(), math.NaN()} }

// has reports whether there is an interval.
func (v Value) has() bool { return !math.IsNaN(v.Low) && !math.IsNaN(v.High) }

// ends returns the values that an axis must hold.
func (v Value) ends() []float64 {
	if v.has() {
		return []float64{v.Value, v.Low, v.High}
	}
	return []float64{v.Value}
}

// Front is whether a configuration is on the Pareto front.
type Front int

// States of a configuration.
const (
	Dominated Front = iota
	// Inseparable is dominated by value, but within the intervals.
	Inseparable
	OnFront
)

// Mark is a configuration in a chart of two metrics.
type Mark struct {
	X, Y   Value
	Label  string
	Series int // into Pareto.Series
	Front  Front
}

// Pareto is a chart of two metrics. Each configuration is a mark with its intervals; a line connects the front.
type Pareto struct {
	Title  string
	X, Y   Axis
	Series []string
	Marks  []Mark
	// Left are the labels of what has no mark, because it lacks a metric. The title counts it.
	Left []string
	// FrontUp is set where larger Y is better: the front is then the upper edge.
	FrontUp bool
}

// Draw draws the chart.
func (p Pareto) Draw(style Style) *Drawing {
	d := style.page(p.Title, p.describe())
	var xs, ys []float64
	for _, m := range p.Marks {
		xs, ys = append(xs, m.X.ends()...), append(ys, m.Y.ends()...)
	}
	size := style.font()
	keys := p.keys(d, style)
	labels := make([]string, len(keys))
	for i, k := range keys {
		labels[i] = k.label
	}
	f := newFrame(d, style, p.X, p.Y, xs, ys, style.legendLines(d.Width-2*size, labels))
	p.front(&f)
	for _, m := range p.Marks {
		p.mark(&f, m)
	}
	p.names(&f)
	f.legend(keys)
	return d
}

// keys are the series, if there are several, and what the looks of marks mean, if there are several.
func (p Pareto) keys(d *Drawing, style Style) (keys []key) {
	add := func(label string, series int, c Colour, open bool) {
		keys = append(keys, key{label, func(at Point) {
			d.mark(at, series, style.font()*0.3, c, style.Background(), open, "")
		}})
	}
	for i, label := range p.Series {
		add(label, i, style.series(i), false)
	}
	keys = several(keys)
	before := len(keys)
	for _, state := range []struct {
		front Front
		label string
	}{{OnFront, "Pareto front"}, {Inseparable, "not separable from it"}, {Dominated, "dominated"}} {
		if slices.ContainsFunc(p.Marks, func(m Mark) bool { return m.Front == state.front }) {
			c := style.ink()
			if state.front == Dominated {
				c.A = faintMark
			}
			add(state.label, 0, c, state.front == Inseparable)
		}
	}
	if len(keys) == before+1 {
		keys = keys[:before]
	}
	return keys
}

// faintMark is the opacity of the marks of what is dominated.
const faintMark = 0.45

// describe names the front in words.
func (p Pareto) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s over %s of %d configurations.", p.Y.Label, p.X.Label, len(p.Marks))
	for _, m := range p.Marks {
		if m.Front == OnFront {
			fmt.Fprintf(&b, " On the front: %s (%.3g, %.3g).", m.Label, m.X.Value, m.Y.Value)
		}
	}
	return b.String()
}

// front connects the configurations that nothing beats.
func (p Pareto) front(f *frame) {
	var points []Point
	for _, m := range p.Marks {
		if m.Front == OnFront {
			points = append(points, Point{f.x.at(m.X.Value), f.y.at(m.Y.Value)})
		}
	}
	slices.SortFunc(points, func(a, b Point) int { return cmp.Compare(a.X, b.X) })
	c := f.style.ink()
	c.A = 0.5
	f.d.path(Path{Points: points, Stroke: c, Width: 0.8, Dash: 2})
}

// mark draws a configuration: full on the front, open beside it, faint elsewhere.
func (p Pareto) mark(f *frame, m Mark) {
	c := f.style.series(m.Series)
	if m.Front == Dominated {
		c.A = faintMark
	}
	at := Point{f.x.at(m.X.Value), f.y.at(m.Y.Value)}
	if m.X.has() {
		f.d.line(Point{f.x.at(m.X.Low), at.Y}, Point{f.x.at(m.X.High), at.Y}, 0.7, c)
	}
	if m.Y.has() {
		f.d.line(Point{at.X, f.y.at(m.Y.Low)}, Point{at.X, f.y.at(m.Y.High)}, 0.7, c)
	}
	f.d.mark(at, m.Series, f.style.font()*0.3, c, f.style.Background(), m.Front == Inseparable, m.Label)
}

// names writes the labels of the front beside their marks where they do not cover each other.
func (p Pareto) names(f *frame) {
	type box struct{ x0, y0, x1, y1 float64 }
	var taken []box
	overlaps := func(b box) bool {
		return slices.ContainsFunc(taken, func(t box) bool {
			return b.x0 < t.x1 && t.x0 < b.x1 && b.y0 < t.y1 && t.y0 < b.y1
		})
	}
	size := f.style.font() * 0.85
	for _, m := range p.Marks {
		x, y := f.x.at(m.X.Value), f.y.at(m.Y.Value)
		taken = append(taken, box{x - size*0.4, y - size*0.4, x + size*0.4, y + size*0.4})
	}
	for _, m := range p.Marks {
		if m.Front != OnFront {
			continue
		}
		x, y, w := f.x.at(m.X.Value), f.y.at(m.Y.Value), textWidth(m.Label, size)
		for _, b := range []box{
			{x + size*0.6, y - size*1.1, x + size*0.6 + w, y - size*0.1},
			{x + size*0.6, y + size*0.1, x + size*0.6 + w, y + size*1.1},
			{x - size*0.6 - w, y - size*1.1, x - size*0.6, y - size*0.1},
			{x - size*0.6 - w, y + size*0.1, x - size*0.6, y + size*1.1},
			{x - w/2, y - size*1.6, x + w/2, y - size*0.6}, {x - w/2, y + size*0.6, x + w/2, y + size*1.6},
			{f.d.Width - w - size*0.3, y - size*1.6, f.d.Width - size*0.3, y - size*0.6},
		} {
			if b.x0 < f.left || b.x1 > f.d.Width || b.y0 < f.top-size || b.y1 > f.bottom || overlaps(b) {
				continue
			}
			taken = append(taken, b)
			f.d.text(Text{At: Point{b.x0, b.y1 - size*0.2}, Text: m.Label, Size: size, Colour: f.style.ink()})
			break
		}
	}
}

// Bar is a configuration in a chart of phases.
type Bar struct {
	Label string
	// Parts are the shares of Phases.Parts, in the unit of the axis. What is NaN is not known.
	Parts []float64
	Total Value
}

// widerFont is room for names at an edge: the font of a browser can be wider than the one measured here.
const widerFont = 1.15

// Phases is a chart of where the energy goes: a bar of parts for each configuration.
type Phases struct {
	Title string
	X     Axis
	Parts []string // prefill, decode, other, not attributed
	Bars  []Bar
}

// Draw draws the chart. Bars that do not fit into the height are left out, and counted.
func (p Phases) Draw(style Style) *Drawing {
	d := style.page(p.Title, fmt.Sprintf("%s by phase of %d configurations.", p.X.Label, len(p.Bars)))
	size := style.font()
	keys, labels := p.keys(d, style)
	lines := style.legendLines(d.Width-2*size, labels)
	top, bottom := size*(0.8+1.35*float64(lines)), d.Height-3.1*size
	bars := p.Bars
	room := max(1, int((bottom-top)/(1.15*size)))
	left := 0
	if len(bars) > room {
		left, bars = len(bars)-room+1, bars[:room-1]
	}
	widest := 0.0
	values := []float64{0}
	for _, b := range bars {
		widest = max(widest, widerFont*textWidth(b.Label, size))
		values = append(values, b.Total.ends()...)
	}
	f := frame{d: d, style: style, left: min(widest, d.Width*0.45) + 1.2*size, right: d.Width - size, top: top,
		bottom: bottom}
	x := p.X
	x.FromZero, x.Log = true, false
	f.x = newScale(x, values, f.left, f.right, 5*size)
	f.grid()
	f.labels(x, Axis{})
	pitch := (bottom - top) / float64(max(1, len(bars)+min(left, 1)))
	for i, b := range bars {
		p.bar(&f, b, top+(float64(i)+0.5)*pitch, min(pitch*0.7, 2*size))
	}
	if left > 0 {
		d.text(Text{At: Point{f.left, bottom - 0.3*size}, Text: fmt.Sprintf("and %d more", left), Size: size,
			Colour: style.ink()})
	}
	f.legend(keys)
	return d
}

// keys are the parts that any bar has, and the dashed frame of bars without parts.
func (p Phases) keys(d *Drawing, style Style) (keys []key, labels []string) {
	size := style.font()
	for i, label := range p.Parts {
		if slices.ContainsFunc(p.Bars, func(b Bar) bool { return i < len(b.Parts) && b.Parts[i] > 0 }) {
			labels = append(labels, label)
			keys = append(keys, key{label, func(at Point) {
				d.rect(at.X-0.4*size, at.Y-0.4*size, 0.8*size, 0.8*size, style.phase(i), "")
			}})
		}
	}
	if slices.ContainsFunc(p.Bars, func(b Bar) bool { return !b.split() }) {
		labels = append(labels, "phases not known")
		keys = append(keys, key{labels[len(labels)-1], func(at Point) {
			x, y, half := at.X, at.Y, 0.45*size
			d.path(Path{Points: []Point{{x - half, y - half}, {x + half, y - half}, {x + half, y + half},
				{x - half, y + half}}, Closed: true, Stroke: style.ink(), Width: 0.6, Dash: 1.5})
		}})
	}
	return keys, labels
}

// split reports whether any part of the bar is known.
func (b Bar) split() bool { return slices.ContainsFunc(b.Parts, func(v float64) bool { return v > 0 }) }

// bar draws the parts of a configuration, one after the other, and the interval of their sum.
func (p Phases) bar(f *frame, b Bar, y, height float64) {
	size, from := f.style.font(), 0.0
	f.d.text(Text{At: Point{f.left - 0.5*size, y + 0.35*size}, Text: fit(b.Label, widerFont*size, f.left-1.2*size),
		Size:   size,
		Colour: f.style.ink(), Anchor: End})
	for i, v := range b.Parts {
		if math.IsNaN(v) || v <= 0 {
			continue
		}
		x := f.x.at(from)
		f.d.rect(x, y-height/2, f.x.at(from+v)-x, height, f.style.phase(i),
			fmt.Sprintf("%s: %.3g %s", p.Parts[i], v, p.X.Unit))
		from += v
	}
	if !b.split() && b.Total.Value > 0 {
		x := f.x.at(0)
		f.d.path(Path{Points: []Point{{x, y - height/2}, {f.x.at(b.Total.Value), y - height/2},
			{f.x.at(b.Total.Value), y + height/2}, {x, y + height/2}}, Closed: true, Stroke: f.style.ink(), Width: 0.6,
			Dash: 1.5, Title: fmt.Sprintf("%.3g %s, phases not known", b.Total.Value, p.X.Unit)})
	}
	f.whisker(b.Total, y, height*0.3)
}

// whisker draws the interval of a value across.
func (f *frame) whisker(v Value, y, half float64) {
	if !v.has() {
		return
	}
	low, high, ink := f.x.at(v.Low), f.x.at(v.High), f.style.ink()
	f.d.line(Point{low, y}, Point{high, y}, 0.8, ink)
	f.d.line(Point{low, y - half}, Point{low, y + half}, 0.8, ink)
	f.d.line(Point{high, y - half}, Point{high, y + half}, 0.8, ink)
}
