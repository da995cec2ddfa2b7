// Package figure draws the charts of studies: for papers, for the report and for the page, by the same code.
//
// A chart (Pareto, Phases, Power, Distribution, Scaling or Cycles) holds numbers and labels, and Draw turns it into a
// Drawing: paths and text on a page measured in points (1/72 inch). SVG, PDF and PNG write a
// Drawing. Nothing here reads
// a file or knows a study; the same chart gives the same bytes on every machine.
package figure

import "math"

// Point is a place on the page in points, from the upper left corner.
type Point struct{ X, Y float64 }

// Colour is an sRGB colour with an opacity between 0 (not drawn) and 1.
type Colour struct {
	R, G, B uint8
	A       float64
}

// Path is a line, or an area if Fill is set.
type Path struct {
	Points []Point
	Closed bool
	Stroke Colour
	Width  float64 // of the line, in points
	Dash   float64 // length of dashes and gaps in points; 0 is a solid line
	Fill   Colour
	// Title describes the path to a reader who points at it.
	Title string
}

// Anchor is the part of a text that stands at its position.
type Anchor int

// Anchors.
const (
	Start Anchor = iota
	Middle
	End
)

// Text is one line of text. X and Y are the position of its baseline.
type Text struct {
	At     Point
	Text   string
	Size   float64 // in points
	Colour Colour
	Anchor Anchor
	Bold   bool
	// Upwards turns the text by a quarter to the left, as beside a vertical axis.
	Upwards bool
}

// Drawing is a page: paths and texts, drawn in order.
type Drawing struct {
	Width, Height float64 // in points
	// Title and Description are for readers who cannot see the drawing.
	Title, Description string
	ops                []op
}

// op is a path or a text.
type op struct {
	path *Path
	text *Text
}

// Style sets the size and the looks of a chart.
type Style struct {
	WidthMM, HeightMM float64 // 0 takes one column: 86 by 60 mm
	FontPt            float64 // 0 takes 8
	// Grey draws without colours: shapes, dashes and lightness alone tell series apart.
	Grey bool
	// Dark draws light lines, for a dark page.
	Dark bool
}

// pointsPerMM converts millimetres to points.
const pointsPerMM = 72 / 25.4

// page begins a drawing in the style.
func (s Style) page(title, description string) *Drawing {
	return &Drawing{Width: or(s.WidthMM, 86) * pointsPerMM, Height: or(s.HeightMM, 60) * pointsPerMM, Title: title,
		Description: description}
}

func (s Style) font() float64 { return or(s.FontPt, 8) }

func or(v, otherwise float64) float64 {
	if v > 0 && !math.IsInf(v, 1) {
		return v
	}
	return otherwise
}

func (d *Drawing) path(p Path) {
	if len(p.Points) > 1 {
		d.ops = append(d.ops, op{path: &p})
	}
}

func (d *Drawing) text(t Text) {
	if t.Text != "" {
		d.ops = append(d.ops, op{text: &t})
	}
}

// line draws a straight line.
func (d *Drawing) line(from, to Point, width float64, c Colour) {
	d.path(Path{Points: []Point{from, to}, Width: width, Stroke: c})
}

// rect fills a rectangle.
func (d *Drawing) rect(x, y, w, h float64, fill Colour, title string) {
	if w <= 0 || h <= 0 {
		return
	}
	d.path(Path{Points: []Point{{x, y}, {x + w, y}, {x + w, y + h}, {x, y + h}}, Closed: true, Fill: fill,
		Title: title})
}

// Shapes of marks, so that series differ without colour.
const shapes = 6

// mark draws the shape of series i around at. An open mark has a white middle.
func (d *Drawing) mark(at Point, i int, radius float64, c, background Colour, open bool, title string) {
	fill := c
	if open {
		fill = background
	}
	var corners int
	turn := -math.Pi / 2
	switch (i + i/shapes) % shapes { // a colour that comes again has another shape
	case 0:
		corners = 24 // a circle, to the eye
	case 1:
		corners, turn = 4, -math.Pi/4
	case 2:
		corners = 3
	case 3:
		corners = 4
	case 4:
		corners, turn = 3, math.Pi/2
	default:
		corners = 6
	}
	if corners < 24 {
		radius *= 1.25
	}
	points := make([]Point, corners)
	for k := range points {
		a := turn + 2*math.Pi*float64(k)/float64(corners)
		points[k] = Point{at.X + radius*math.Cos(a), at.Y + radius*math.Sin(a)}
	}
	d.path(Path{Points: points, Closed: true, Stroke: c, Width: radius / 4, Fill: fill, Title: title})
}
