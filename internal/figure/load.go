package figure

import (
	"fmt"
	"math"
	"slices"
)

// Curve is a fitted line with the limits of its 95 % band. X grows.
type Curve struct{ X, Y, Low, High []float64 }

// Load is a chart of a quantity over the rate of requests: a mark with its interval for each point, and the fitted
// curve of each series with its band.
type Load struct {
	Title string
	X, Y  Axis
	Lines []Line
	// Saturated marks points of a line above the capacity, whose marks are open; nil for none.
	Saturated [][]bool
	// Fits are the curves of the lines; a curve without values is not drawn.
	Fits []Curve
	// Asymptotes are what the curves approach at high rates; NaN for none.
	Asymptotes []float64
}

// bandShade is the opacity of a band.
const bandShade = 0.15

// Draw draws the chart.
func (l Load) Draw(style Style) *Drawing {
	d := style.page(l.Title, l.describe())
	var xs, ys []float64
	labels := make([]string, len(l.Lines))
	for i, line := range l.Lines {
		labels[i] = line.Label
		xs = append(xs, line.X...)
		for _, v := range line.Y {
			ys = append(ys, v.ends()...)
		}
		xs, ys = append(xs, l.Fits[i].X...), append(ys, l.Fits[i].Y...)
	}
	size := style.font()
	f := newFrame(d, style, l.X, l.Y, xs, ys, style.legendLines(d.Width-2*size, several(labels)))
	keys := make([]key, len(l.Lines))
	for i, line := range l.Lines {
		c := style.series(i)
		f.curve(l.Fits[i], i)
		if at := l.Asymptotes[i]; !math.IsNaN(at) && at >= f.y.low && at <= f.y.high {
			faint := c
			faint.A = faintMark
			y := f.y.at(at)
			d.path(Path{Points: []Point{{f.left, y}, {f.right, y}}, Stroke: faint, Width: 0.7, Dash: 3,
				Title: line.Label + ": asymptote"})
		}
		for k, x := range line.X {
			v, open := line.Y[k], i < len(l.Saturated) && k < len(l.Saturated[i]) && l.Saturated[i][k]
			at := Point{f.x.at(x), f.y.at(v.Value)}
			if v.has() {
				d.line(Point{at.X, f.y.at(v.Low)}, Point{at.X, f.y.at(v.High)}, 0.7, c)
			}
			d.mark(at, i, size*0.28, c, style.Background(), open, line.Label)
			if flag := line.flag(k); flag != "" {
				f.flag(flag, at)
			}
		}
		keys[i] = key{line.Label, func(at Point) { d.mark(at, i, size*0.28, c, style.Background(), false, "") }}
	}
	f.legend(several(keys))
	return d
}

// describe returns what is drawn.
func (l Load) describe() string {
	return fmt.Sprintf("%s over %s, %d series with their fitted curves.", l.Y.Label, l.X.Label, len(l.Lines))
}

// curve draws a fitted curve and its band.
func (f *frame) curve(fit Curve, i int) {
	c := f.style.series(i)
	var line, low, high []Point
	within := func(y float64) float64 { return max(f.top, min(f.bottom, f.y.at(y))) }
	for k, x := range fit.X {
		at := f.x.at(x)
		line = append(line, Point{at, within(fit.Y[k])})
		low, high = append(low, Point{at, within(fit.Low[k])}), append(high, Point{at, within(fit.High[k])})
	}
	if len(line) < 2 {
		return
	}
	for _, p := range slices.Backward(low) {
		high = append(high, p)
	}
	shade := c
	shade.A = bandShade
	f.d.path(Path{Points: high, Closed: true, Fill: shade})
	f.d.path(Path{Points: line, Stroke: c, Width: 0.9, Dash: f.style.dash(i)})
}
