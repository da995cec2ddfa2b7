package chart

import (
	"math"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/table"
)

// Scale maps values to the cells of a line.
type Scale struct {
	// Low and High are the values of the first and the last cell.
	Low, High float64
	// Width is the number of cells.
	Width int
	// Log spaces values by their ratios.
	Log bool
}

// Limits of scales.
const (
	// logFrom is the ratio of the largest to the smallest value from which a scale is logarithmic.
	logFrom = 30
	// zeroFrom is the least part of the largest value that values must differ by for a scale that begins at 0.
	zeroFrom = 0.3
	// farthest is how far beyond the largest value an interval stretches a scale, as a multiple of it.
	farthest = 2
	// alike is the part of a value by which values must differ to be told apart on a scale.
	alike = 1e-9
)

// finite reports whether a value has a place on a scale.
func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// NewScale returns a scale of a width on which all points lie.
func NewScale(points []Point, width int) Scale {
	least, most := math.Inf(1), math.Inf(-1)
	low, high := math.Inf(1), math.Inf(-1)
	for _, p := range points {
		if !finite(p.Value) {
			continue
		}
		least, most = min(least, p.Value), max(most, p.Value)
		low, high = min(low, p.Value), max(high, p.Value)
		if finite(p.Low) && finite(p.High) {
			low, high = min(low, p.Low), max(high, p.High)
		}
	}
	s := Scale{Width: width}
	switch {
	case most < least: // none
		s.High = 1
	case least > 0 && most/least >= logFrom:
		s.Log = true
		s.Low, s.High = least/1.2, most*1.2
	case least >= 0 && high-low >= zeroFrom*most:
		s.High = min(high, farthest*most)
	default:
		s.Low, s.High = low, high
	}
	if s.High-s.Low <= alike*math.Abs(s.High) {
		s.Low, s.High = s.Low-math.Abs(s.Low)/10, s.High+math.Abs(s.High)/10
	}
	if s.Low == s.High { // all are 0
		s.High = 1
	}
	return s
}

// cell returns the cell of a value; values outside of the scale get the nearest one.
func (s Scale) cell(v float64) int {
	part := (v - s.Low) / (s.High - s.Low)
	if s.Log {
		part = math.Log(max(v, s.Low)/s.Low) / math.Log(s.High/s.Low)
	}
	return max(0, min(s.Width-1, int(math.Round(part*float64(s.Width-1)))))
}

// ticks returns round values of the scale, at most as many as there is room for labels of a width.
func (s Scale) ticks(label int) []float64 {
	most := max(2, s.Width/(label+2))
	if s.Log {
		for _, steps := range [][]float64{{1, 2, 5}, {1, 3}, {1}} {
			if out := s.decades(steps); len(out) <= most {
				return out
			}
		}
		return s.decades([]float64{1})
	}
	step := math.Pow(10, math.Floor(math.Log10((s.High-s.Low)/float64(most))))
	for _, f := range []float64{1, 2, 5, 10, 20} {
		var out []float64
		for i := math.Ceil(s.Low / (f * step)); i*f*step <= s.High*(1+1e-9); i++ {
			out = append(out, i*f*step)
		}
		if len(out) <= most {
			return out
		}
	}
	return nil
}

// decades returns the steps of each power of ten on the scale.
func (s Scale) decades(steps []float64) (out []float64) {
	for power := math.Floor(math.Log10(s.Low)); power <= math.Log10(s.High); power++ {
		for _, f := range steps {
			if v := f * math.Pow(10, power); v >= s.Low && v <= s.High {
				out = append(out, v)
			}
		}
	}
	return out
}

// Axis returns labels over the cells of round values, with the unit behind the last one.
func (s Scale) Axis(unit string) string {
	divisor, unit := digits.Prefix(s.High, unit)
	line := []rune(strings.Repeat(" ", s.Width))
	free := 0
	ticks := s.ticks(3)
	if s.Log {
		unit += " log"
	}
	for i, v := range ticks {
		text := label(v / divisor)
		if i == len(ticks)-1 {
			text += " " + unit
		}
		at := s.cell(v)
		if over := at + table.Width(text) - s.Width; over > 0 {
			at -= over
		}
		if at < free && i == len(ticks)-1 { // the unit is needed, an earlier label is not
			for k := max(0, at-1); k < s.Width; k++ {
				line[k] = ' '
			}
			for k := at - 2; k >= 0 && line[k] != ' '; k-- {
				line[k] = ' '
			}
			free = at
		}
		if at < free || at < 0 {
			continue
		}
		for k, r := range []rune(text) {
			line[at+k] = r
		}
		free = at + len([]rune(text)) + 1
	}
	return string(line)
}

// label prints a round value with the digits that it has.
func label(v float64) string { return strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64) }
