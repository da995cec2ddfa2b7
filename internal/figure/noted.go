package figure

import "strings"

// Chart is what can be drawn: a [Pareto], a [Phases], a [Power] and so on.
type Chart interface {
	Draw(style Style) *Drawing
}

// Noted is a chart with what qualifies all of its numbers above it, and what its short marks mean below it.
type Noted struct {
	Chart Chart
	// Mark is printed above the chart, such as "simulated, not measured".
	Mark string
	// Notes are printed below the chart, one after the other, as many to a line as fit.
	Notes []string
}

// Draw draws the chart in what the mark and the notes leave of the height.
func (n Noted) Draw(style Style) *Drawing {
	size := style.font()
	page := style.page("", "")
	lines := packed(n.Notes, size*noteSize, page.Width-2*size)
	lines = lines[:min(len(lines), int(maxNoted*page.Height/(1.25*size*noteSize)))]
	above, below := 0.0, 1.25*size*noteSize*float64(len(lines))
	if n.Mark != "" {
		above = 1.4 * size
	}
	if above+below == 0 {
		return n.Chart.Draw(style)
	}
	inner := style
	inner.HeightMM = (page.Height - above - below) / pointsPerMM
	d := n.Chart.Draw(inner)
	d.lower(above)
	d.Height = page.Height
	if n.Mark != "" {
		d.Description = strings.ToUpper(n.Mark[:1]) + n.Mark[1:] + ". " + d.Description
		d.text(Text{At: Point{size, 1.1 * size}, Text: fit(n.Mark, size, d.Width-2*size), Size: size,
			Colour: style.ink(), Bold: true})
	}
	for i, line := range lines {
		y := d.Height - below + 1.25*size*noteSize*float64(i) + 0.7*size
		d.text(Text{At: Point{size, y}, Text: line, Size: size * noteSize, Colour: style.ink()})
	}
	return d
}

// noteSize is the size of notes in sizes of the font.
const noteSize = 0.85

// maxNoted is the share of the height that notes take at most.
const maxNoted = 0.3

// packed puts texts into lines of a width; what is wider than a line is cut.
func packed(texts []string, size, width float64) (lines []string) {
	line := ""
	for _, t := range texts {
		t = fit(t, widerFont*size, width)
		switch {
		case line == "":
			line = t
		case textWidth(line+"   "+t, widerFont*size) <= width:
			line += "   " + t
		default:
			lines, line = append(lines, line), t
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// lower moves all that is drawn down.
func (d *Drawing) lower(by float64) {
	for _, o := range d.ops {
		if o.text != nil {
			o.text.At.Y += by
			continue
		}
		for i := range o.path.Points {
			o.path.Points[i].Y += by
		}
	}
}
