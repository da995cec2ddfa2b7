package view

import (
	"math"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/metric"
	"github.com/llenergymeasure/llem/result"
)

// Value prints a value in the unit of its metric, with three significant digits and an SI prefix.
func Value(v float64, unit string) string {
	switch unit {
	case "ms":
		return Duration(v)
	case "1/s", "1/J":
		return digits.Significant(v, 3) + " " + unit
	case "%":
		return digits.Significant(v, 3) + " %"
	case "B":
		return digits.Bytes(int64(v)).String()
	case "":
		if v == math.Trunc(v) && math.Abs(v) < 1e6 {
			return digits.Signed(strconv.Itoa(int(v)))
		}
	}
	return digits.SI(v, unit)
}

// Duration prints milliseconds with an SI prefix of seconds.
func Duration(ms float64) string { return digits.SI(ms/1e3, "s") }

// Number prints a value of a metric below its head, which has the unit of rates.
func Number(m result.MetricInfo, v float64) string {
	return strings.TrimSuffix(Value(v, m.Unit), " 1/s")
}

// Figure is the number that represents a configuration.
type Figure struct {
	Value float64
	// CI95 is its 95 % interval as it is shown, nil if there is none. The interval of an amount ends at 0.
	CI95 *[2]float64
	// Cut reports that the interval was computed to end below 0.
	Cut bool
}

// FigureOf returns the figure of a metric of a configuration.
func FigureOf(e *result.ExperimentSummary, name string) (Figure, bool) {
	spread, ok := e.Metrics.Get(name)
	if !ok {
		return Figure{}, false
	}
	return Shown(spread, name)
}

// Shown returns the figure of a spread of a metric; false if it has none.
func Shown(spread result.Spread, name string) (Figure, bool) {
	v, ci95, _ := spread.Figure()
	shown := metric.Shown(name, v, ci95)
	return Figure{v, shown, shown != ci95}, !math.IsNaN(v)
}

// Range prints both ends of the interval; empty if there is none.
func (f Figure) Range(m result.MetricInfo) string {
	if f.CI95 == nil {
		return ""
	}
	return Number(m, f.CI95[0]) + " to " + Number(m, f.CI95[1])
}

// PlusMinus prints half the width of the interval relative to the value, such as "3.1 %", or where it ends at 0 both
// its ends, such as "0…7.1 J".
func (f Figure) PlusMinus(m result.MetricInfo) string {
	switch {
	case f.CI95 == nil || f.Value == 0:
		return ""
	case f.Cut:
		return "0…" + Number(m, f.CI95[1])
	}
	return digits.Significant(50*(f.CI95[1]-f.CI95[0])/math.Abs(f.Value), 2) + " %"
}
