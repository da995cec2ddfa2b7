package figure

import (
	"fmt"
	"math"
	"slices"
)

// Line is a series of a chart of lines. X grows.
type Line struct {
	Label string
	X     []float64
	Y     []Value
	// Flags are short marks beside the points, such as [a]; nil or empty where there is none.
	Flags []string
}

// Scaling is a chart of a metric over a number that was swept, such as the batch size: a line for each series.
type Scaling struct {
	Title string
	X, Y  Axis
	Lines []Line
}

// Draw draws the chart, with ticks at the values of X.
func (s Scaling) Draw(style Style) *Drawing {
	if s.X.Ticks == nil {
		for _, l := range s.Lines {
			s.X.Ticks = append(s.X.Ticks, l.X...)
		}
		slices.Sort(s.X.Ticks)
		s.X.Ticks = slices.Compact(s.X.Ticks)
	}
	return linesWith(s.Title, s.X, s.Y, s.Lines, style, true)
}

// Cycles is a chart of the runs of configurations in the order in which they ran, so that drift can be seen.
type Cycles struct {
	Title string
	X, Y  Axis
	Lines []Line
}

// Draw draws the chart. A thin line marks the mean of each configuration.
func (c Cycles) Draw(style Style) *Drawing {
	return linesWith(c.Title, c.X, c.Y, c.Lines, style, false)
}

// linesWith draws series with marks, connected, or else with a line at their mean.
func linesWith(title string, x, y Axis, lines []Line, style Style, connected bool) *Drawing {
	d := style.page(title, fmt.Sprintf("%s over %s, %d series.", y.Label, x.Label, len(lines)))
	var xs, ys []float64
	labels := make([]string, len(lines))
	for i, l := range lines {
		labels[i] = l.Label
		xs = append(xs, l.X...)
		for _, v := range l.Y {
			ys = append(ys, v.ends()...)
		}
	}
	size := style.font()
	f := newFrame(d, style, x, y, xs, ys, style.legendLines(d.Width-2*size, several(labels)))
	keys := make([]key, len(lines))
	for i, l := range lines {
		c := style.series(i)
		f.series(l, i, connected)
		keys[i] = key{l.Label, func(at Point) {
			d.mark(at, i, size*0.28, c, style.Background(), false, "")
		}}
	}
	f.legend(several(keys))
	return d
}

// series draws the marks of a line, their intervals, and what connects them.
func (f *frame) series(l Line, i int, connected bool) {
	c, size := f.style.series(i), f.style.font()
	points, flags := make([]Point, 0, len(l.X)), make([]string, 0, len(l.X))
	var sum float64
	for k, x := range l.X {
		v := l.Y[k]
		if math.IsNaN(v.Value) {
			continue
		}
		sum += v.Value
		at := Point{f.x.at(x), f.y.at(v.Value)}
		points, flags = append(points, at), append(flags, l.flag(k))
		if v.has() {
			f.d.line(Point{at.X, f.y.at(v.Low)}, Point{at.X, f.y.at(v.High)}, 0.7, c)
		}
	}
	line := points
	if !connected && len(points) > 0 {
		mean := f.y.at(sum / float64(len(points)))
		line = []Point{{points[0].X, mean}, {points[len(points)-1].X, mean}}
	}
	f.d.path(Path{Points: line, Stroke: c, Width: 1, Dash: f.style.dash(i)})
	for k, at := range points {
		f.d.mark(at, i, size*0.28, c, f.style.Background(), false, l.Label)
		if flags[k] != "" {
			f.flag(flags[k], at)
		}
	}
}

// flag returns the mark beside a point.
func (l Line) flag(k int) string {
	if k < len(l.Flags) {
		return l.Flags[k]
	}
	return ""
}

// flag writes a mark beside a point, on its left where there is no room on its right.
func (f *frame) flag(text string, at Point) {
	size := f.style.font() * noteSize
	t := Text{At: Point{at.X + 0.5*size, at.Y - 0.35*size}, Text: text, Size: size, Colour: f.style.ink()}
	if t.At.X+textWidth(text, widerFont*size) > f.d.Width {
		t.At.X, t.Anchor = at.X-0.5*size, End
	}
	f.d.text(t)
}

// Distribution is a chart of the share of values that are at most x, for each configuration.
type Distribution struct {
	Title  string
	X      Axis
	Series []Values
}

// Values are the values of a configuration, in any order.
type Values struct {
	Label  string
	Values []float64
	// Percentiles are marked on the line.
	Percentiles []Percentile
}

