// Package chart draws small charts in the cells of a terminal: bars, sparklines, and values with their intervals on a
// common scale. A drawing is a text of the width that is asked for; it knows nothing of results, colours or terminals.
package chart

import (
	"math"
	"strings"
)

// Style is the set of characters of a drawing.
type Style int

// Styles.
const (
	// Unicode draws with block and box characters.
	Unicode Style = iota
	// ASCII draws with ASCII alone, for terminals whose locale is not UTF-8.
	ASCII
)

// glyphs are the characters of a style.
type glyphs struct {
	bar, sliver         string
	levels              []rune
	edge, star          string
	from, line, to, dot rune
}

func (s Style) glyphs() glyphs {
	if s == ASCII {
		return glyphs{bar: "#", sliver: ":", levels: []rune("_.-:=+*#"), edge: "|", star: "*",
			from: '|', line: '-', to: '|', dot: 'o'}
	}
	return glyphs{bar: "▇", sliver: "▏", levels: []rune("▁▂▃▄▅▆▇█"), edge: "│", star: "★",
		from: '├', line: '─', to: '┤', dot: '▪'}
}

// Star marks the best.
func (s Style) Star() string { return s.glyphs().star }

// Range is the mark of an interval.
func (s Style) Range() string {
	g := s.glyphs()
	return string([]rune{g.from, g.line, g.to})
}

// Bar returns a bar over a share of the width, from 0 to 1, filled up with blanks. A share that is too small for a
// cell is still seen.
func (s Style) Bar(share float64, width int) string {
	g := s.glyphs()
	if !(share > 0) || width <= 0 { // or not a number
		return strings.Repeat(" ", max(0, width))
	}
	n := int(math.Round(min(share, 1) * float64(width)))
	if n == 0 {
		return g.sliver + strings.Repeat(" ", width-1)
	}
	return strings.Repeat(g.bar, n) + strings.Repeat(" ", width-n)
}

// Spark returns a cell for each value, on a scale from 0 to the most. A value that is not a number, or is negative, is
// a blank.
func (s Style) Spark(values []float64, most float64) string {
	levels := s.glyphs().levels
	var b strings.Builder
	for _, v := range values {
		switch {
		case math.IsNaN(v) || v < 0:
			b.WriteByte(' ')
		case most <= 0:
			b.WriteRune(levels[0])
		default:
			b.WriteRune(levels[min(len(levels)-1, int(v/most*float64(len(levels))))])
		}
	}
	return b.String()
}

// Window returns a sparkline with both edges of a window marked: the values from first to last, without the
// latter, lie in it.
func (s Style) Window(values []float64, first, last int, most float64) string {
	edge := s.glyphs().edge
	return s.Spark(values[:first], most) + edge + s.Spark(values[first:last], most) + edge +
		s.Spark(values[last:], most)
}

// Point is a value with its interval; the limits of one that has none are not numbers.
type Point struct {
	// Low is the lower limit of the interval.
	Low float64
	// Value is the estimate.
	Value float64
	// High is the upper limit.
	High float64
}

// Bare returns a value without an interval.
func Bare(v float64) Point { return Point{math.NaN(), v, math.NaN()} }

// Whisker returns a point with its interval on a scale, in the scale's width. An interval that leaves the scale has no
// end there.
func (s Style) Whisker(scale Scale, p Point) string {
	cells := []rune(strings.Repeat(" ", scale.Width))
	if math.IsNaN(p.Value) || scale.Width <= 0 {
		return string(cells)
	}
	g := s.glyphs()
	if !math.IsNaN(p.Low) && !math.IsNaN(p.High) {
		low, high := scale.cell(p.Low), scale.cell(p.High)
		for i := low; i <= high; i++ {
			cells[i] = g.line
		}
		if p.Low >= scale.Low && low < high {
			cells[low] = g.from
		}
		if p.High <= scale.High && low < high {
			cells[high] = g.to
		}
	}
	cells[scale.cell(p.Value)] = g.dot
	return string(cells)
}
