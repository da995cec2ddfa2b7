package figure

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// Axis names what a coordinate means.
type Axis struct {
	Label string
	// Unit is printed with an SI prefix at the ticks, such as "J" or "s". Empty prints plain numbers.
	Unit string
	// Log draws decades of equal length. Values that are not positive are then left out.
	Log bool
	// FromZero makes a linear axis begin at 0, which bars need.
	FromZero bool
	// Tight ends a linear axis at its values, not at whole ticks.
	Tight bool
	// Most is the highest value that there can be, where the axis ends; 0 for none.
	Most float64
	// Ticks are the values to label; nil chooses them.
	Ticks []float64
}

// AutoLog reports whether positive values spread so far that a logarithmic axis shows them better: more than 30-fold.
func AutoLog(values []float64) bool {
	low, high := math.Inf(1), 0.0
	for _, v := range values {
		if v <= 0 || math.IsNaN(v) {
			return false
		}
		low, high = min(low, v), max(high, v)
	}
	return high > 30*low
}

// scale maps values to places on the page.
type scale struct {
	low, high float64 // values at the ends
	from, to  float64 // places of the ends in points
	log       bool
	ticks     []tick
}

type tick struct {
	at    float64
	label string
}

// newScale fits an axis around values, with ticks that leave room points between them.
func newScale(a Axis, values []float64, from, to, room float64) scale {
	s := scale{low: math.Inf(1), high: math.Inf(-1), from: from, to: to, log: a.Log}
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) || a.Log && v <= 0 {
			continue
		}
		s.low, s.high = min(s.low, v), max(s.high, v)
	}
	if s.low > s.high {
		s.low, s.high = 0, 1
		if a.Log {
			s.low = 0.1
		}
	}
	count := max(2, int(math.Abs(to-from)/room))
	if a.Log {
		s.decades(a, count)
	} else {
		s.steps(a, count)
	}
	if a.Most > 0 && s.high > a.Most {
		s.high = a.Most
		s.ticks = slices.DeleteFunc(s.ticks, func(t tick) bool { return t.at > a.Most })
	}
	if a.Ticks != nil {
		s.ticks = nil
		for _, v := range a.Ticks {
			if v >= s.low && v <= s.high {
				s.ticks = append(s.ticks, tick{v, tickLabel(v, 0, a.Unit, v)})
			}
		}
	}
	return s
}

// at returns the place of a value, held within the axis.
func (s scale) at(v float64) float64 {
	low, high := s.low, s.high
	if s.log {
		low, high, v = math.Log(low), math.Log(high), math.Log(max(v, s.low))
	}
	share := (v - low) / (high - low)
	return s.from + max(0, min(1, share))*(s.to-s.from)
}

// steps chooses ticks at 1, 2 or 5 times a power of ten, at most count of them, and widens the axis to whole ticks.
func (s *scale) steps(a Axis, count int) {
	if a.FromZero {
		s.low, s.high = min(s.low, 0), max(s.high, 0)
	}
	if s.high == s.low {
		pad := max(math.Abs(s.high)*0.05, 1e-12)
		s.low, s.high = s.low-pad, s.high+pad
		if a.FromZero && s.low < 0 && s.high > 0 {
			s.low = 0
		}
	}
	step := niceStep((s.high - s.low) / float64(count))
	first, last := math.Floor(s.low/step+1e-9), math.Ceil(s.high/step-1e-9)
	if a.Tight {
		first, last = math.Ceil(s.low/step-1e-9), math.Floor(s.high/step+1e-9)
	} else {
		s.low, s.high = first*step, last*step
	}
	for k := first; k <= last+1e-9; k++ {
		s.ticks = append(s.ticks,
			tick{k * step, tickLabel(k*step, step, a.Unit, max(math.Abs(s.low), math.Abs(s.high)))})
	}
}

// niceStep rounds a step up to 1, 2 or 5 times a power of ten.
func niceStep(rough float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, f := range []float64{1, 2, 5, 10} {
		if f*power >= rough*(1-1e-9) {
			return f * power
		}
	}
	return 10 * power
}

// decades chooses ticks at powers of ten, with 2 and 5 between them where there is room.
func (s *scale) decades(a Axis, count int) {
	if s.high/s.low < 1.2 {
		s.low, s.high = s.low/1.1, s.high*1.1
	} else {
		pad := math.Pow(s.high/s.low, 0.04)
		s.low, s.high = s.low/pad, s.high*pad
	}
	for _, factors := range decadeTicks {
		s.ticks = nil
		for e := math.Floor(math.Log10(s.low)); e <= math.Log10(s.high); e++ {
			for _, f := range factors {
				if v := f * math.Pow(10, e); v >= s.low && v <= s.high {
					s.ticks = append(s.ticks, tick{v, tickLabel(v, 0, a.Unit, v)})
				}
			}
		}
		if len(s.ticks) <= count+1 {
			return
		}
	}
	every := len(s.ticks)/(count+1) + 1 // more decades than there is room for
	kept := s.ticks[:0]
	for i := 0; i < len(s.ticks); i += every {
		kept = append(kept, s.ticks[i])
	}
	s.ticks = kept
}

// decadeTicks are the ticks of a decade, from many to few.
var decadeTicks = [][]float64{{1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9}, {1, 2, 3, 5, 7}, {1, 2, 5}, {1, 3}, {1}}

// siPrefixes are the prefixes of ticks, largest first.
var siPrefixes = []struct {
	factor float64
	prefix string
}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {1, ""}, {1e-3, "m"}, {1e-6, "µ"}, {1e-9, "n"}}

// tickLabel prints a tick with the prefix that suits largest, and the digits that its step needs.
func tickLabel(v, step float64, unit string, largest float64) string {
	factor, prefix := 1.0, ""
	for _, p := range siPrefixes {
		if unit == "" && (p.factor < 1 || p.factor == 1e3 && largest < 1e5) {
			continue // plain numbers below 100,000 need no k
		}
		factor, prefix = p.factor, p.prefix
		if largest >= p.factor*(1-1e-9) {
			break
		}
	}
	if v == 0 {
		return "0"
	}
	text := strconv.FormatFloat(v/factor, 'g', 3, 64)
	if prefix == "" && math.Abs(v) >= 1e3 && math.Abs(v) < 1e5 {
		text = strconv.FormatFloat(v, 'f', 0, 64)
	}
	if step > 0 {
		text = strconv.FormatFloat(v/factor, 'f', max(0, int(math.Ceil(-math.Log10(step/factor)-1e-9))), 64)
	}
	if rest, negative := strings.CutPrefix(text, "-"); negative {
		text = "−" + rest
	}
	if prefix == "" && unit == "" {
		return text
	}
	return text + " " + prefix + unit
}
