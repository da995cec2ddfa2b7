package source

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/keys"
)

// rangeText matches 8..64*2, 1..9+2, 0.5..0.9+0.1 and 1..4.
var rangeText = regexp.MustCompile(
	`^([-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?)\.\.([-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,` +
		`3})?)(?:([*+])([0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?))?$`)

// RangePattern returns the form of a range, for schemas.
func RangePattern() string { return rangeText.String() }

// plainly formats a number without an exponent.
func plainly(s string) string {
	if !strings.ContainsAny(s, "eE") {
		return s
	}
	f, err := grammar.ParseNumber(s)
	if err != nil {
		return s
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// expand turns a range into its values; other text is one value.
func (b *Source) expand(f *keys.Field, v Value) []grammar.Value {
	if f.Kind.Ranges && rangeText.MatchString(v.Text) {
		texts, err := expandRange(v.Text)
		if err != nil {
			b.failValue(v.At, f.Key+":", err)
			return nil
		}
		out := make([]grammar.Value, 0, len(texts))
		for _, text := range texts {
			parsed, err := f.Kind.Parse(text)
			if err != nil {
				b.failValue(v.At, f.Key, fmt.Errorf("in the range %s %w", v.Text, err))
				return nil
			}
			out = append(out, parsed)
		}
		return out
	}
	if parsed, ok := b.parseValue(f.Key, f.Kind, v); ok {
		return []grammar.Value{parsed}
	}
	return nil
}

// expandRange returns the values of a range as texts. The arithmetic is exact: it counts in units of the last
// decimal place.
func expandRange(text string) ([]string, error) {
	m := rangeText.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("%q is not a range", text)
	}
	for i := range m {
		if i == 1 || i == 2 || i == 4 {
			m[i] = plainly(m[i])
		}
	}
	op, by := "+", "1"
	if m[3] != "" {
		op, by = m[3], m[4]
	}
	places := max(decimals(m[1]), decimals(m[2]))
	if op == "+" {
		places = max(places, decimals(by))
	} else if decimals(by) > 0 {
		return nil, grammar.Hinted("use a whole factor, or list the values",
			"the range %q has a factor with a fraction", text)
	}
	low, err1 := scaled(m[1], places)
	high, err2 := scaled(m[2], places)
	step, err3 := scaled(by, map[string]int{"+": places, "*": 0}[op])
	for _, err := range []error{err1, err2, err3} {
		if errors.Is(err, grammar.ErrLeadingZero) {
			return nil, grammar.Hinted("write it without the leading zero",
				"the range %q has a number with a leading zero", text)
		} else if err != nil {
			return nil, fmt.Errorf("the range %q has a number that is too large", text)
		}
	}
	switch {
	case low > high:
		return nil, grammar.Hinted(fmt.Sprintf("write %s..%s", m[2], m[1]),
			"the range %q descends and is empty", text)
	case op == "*" && (step < 2 || low < 1), op == "+" && step < 1:
		return nil, grammar.Hinted("use a factor of 2 or more from a number above 0, or a step above 0",
			"the range %q never ends", text)
	}
	var out []string
	for n := low; n <= high; {
		if len(out) == keys.MaxPoints {
			return nil, grammar.Hinted("use a larger step", "the range %q has more than %d values", text,
				keys.MaxPoints)
		}
		out = append(out, unscaled(n, places))
		next := n + step
		if op == "*" {
			next = n * step
			if next/step != n {
				break
			}
		}
		if next <= n { // overflow
			break
		}
		n = next
	}
	return out, nil
}

// decimals counts the digits after the point.
func decimals(s string) int {
	_, fraction, _ := strings.Cut(s, ".")
	return len(fraction)
}

// scaled reads a decimal number in units of 10^-places.
func scaled(s string, places int) (int64, error) {
	if _, _, _, _, err := grammar.SplitDecimal(s); err != nil {
		return 0, err
	}
	return grammar.ParseWhole(s + "e" + strconv.Itoa(places))
}

func unscaled(n int64, places int) string {
	s := strconv.FormatInt(n, 10)
	if places == 0 {
		return s
	}
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for len(s) <= places {
		s = "0" + s
	}
	return sign + s[:len(s)-places] + "." + s[len(s)-places:]
}