// Percentile is a value and the share of values up to it.
type Percentile struct{ Share, Value float64 }

// maxSteps is the number of steps of a distribution that are drawn: more cannot be seen on paper.
const maxSteps = 500

// Draw draws the chart: a step for each value, or for equal shares of many.
func (s Distribution) Draw(style Style) *Drawing {
	d := style.page(s.Title, fmt.Sprintf("Share of values up to %s, %d series.", s.X.Label, len(s.Series)))
	var xs []float64
	labels := make([]string, len(s.Series))
	for i, v := range s.Series {
		labels[i], xs = v.Label, append(xs, v.Values...)
	}
	size := style.font()
	f := newFrame(d, style, s.X, Axis{Label: "share of values"}, xs, []float64{0, 1},
		style.legendLines(d.Width-2*size, several(labels)))
	keys := make([]key, len(s.Series))
	for i, v := range s.Series {
		c, dash := style.series(i), style.dash(i)
		f.d.path(Path{Points: f.steps(v.Values), Stroke: c, Width: 1, Dash: dash, Title: v.Label})
		for _, q := range v.Percentiles {
			text := fmt.Sprintf("%s: p%.0f is %s", v.Label, 100*q.Share, tickLabel(q.Value, 0, s.X.Unit, q.Value))
			f.d.mark(Point{f.x.at(q.Value), f.y.at(q.Share)}, i, size/4, c, style.Background(), true, text)
		}
		keys[i] = key{v.Label, func(at Point) {
			d.path(Path{Points: []Point{{at.X - 0.6*size, at.Y}, {at.X + 0.6*size, at.Y}}, Stroke: c, Width: 1.4,
				Dash: dash})
		}}
	}
	f.legend(several(keys))
	return d
}

// steps are the corners of the distribution of values.
func (f *frame) steps(values []float64) []Point {
	sorted := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	slices.Sort(sorted)
	n := len(sorted)
	if n == 0 {
		return nil
	}
	points := []Point{{f.x.at(sorted[0]), f.y.at(0)}}
	for k := range min(n, maxSteps) {
		upTo := (k + 1) * n / min(n, maxSteps)
		x := f.x.at(sorted[upTo-1])
		points = append(points, Point{x, points[len(points)-1].Y}, Point{x, f.y.at(float64(upTo) / float64(n))})
	}
	return append(points, Point{f.x.at(f.x.high), f.y.at(1)})
}

// Power is a chart of power over time, with the phases of the engine's steps as a band below the line.
type Power struct {
	Title string
	Y     string // what the power is
	// T are seconds from the start of the window, growing, W the power from then until the next.
	T, W []float64
	// From and To are the edges of the window in seconds.
	From, To float64
	Spans    []Span
	Parts    []string // names of the phases of spans
	Doubts   []Doubt
	// Tracks are drawn below, over the same time.
	Tracks []Track
}

// Track is a quantity over the time of a chart of power, such as the temperature.
type Track struct {
	Label, Unit string
	// T are seconds from the start of the window, growing, V the values from then until the next.
	T, V []float64
}

// Span is an interval in which the engine was in a phase.
type Span struct {
	From, To float64
	Phase    int // into Power.Parts
}

// Doubt marks where something that limits the result happened, such as a gap in the readings.
type Doubt struct {
	From, To float64
	// Code names the kind of doubt, Label what happened.
	Code, Label string
}

// Draw draws the chart. Of readings closer than half a point, the least and the greatest are drawn.
func (p Power) Draw(style Style) *Drawing {
	d := style.page(p.Title, fmt.Sprintf("Power over %.3g s, %d readings.", p.To-p.From, len(p.T)))
	size := style.font()
	room := trackHeight * size * float64(len(p.Tracks))
	f := newFrameAbove(d, style, Axis{Label: "time in the window", Unit: "s", Tight: true},
		Axis{Label: p.Y, Unit: "W", FromZero: true},
		append([]float64{p.From, p.To}, p.T...), p.W, style.legendLines(d.Width-2*size, several(p.Parts)), room)
	p.spans(&f)
	p.doubts(&f)
	for i, t := range p.Tracks {
		f.track(t, f.bottom+trackHeight*size*float64(i), trackHeight*size)
	}
	f.d.path(Path{Points: f.decimated(p.T, p.W), Stroke: style.ink(), Width: 0.8})
	for _, edge := range []float64{p.From, p.To} {
		x := f.x.at(edge)
		f.d.path(Path{Points: []Point{{x, f.top}, {x, f.bottom + room}}, Stroke: style.ink(), Width: 0.6, Dash: 2})
	}
	keys := make([]key, len(p.Parts))
	for i, label := range p.Parts {
		keys[i] = key{label, func(at Point) {
			d.rect(at.X-0.4*size, at.Y-0.4*size, 0.8*size, 0.8*size, style.phase(i), "")
		}}
	}
	f.legend(several(keys))
	return d
}

