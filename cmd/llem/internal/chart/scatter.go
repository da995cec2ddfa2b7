package chart

import (
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/table"
)

// Kind is what a scatter chart shows of a point, from the least to the most important.
type Kind int

// Kinds of points.
const (
	Worse Kind = iota
	Close
	Best
)

// Spot is a point in a scatter chart.
type Spot struct {
	// X and Y are its values with their intervals.
	X, Y Point
	// Kind decides its mark.
	Kind Kind
	// Tag is a short text beside it, where there is room.
	Tag string
}

// Scatter is a chart of points on two scales.
type Scatter struct {
	// Width and Height are the size of the chart in cells, with its axes.
	Width, Height int
	// UnitX and UnitY are the units of the axes.
	UnitX, UnitY string
	// Spots are the points.
	Spots []Spot
	// Paint, if set, colours the mark and the tag of a kind.
	Paint func(Kind, string) string
}

// Dots of a cell in braille.
const (
	dotsX = 2
	dotsY = 4
	blank = 0x2800 // the braille character without a dot
)

// dots are the bits of a braille character, by row and column.
var dots = [dotsY][dotsX]rune{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}

// Mark is the character of a kind of points.
func (s Style) Mark(k Kind) string {
	if s == ASCII {
		return [...]string{"+", "o", "*"}[k]
	}
	return [...]string{"▪", "☆", "★"}[k]
}

// gutter is the widest label of the axis upwards.
const gutter = 9

// scatter is a chart that is being drawn.
type scatter struct {
	Scatter
	style      Style
	x, y       Scale // in cells
	fineX      Scale // in dots
	fineY      Scale
	cells      [][]rune
	kinds      [][]Kind // of marks and tags
	taken      [][]bool
	labels     []string // of the lines
	labelWidth int
}

// Scatter returns the lines of a chart, and whether it shows every tag. Intervals are lines of dots; a tag stands
// beside its point if the cells there are free.
func (s Style) Scatter(c Scatter) (lines []string, all bool) {
	p := s.plot(c)
	for _, spot := range c.Spots {
		p.whiskers(spot)
	}
	order := slices.Clone(c.Spots)
	slices.SortStableFunc(order, func(a, b Spot) int { return int(a.Kind) - int(b.Kind) })
	for _, spot := range order {
		p.mark(spot)
	}
	all = true
	for _, spot := range c.Spots {
		all = p.tag(spot) && all
	}
	return p.lines(), all
}

// plot returns an empty chart with its scales.
func (s Style) plot(c Scatter) *scatter {
	p := &scatter{Scatter: c, style: s}
	var xs, ys []Point
	for _, spot := range c.Spots {
		xs, ys = append(xs, spot.X), append(ys, spot.Y)
	}
	rows := max(3, c.Height-2) // below: the axis and its labels
	p.y = NewScale(ys, rows)
	p.labels = make([]string, rows)
	divisor, unit := digits.Prefix(p.y.High, c.UnitY)
	last := -1
	for _, v := range p.y.ticks(2) {
		if i := rows - 1 - p.y.cell(v); last < 0 || last-i > 2 {
			p.labels[i], last = strings.TrimSpace(label(v/divisor)+" "+unit), i
		}
	}
	for i, l := range p.labels {
		p.labels[i] = table.Cut(l, gutter)
		p.labelWidth = max(p.labelWidth, table.Width(p.labels[i]))
	}
	columns := max(8, c.Width-p.labelWidth-2)
	p.x = NewScale(xs, columns)
	p.fineX, p.fineY = p.x, p.y
	p.fineX.Width, p.fineY.Width = columns*dotsX, rows*dotsY
	for range rows {
		p.cells = append(p.cells, []rune(strings.Repeat(" ", columns)))
		p.kinds, p.taken = append(p.kinds, make([]Kind, columns)), append(p.taken, make([]bool, columns))
	}
	return p
}

// place returns the cell of a point.
func (p *scatter) place(s Spot) (row, column int) {
	return p.y.Width - 1 - p.y.cell(s.Y.Value), p.x.cell(s.X.Value)
}

