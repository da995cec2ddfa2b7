package digits

import (
	"regexp"
	"strconv"
)

// digitsOf matches the numbers of a text.
var digitsOf = regexp.MustCompile(`[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?`)

// Alike reports whether two texts differ only in their numbers.
func Alike(a, b string) bool {
	return a == b || digitsOf.ReplaceAllString(a, "#") == digitsOf.ReplaceAllString(b, "#")
}

// Later returns the one of two alike texts whose last number is larger, which satisfies both.
func Later(a, b string) string {
	last := func(text string) float64 {
		all := digitsOf.FindAllString(text, -1)
		if len(all) == 0 {
			return 0
		}
		v, _ := strconv.ParseFloat(all[len(all)-1], 64)
		return v
	}
	if last(b) > last(a) {
		return b
	}
	return a
}
