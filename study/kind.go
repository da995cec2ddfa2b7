package study

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/prom"
)

// val is the value of one key. Texts, choices and switches use s; whole numbers use
// i and f; other numbers use f; durations use i, in nanoseconds.
type val struct {
	s string
	i int64
	f float64
}

// basic is what an expression may do with a value.
type basic int

const (
	isText basic = iota
	isNumber
	isBool
)

func (b basic) String() string { return [...]string{"a text", "a number", "true or false"}[b] }

// kind is what a key accepts.
type kind struct {
	// want says in words what a value must be.
	want  string
	basic basic
	// parse reads a value from the text of a scalar.
	parse func(text string) (val, error)
	// enum lists all values, where they are few.
	enum []string
	// schema is the JSON Schema of one value.
	schema map[string]any
	// ranges says that LOW..HIGH stands for several values.
	ranges bool
	// whole numbers have no fraction; numbers lie from low to high.
	whole     bool
	low, high float64
}

// accepts checks a value that was calculated.
func (k kind) accepts(v val) (val, bool) {
	if k.basic != isNumber {
		out, err := k.parse(v.s)
		return out, err == nil
	}
	if !(v.f >= k.low && v.f <= k.high) || k.whole && v.f != math.Trunc(v.f) {
		return val{}, false
	}
	if k.whole {
		return val{i: int64(v.f), f: v.f}, true
	}
	return val{f: v.f + 0}, true
}

// text is whatever is not empty and fits on a line.
func textKind(want string) kind {
	return kind{want: want, basic: isText, schema: map[string]any{"type": "string", "minLength": 1},
		parse: func(s string) (val, error) {
			switch {
			case strings.TrimSpace(s) == "":
				return val{}, fmt.Errorf("is empty; want %s", want)
			case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
				return val{}, &hinted{fmt.Sprintf("has a line break or another control character; want %s", want),
					"write it on one line"}
			case strings.TrimSpace(s) != s:
				return val{}, &hinted{fmt.Sprintf("is %q; want %s", s, want), "remove the spaces around it"}
			}
			return val{s: s}, nil
		}}
}

// choiceKind is one of a few words.
func choiceKind(allowed ...string) kind {
	want := "one of " + strings.Join(allowed, ", ")
	return kind{want: want, basic: isText, enum: allowed, schema: map[string]any{"enum": allowed},
		parse: func(s string) (val, error) {
			if !slices.Contains(allowed, s) {
				return val{}, valueError(s, want, nearest(s, allowed))
			}
			return val{s: s}, nil
		}}
}

// patternKind is a text of a given form, with examples from which the nearest is
// suggested.
func patternKind(want, pattern string, words ...string) kind {
	re := regexp.MustCompile(pattern)
	return kind{want: want, basic: isText, schema: map[string]any{"type": "string", "pattern": pattern},
		parse: func(s string) (val, error) {
			if !re.MatchString(s) {
				return val{}, valueError(s, want, nearest(s, words))
			}
			return val{s: s}, nil
		}}
}

// remoteKind is a list of metrics pages. Its commas separate pages and not the values
// of an axis.
func remoteKind() kind {
	return kind{want: `a list of http://host:9400/metrics or name=URL#metric{label="value"}:W`, basic: isText,
		schema: map[string]any{"type": "string", "minLength": 1}, parse: func(s string) (val, error) {
			if _, err := prom.ParseTargets(s); err != nil {
				return val{}, err
			}
			return val{s: s}, nil
		}}
}

// toggleKind is true or false.
func toggleKind() kind {
	const want = "true or false"
	return kind{want: want, basic: isBool, enum: []string{"true", "false"}, schema: map[string]any{"type": "boolean"},
		parse: func(s string) (val, error) {
			switch s {
			case "true", "True", "TRUE":
				return val{s: string(On)}, nil
			case "false", "False", "FALSE":
				return val{s: string(Off)}, nil
			}
			switch strings.ToLower(s) {
			case "yes", "on", "y", "1":
				return val{}, &hinted{fmt.Sprintf("is %q; want %s", s, want), "write true"}
			case "no", "off", "n", "0":
				return val{}, &hinted{fmt.Sprintf("is %q; want %s", s, want), "write false"}
			}
			return val{}, valueError(s, want, "")
		}}
}