// drawable reports whether a point has a place.
func (s Spot) drawable() bool { return finite(s.X.Value) && finite(s.Y.Value) }

// whiskers draws the intervals of a point, where they are longer than its mark.
func (p *scatter) whiskers(s Spot) {
	if !s.drawable() {
		return
	}
	row, column := p.place(s)
	if low, high := p.x.cell(s.X.Low), p.x.cell(s.X.High); s.X.Has() && high > low {
		if p.style == ASCII {
			for c := low; c <= high; c++ {
				p.line(row, c, '-')
			}
		} else {
			y := p.fineY.Width - 1 - p.fineY.cell(s.Y.Value)
			for x := p.fineX.cell(s.X.Low); x <= p.fineX.cell(s.X.High); x++ {
				p.dot(x, y)
			}
		}
	}
	if low, high := p.y.cell(s.Y.Low), p.y.cell(s.Y.High); s.Y.Has() && high > low {
		if p.style == ASCII {
			for r := low; r <= high; r++ {
				p.line(p.y.Width-1-r, column, '|')
			}
			return
		}
		x := p.fineX.cell(s.X.Value)
		for y := p.fineY.cell(s.Y.Low); y <= p.fineY.cell(s.Y.High); y++ {
			p.dot(x, p.fineY.Width-1-y)
		}
	}
}

// Has reports whether a point has an interval.
func (p Point) Has() bool { return finite(p.Low) && finite(p.High) }

func (p *scatter) line(row, column int, r rune) {
	if old := p.cells[row][column]; old != ' ' && old != r {
		r = '+'
	}
	p.cells[row][column] = r
}

func (p *scatter) dot(x, y int) {
	cell := &p.cells[y/dotsY][x/dotsX]
	if *cell == ' ' {
		*cell = blank
	}
	*cell |= dots[y%dotsY][x%dotsX]
}

func (p *scatter) mark(s Spot) {
	if !s.drawable() {
		return
	}
	row, column := p.place(s)
	p.cells[row][column] = []rune(p.style.Mark(s.Kind))[0]
	p.kinds[row][column], p.taken[row][column] = s.Kind, true
}

// tag writes the tag of a point beside it: right, left, above or below, on cells without a mark.
func (p *scatter) tag(s Spot) bool {
	text := []rune(s.Tag)
	if len(text) == 0 || !s.drawable() {
		return true
	}
	row, column := p.place(s)
	for _, at := range [][2]int{{row, column + 1}, {row, column - len(text)}, {row - 1, column}, {row + 1, column},
		{row - 1, column + 1}, {row - 1, column - len(text)}, {row + 1, column + 1}, {row + 1, column - len(text)}} {
		if p.write(at[0], at[1], text, s.Kind) {
			return true
		}
	}
	return false
}

func (p *scatter) write(row, column int, text []rune, k Kind) bool {
	if row < 0 || row >= len(p.cells) || column < 0 || column+len(text) > p.x.Width ||
		slices.Contains(p.taken[row][column:column+len(text)], true) {
		return false
	}
	for i, r := range text {
		p.cells[row][column+i], p.kinds[row][column+i], p.taken[row][column+i] = r, k, true
	}
	return true
}

// lines returns the chart with its axes.
func (p *scatter) lines() []string {
	side, corner, base := "│", "└", "─"
	if p.style == ASCII {
		side, corner, base = "|", "+", "-"
	}
	var out []string
	for i, row := range p.cells {
		var b strings.Builder
		b.WriteString(strings.Repeat(" ", p.labelWidth-table.Width(p.labels[i])) + p.labels[i] + " " + side)
		for k, r := range row {
			if text := string(r); p.taken[i][k] && p.Paint != nil {
				b.WriteString(p.Paint(p.kinds[i][k], text))
			} else {
				b.WriteString(text)
			}
		}
		out = append(out, strings.TrimRight(b.String(), " "))
	}
	indent := strings.Repeat(" ", p.labelWidth+1)
	return append(out, indent+corner+strings.Repeat(base, p.x.Width),
		strings.TrimRight(indent+" "+p.x.Axis(p.UnitX), " "))
}