// trackHeight is the height of a track in sizes of the font.
const trackHeight = 3.2

// doubts shades where something happened, with its name where there is room for it.
func (p Power) doubts(f *frame) {
	size := f.style.font()
	ends := []float64{} // of the names in each line
	for _, doubt := range p.Doubts {
		c := okabeIto[1]
		c.A = 0.25
		from, to := f.x.at(doubt.From), f.x.at(doubt.To)
		f.d.rect(from, f.top, max(1, to-from), f.bottom-f.top, c, doubt.Code+": "+doubt.Label)
		wide := textWidth(doubt.Code, size)
		from = min(from, f.right-wide)
		line := 0
		for line < len(ends) && ends[line] > from {
			line++
		}
		if line == maxNames {
			continue // the title of the shade has it
		}
		if line == len(ends) {
			ends = append(ends, 0)
		}
		ends[line] = from + wide + size
		f.d.text(Text{At: Point{from, f.top + size*(1+1.2*float64(line))}, Text: doubt.Code, Size: size,
			Colour: f.style.ink()})
	}
}

// maxNames is the number of lines of names above each other.
const maxNames = 3

// track draws a quantity over time as a line of its own, between its least and its greatest value.
func (f *frame) track(t Track, top, height float64) {
	size, ink := f.style.font(), f.style.ink()
	low, high := slices.Min(t.V), slices.Max(t.V)
	at := func(v float64) float64 {
		if high == low {
			return top + height/2
		}
		return top + height - 0.3*size - (v-low)/(high-low)*(height-1.7*size)
	}
	f.d.line(Point{f.left, top + height}, Point{f.right, top + height}, 0.8, ink)
	f.d.line(Point{f.left, top}, Point{f.left, top + height}, 0.8, ink)
	var points []Point
	for i := range t.T {
		x := f.x.at(t.T[i])
		if i > 0 {
			points = append(points, Point{x, points[len(points)-1].Y})
		}
		points = append(points, Point{x, at(t.V[i])})
	}
	f.d.path(Path{Points: points, Stroke: ink, Width: 0.8, Title: t.Label})
	text := fmt.Sprintf("%s %.4g to %.4g %s", t.Label, low, high, t.Unit)
	if high == low {
		text = fmt.Sprintf("%s %.4g %s", t.Label, low, t.Unit)
	}
	f.d.text(Text{At: Point{f.left + 0.4*size, top + 1.05*size}, Text: text, Size: 0.9 * size, Colour: ink})
}

// spans draws the phases as areas below, joined where they are closer than a tenth of a point.
func (p Power) spans(f *frame) {
	height := (f.bottom - f.top) * 0.06
	last := -1
	var x0, x1 float64
	flush := func() {
		if last >= 0 {
			f.d.rect(x0, f.bottom-height, max(0.2, x1-x0), height, f.style.phase(last), p.Parts[last])
		}
	}
	for _, s := range p.Spans {
		from, to := f.x.at(s.From), f.x.at(s.To)
		if s.Phase == last && from-x1 < 0.1 {
			x1 = to
			continue
		}
		if last >= 0 && to-x1 < 0.1 { // hidden by its neighbour
			continue
		}
		flush()
		last, x0, x1 = s.Phase, from, to
	}
	flush()
}

// decimated returns a step line through readings: at most four corners for each half point of the page.
func (f *frame) decimated(t, w []float64) []Point {
	var points []Point
	for i := 0; i < len(t); {
		column := math.Floor(2 * f.x.at(t[i]))
		low, high, j := w[i], w[i], i
		for ; j < len(t) && math.Floor(2*f.x.at(t[j])) == column; j++ {
			low, high = min(low, w[j]), max(high, w[j])
		}
		x := f.x.at(t[i])
		if len(points) > 0 {
			points = append(points, Point{x, points[len(points)-1].Y}) // the power holds until the next reading
		}
		points = append(points, Point{x, f.y.at(w[i])})
		if high != low {
			points = append(points, Point{x, f.y.at(low)}, Point{x, f.y.at(high)}, Point{x, f.y.at(w[j-1])})
		}
		i = j
	}
	return points
}