// wholeKind is a whole number.
func wholeKind(low, high int64) kind {
	want := fmt.Sprintf("a whole number from %d to %d", low, high)
	if high == math.MaxInt64 {
		want = fmt.Sprintf("a whole number of %d or more", low)
	}
	return kind{want: want, basic: isNumber, ranges: true, whole: true, low: float64(low), high: float64(high),
		schema: map[string]any{"type": "integer", "minimum": low, "maximum": high}, parse: func(s string) (val, error) {
			n, err := parseWhole(s)
			if err != nil || n < low || n > high {
				return val{}, numberError(s, want, err)
			}
			return val{i: n, f: float64(n)}, nil
		}}
}

// numberKind is a finite number.
func numberKind(low, high float64) kind {
	want := "a number from " + strconv.FormatFloat(low, 'f', -1, 64) + " to " + strconv.FormatFloat(high, 'f', -1, 64)
	if low == high {
		want = fmt.Sprintf("%g (the only value so far)", low)
	}
	return kind{want: want, basic: isNumber, ranges: true, low: low, high: high,
		schema: map[string]any{"type": "number", "minimum": low, "maximum": high}, parse: func(s string) (val, error) {
			f, err := parseNumber(s)
			if err != nil || f < low || f > high {
				return val{}, numberError(s, want, err)
			}
			return val{f: f}, nil
		}}
}

// gapKind is a number of seconds, or auto.
func gapKind() kind {
	seconds := numberKind(0, 86400)
	seconds.want += ", or " + gapAuto
	seconds.ranges = false
	number := seconds.parse
	seconds.schema = map[string]any{"anyOf": []any{seconds.schema, map[string]any{"const": gapAuto}}}
	seconds.parse = func(s string) (val, error) {
		if s == gapAuto {
			return val{s: gapAuto}, nil
		}
		v, err := number(s)
		if err != nil {
			return val{}, numberError(s, seconds.want, err)
		}
		return v, nil
	}
	return seconds
}

// durationPattern is the form of a duration that is more than a bare number.
const durationPattern = `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`

var durationRE = regexp.MustCompile(durationPattern)

// durationKind is a time span with units.
func durationKind() kind {
	const want = "a time span such as 90s, 30m or 1h30m, of at most 10000h"
	return kind{want: want, basic: isNumber, schema: map[string]any{"type": "string", "pattern": durationPattern},
		parse: func(s string) (val, error) {
			if _, err := parseNumber(s); err == nil {
				return val{}, &hinted{fmt.Sprintf("is %q, without a unit; want %s", s, want),
					fmt.Sprintf("for seconds write %ss", s)}
			}
			if m := clockText.FindString(s); m != "" {
				return val{}, &hinted{fmt.Sprintf("is %q; want %s", s, want),
					"write units instead of colons, such as 1h30m"}
			}
			d, err := time.ParseDuration(s)
			if err != nil || !durationRE.MatchString(s) || d <= 0 || d > 10000*time.Hour {
				return val{}, valueError(s, want, "")
			}
			return val{i: int64(d), f: d.Seconds()}, nil
		}}
}

// decimal is a number as YAML 1.2 and JSON write it.
var decimal = regexp.MustCompile(`^([-+]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([-+]?[0-9]+))?$`)

// Problems of numbers for which there is more to say than what is wanted.
var (
	errLeadingZero = errors.New("leading zero")
	errNotNumber   = errors.New("no number")
	errNotWhole    = errors.New("not whole")
	errTooLarge    = errors.New("too large")
)

// splitDecimal checks the form of a number and takes it apart. A leading zero is
// refused: YAML 1.1 reads 010 as eight, YAML 1.2 as ten.
func splitDecimal(s string) (sign, whole, fraction string, exponent int, err error) {
	m := decimal.FindStringSubmatch(s)
	if m == nil || m[2]+m[3] == "" {
		return "", "", "", 0, errNotNumber
	}
	if len(m[2]) > 1 && m[2][0] == '0' {
		return "", "", "", 0, errLeadingZero
	}
	if m[4] != "" {
		if exponent, err = strconv.Atoi(m[4]); err != nil || exponent > 1e6 || exponent < -1e6 {
			return "", "", "", 0, errTooLarge
		}
	}
	return m[1], m[2], m[3], exponent, nil
}

// parseWhole reads a whole number, also where it is written as 1.0 or 1e3: what
// counts is the value. The value is exact, or there is an error.
func parseWhole(s string) (int64, error) {
	sign, whole, fraction, exponent, err := splitDecimal(s)
	if err != nil {
		return 0, err
	}
	digits := strings.TrimLeft(whole+fraction, "0")
	exponent -= len(fraction)
	trimmed := strings.TrimRight(digits, "0")
	exponent += len(digits) - len(trimmed)
	switch {
	case trimmed == "":
		return 0, nil
	case exponent < 0:
		return 0, errNotWhole
	case len(trimmed)+exponent > 19:
		return 0, errTooLarge
	}
	if sign == "+" {
		sign = ""
	}
	n, err := strconv.ParseInt(sign+trimmed+strings.Repeat("0", exponent), 10, 64)
	if err != nil {
		return 0, errTooLarge
	}
	return n, nil
}

