// Package digits formats numbers for people: with SI prefixes, with significant digits, counted. It also formats
// sizes in bytes and seconds.
package digits

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Minus is the sign of negative numbers for people. A terminal that lacks it shows a hyphen.
const Minus = "−"

// JoulesPerWattHour converts watt-hours to joules (1 Wh = 3600 J).
const JoulesPerWattHour = 3600

// Bytes is a size in bytes.
type Bytes int64

// String formats b in powers of 1024, such as "1.50 GiB".
func (b Bytes) String() string {
	if b < 0 {
		return Minus + (-b).String()
	}
	if b < 1024 {
		return strconv.FormatInt(int64(b), 10) + " B"
	}
	v, prefixes := float64(b), "KMGTPE"
	i := -1
	for v >= 1023.5 && i < len(prefixes)-1 { // which would be printed as 1024
		v /= 1024
		i++
	}
	return Significant(v, 3) + " " + prefixes[i:i+1] + "iB"
}

// siSteps lists the SI prefixes in use, largest first.
var siSteps = []struct {
	factor float64
	prefix string
}{
	{1e18, "E"}, {1e15, "P"}, {1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"},
	{1, ""}, {1e-3, "m"}, {1e-6, "µ"}, {1e-9, "n"},
}

// SI formats v in the given unit with three significant digits and the SI prefix that brings it between 1 and
// 1000.
func SI(v float64, unit string) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return Significant(v, 3) + " " + unit
	}
	factor, prefix := scale(v)
	return Significant(v/factor, 3) + " " + prefix + unit
}

// Within formats a value with half the width of its interval, both in one unit with the prefix that SI prints for the
// larger one, such as "1.10 ± 0.39 kJ".
func Within(v, half float64, unit string) string {
	divisor, prefixed := Prefix(max(math.Abs(v), math.Abs(half)), unit)
	return Significant(v/divisor, 3) + " ± " + Significant(half/divisor, 2) + " " + prefixed
}

// Prefix returns the unit with the prefix that SI prints for v, and the number to divide values by to have them in it:
// for values that share a unit.
func Prefix(v float64, unit string) (divisor float64, prefixed string) {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return 1, unit
	}
	factor, prefix := scale(v)
	return factor, prefix + unit
}

// scale returns the step of the prefix that brings v between 1 and 1000.
func scale(v float64) (factor float64, prefix string) {
	for _, s := range siSteps {
		// 0.9995 is where three digits would round up into the next prefix.
		if math.Abs(v) >= s.factor*0.9995 {
			return s.factor, s.prefix
		}
	}
	last := siSteps[len(siSteps)-1]
	return last.factor, last.prefix
}

// Significant formats v with n significant digits and no exponent, never shortening the integer part:
// Significant(1234.5, 3) is "1234" (or "1235"). Negative numbers have a [Minus].
func Significant(v float64, n int) string {
	switch {
	case math.IsNaN(v):
		return "n/a"
	case math.IsInf(v, 0):
		return Signed(strconv.FormatFloat(v, 'g', -1, 64))
	case v == 0:
		return "0"
	}
	digits := decimals(v, n)
	// Rounding may carry into a new digit: 9.996 with three digits is 10.0.
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'f', digits, 64), 64)
	if err == nil && rounded != 0 {
		digits = decimals(rounded, n)
	}
	return Signed(strconv.FormatFloat(v, 'f', digits, 64))
}

// Signed writes the sign of a number that has been formatted as a [Minus].
func Signed(number string) string {
	if rest, negative := strings.CutPrefix(number, "-"); negative {
		return Minus + rest
	}
	return number
}

// decimals returns how many digits after the point show n significant digits of v.
func decimals(v float64, n int) int {
	d := n - 1 - int(math.Floor(math.Log10(math.Abs(v))))
	return max(d, 0)
}

// Count formats a number of things: 1 run, 2 runs.
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Times formats how often something happens: once, 2 times.
func Times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// Seconds converts nanoseconds of a clock to seconds.
func Seconds(ns int64) float64 { return float64(ns) / 1e9 }

// Duration converts seconds to a duration.
func Duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// Rough formats a duration with the precision of an estimate.
func Rough(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 72*time.Hour:
		return fmt.Sprintf("%.1f h", d.Hours())
	}
	return fmt.Sprintf("%.1f days", d.Hours()/24)
}