// parseNumber reads a finite number. -0 is 0.
func parseNumber(s string) (float64, error) {
	_, whole, fraction, _, err := splitDecimal(s)
	if err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, errTooLarge
	}
	if f == 0 && strings.Trim(whole+fraction, "0") != "" {
		return 0, errTooLarge // it vanishes in a float64
	}
	return f + 0, nil
}

// Texts that YAML 1.1, or other languages, read as numbers.
var (
	clockText     = regexp.MustCompile(`^[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?$`)
	separatedText = regexp.MustCompile(`^[-+]?[0-9]{1,3}([_, '][0-9]{3})+$|^[-+]?[0-9]+(_[0-9]+)+$`)
	basedText     = regexp.MustCompile(`^0[xX][0-9a-fA-F]+$|^0[oO][0-7]+$|^0[bB][01]+$`)
	unitText      = regexp.MustCompile(`^([-+]?[0-9]+(?:\.[0-9]+)?) ?([a-zA-Z%]+)$`)
	endlessText   = regexp.MustCompile(`^(?i)[-+]?\.?(nan|inf|infinity)$`)
)

// numberError says what a number is and what it should be, with a hint for the
// spellings that YAML and other languages disagree on.
func numberError(s, want string, cause error) error {
	msg := fmt.Sprintf("is %q; want %s", s, want)
	if hint := numberHint(s, cause); hint != "" {
		return &hinted{msg, hint}
	}
	return errors.New(msg)
}

func numberHint(s string, cause error) string {
	switch {
	case errors.Is(cause, errLeadingZero):
		hint := "write it without the leading zero"
		if n, err := strconv.ParseInt(s, 8, 64); err == nil {
			hint = fmt.Sprintf("write %s, or %d: YAML 1.1 reads %s as an octal number", strings.TrimLeft(s, "0"), n, s)
		}
		return hint
	case errors.Is(cause, errNotWhole):
		return "write it without a fraction"
	case !errors.Is(cause, errNotNumber):
		return ""
	case strings.Contains(s, ".."):
		return "several values are written under sweep:, as a list or as a range: LOW..HIGH, LOW..HIGH+STEP or " +
			"LOW..HIGH*FACTOR"
	case clockText.MatchString(s):
		return fmt.Sprintf("write %s: YAML 1.1 reads %s as a number to the base 60", sexagesimal(s), s)
	case basedText.MatchString(s):
		if n, err := strconv.ParseInt(s, 0, 64); err == nil {
			return fmt.Sprintf("write it as a decimal number: %d", n)
		}
	case separatedText.MatchString(s):
		return "write the digits without separators: " +
			strings.NewReplacer("_", "", ",", "", " ", "", "'", "").Replace(s)
	case endlessText.MatchString(s):
		return "write a finite number"
	case unitText.MatchString(s):
		return unitHint(unitText.FindStringSubmatch(s))
	}
	return ""
}

// unitHint helps with a number that has something behind it.
func unitHint(m []string) string {
	switch m[2] {
	case "%":
		if f, err := strconv.ParseFloat(m[1], 64); err == nil {
			return fmt.Sprintf("write %g", f/100)
		}
	case "k", "K", "M", "G", "Ki", "Mi", "Gi":
		return "write the number out, with all its digits"
	}
	return fmt.Sprintf("write the number alone, without %q", m[2])
}

// sexagesimal is what YAML 1.1 makes of 1:30.
func sexagesimal(s string) string {
	whole, _, _ := strings.Cut(s, ".")
	n := 0
	for part := range strings.SplitSeq(whole, ":") {
		digit, err := strconv.Atoi(part)
		if err != nil || n > 1<<40 {
			return "it as one number"
		}
		n = n*60 + digit
	}
	return strconv.Itoa(n)
}

// valueError says what a value is and what it should be.
func valueError(got, want, near string) error {
	if near != "" {
		return &hinted{fmt.Sprintf("is %q; want %s", got, want), fmt.Sprintf("did you mean %q?", near)}
	}
	return fmt.Errorf("is %q; want %s", got, want)
}

// hinted is an error with a suggestion.
type hinted struct{ msg, hint string }

func (h *hinted) Error() string { return h.msg }
