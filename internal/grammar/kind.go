// Package grammar defines what a key of a study accepts: the kinds of values, how each is read from text, the
// message for a wrong value, and its JSON Schema. Package study and the sections of engines (package engine) use
// it.
package grammar

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/near"
	"github.com/llenergymeasure/llem/note"
)

// Value is the value of one key. Texts, choices and switches use Text; whole numbers use Whole and Number; other
// numbers use Number; time spans use Whole, in nanoseconds.
type Value struct {
	// Text of a text, a choice or a switch.
	Text string
	// Whole number, or a time span in nanoseconds.
	Whole int64
	// Number of any kind.
	Number float64
}

// Basic is the type of a value in expressions.
type Basic int

// The basic types.
const (
	IsText Basic = iota
	IsNumber
	IsBool
)

// String returns the type's name for messages.
func (b Basic) String() string { return [...]string{"a text", "a number", "true or false"}[b] }

// Kind is what a key accepts.
type Kind struct {
	// Want describes a valid value.
	Want string
	// Basic is the type in expressions.
	Basic Basic
	// Parse reads a value from the text of a scalar.
	Parse func(text string) (Value, error)
	// Enum lists all values, if they are few.
	Enum []string
	// Schema is the JSON Schema of one value.
	Schema map[string]any
	// Ranges reports that LOW..HIGH means several values.
	Ranges bool
	// Whole reports that numbers have no fraction.
	Whole bool
	// Low and High bound a number.
	Low, High float64
}

// Accepts checks a calculated value.
func (k Kind) Accepts(v Value) (Value, bool) {
	if k.Basic != IsNumber {
		out, err := k.Parse(v.Text)
		return out, err == nil
	}
	if !(v.Number >= k.Low && v.Number <= k.High) || k.Whole && v.Number != math.Trunc(v.Number) {
		return Value{}, false
	}
	if k.Whole {
		return Value{Whole: int64(v.Number), Number: v.Number}, true
	}
	return Value{Number: v.Number + 0}, true
}

// Line accepts any text that is not empty and fits on a line.
func Line(want string) Kind {
	return Kind{Want: want, Basic: IsText, Schema: map[string]any{"type": "string", "minLength": 1},
		Parse: func(s string) (Value, error) {
			switch {
			case strings.TrimSpace(s) == "":
				return Value{}, fmt.Errorf("is empty; want %s", want)
			case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
				return Value{},
					Hinted("write it on one line", "has a line break or another control character; want %s", want)
			case strings.TrimSpace(s) != s:
				return Value{}, Hinted("remove the spaces around it", "is %q; want %s", s, want)
			}
			return Value{Text: s}, nil
		}}
}

// Choice accepts one of a few words.
func Choice(allowed ...string) Kind {
	want := "one of " + strings.Join(allowed, ", ")
	return Kind{Want: want, Basic: IsText, Enum: allowed, Schema: map[string]any{"enum": allowed},
		Parse: func(s string) (Value, error) {
			if !slices.Contains(allowed, s) {
				return Value{}, ValueError(s, want, near.Best(s, allowed))
			}
			return Value{Text: s}, nil
		}}
}

// Pattern accepts text that matches a pattern. words are examples, the nearest of which is suggested.
func Pattern(want, pattern string, words ...string) Kind {
	re := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
	return Kind{Want: want, Basic: IsText, Schema: map[string]any{"type": "string", "pattern": pattern},
		Parse: func(s string) (Value, error) {
			if !re().MatchString(s) {
				return Value{}, ValueError(s, want, near.Best(s, words))
			}
			return Value{Text: s}, nil
		}}
}

// Switch accepts true or false.
func Switch() Kind {
	const want = "true or false"
	return Kind{Want: want, Basic: IsBool, Enum: []string{"true", "false"}, Schema: map[string]any{"type": "boolean"},
		Parse: func(s string) (Value, error) {
			switch s {
			case "true", "True", "TRUE":
				return Value{Text: True}, nil
			case "false", "False", "FALSE":
				return Value{Text: False}, nil
			}
			switch strings.ToLower(s) {
			case "yes", "on", "y", "1":
				return Value{}, Hinted("write true", "is %q; want %s", s, want)
			case "no", "off", "n", "0":
				return Value{}, Hinted("write false", "is %q; want %s", s, want)
			}
			return Value{}, ValueError(s, want, "")
		}}
}

// Integer accepts a whole number.
func Integer(low, high int64) Kind {
	want := fmt.Sprintf("a whole number from %d to %d", low, high)
	if high == math.MaxInt64 {
		want = fmt.Sprintf("a whole number of %d or more", low)
	}
	return Kind{Want: want, Basic: IsNumber, Ranges: true, Whole: true, Low: float64(low), High: float64(high),
		Schema: map[string]any{"type": "integer", "minimum": low, "maximum": high}, Parse: func(s string) (Value,
			error) {
			n, err := ParseWhole(s)
			if err != nil || n < low || n > high {
				return Value{}, NumberError(s, want, err)
			}
			return Value{Whole: n, Number: float64(n)}, nil
		}}
}

// Float accepts a finite number.
func Float(low, high float64) Kind {
	want := "a number from " + strconv.FormatFloat(low, 'f', -1, 64) + " to " + strconv.FormatFloat(high, 'f', -1, 64)
	if low == high {
		want = fmt.Sprintf("%g (the only value so far)", low)
	}
	return Kind{Want: want, Basic: IsNumber, Ranges: true, Low: low, High: high,
		Schema: map[string]any{"type": "number", "minimum": low, "maximum": high}, Parse: func(s string) (Value,
			error) {
			f, err := ParseNumber(s)
			if err != nil || f < low || f > high {
				return Value{}, NumberError(s, want, err)
			}
			return Value{Number: f}, nil
		}}
}

// durationPattern is the form of a duration with units.
const durationPattern = `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`

var durationRE = regexp.MustCompile(durationPattern)

// TimeSpan accepts a time span with units.
func TimeSpan() Kind {
	const want = "a time span such as 90s, 30m or 1h30m, of at most 10000h"
	return Kind{Want: want, Basic: IsNumber, Schema: map[string]any{"type": "string", "pattern": durationPattern},
		Parse: func(s string) (Value, error) {
			if _, err := ParseNumber(s); err == nil {
				return Value{}, Hinted(fmt.Sprintf("for seconds write %ss", s), "is %q, without a unit; want %s", s,
					want)
			}
			if m := clockText.FindString(s); m != "" {
				return Value{}, Hinted("write units instead of colons, such as 1h30m", "is %q; want %s", s, want)
			}
			d, err := time.ParseDuration(s)
			if err != nil || !durationRE.MatchString(s) || d <= 0 || d > 10000*time.Hour {
				return Value{}, ValueError(s, want, "")
			}
			return Value{Whole: int64(d), Number: d.Seconds()}, nil
		}}
}

// decimal matches a number as YAML 1.2 and JSON write it.
var decimal = regexp.MustCompile(`^([-+]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([-+]?[0-9]+))?$`)

// Problems of numbers that need a more specific message.
var (
	ErrLeadingZero = errors.New("leading zero")
	errNotNumber   = errors.New("not a number")
	errNotWhole    = errors.New("not whole")
	errTooLarge    = errors.New("too large")
)

// SplitDecimal checks the form of a number and splits it. A leading zero is refused: YAML 1.1 reads 010 as eight,
// YAML 1.2 as ten.
func SplitDecimal(s string) (sign, whole, fraction string, exponent int, err error) {
	m := decimal.FindStringSubmatch(s)
	if m == nil || m[2]+m[3] == "" {
		return "", "", "", 0, errNotNumber
	}
	if len(m[2]) > 1 && m[2][0] == '0' {
		return "", "", "", 0, ErrLeadingZero
	}
	if m[4] != "" {
		if exponent, err = strconv.Atoi(m[4]); err != nil || exponent > 1e6 || exponent < -1e6 {
			return "", "", "", 0, errTooLarge
		}
	}
	return m[1], m[2], m[3], exponent, nil
}

// ParseWhole reads a whole number, also in the forms 1.0 and 1e3. The value is exact, or there is an error.
func ParseWhole(s string) (int64, error) {
	sign, whole, fraction, exponent, err := SplitDecimal(s)
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

// ParseNumber reads a finite number. -0 is 0.
func ParseNumber(s string) (float64, error) {
	_, whole, fraction, _, err := SplitDecimal(s)
	if err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, errTooLarge
	}
	if f == 0 && strings.Trim(whole+fraction, "0") != "" {
		return 0, errTooLarge // it would become 0 in a float64
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

// NumberError reports the value and what it should be, with a hint for spellings that YAML and other languages
// read differently.
func NumberError(s, want string, cause error) error {
	msg := fmt.Sprintf("is %q; want %s", s, want)
	if hint := NumberHint(s, cause); hint != "" {
		return Hinted(hint, "%s", msg)
	}
	return errors.New(msg)
}

// NumberHint suggests a replacement for a text that is not a number.
func NumberHint(s string, cause error) string {
	switch {
	case errors.Is(cause, ErrLeadingZero):
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

// unitHint suggests a replacement for a number followed by text.
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

// sexagesimal returns how YAML 1.1 reads 1:30.
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

// ValueError reports a value and what it should be.
func ValueError(got, want, near string) error {
	if near != "" {
		return Hinted(fmt.Sprintf("did you mean %q?", near), "is %q; want %s", got, want)
	}
	return fmt.Errorf("is %q; want %s", got, want)
}

// Format formats a value for a person.
func (k Kind) Format(v Value) string {
	switch {
	case v.Text != "" || k.Basic == IsText:
		return v.Text
	case strings.HasPrefix(k.Want, "a time span"):
		return DurationText(time.Duration(v.Whole))
	case k.Whole:
		return strconv.FormatInt(v.Whole, 10)
	}
	return strconv.FormatFloat(v.Number, 'g', -1, 64)
}

// DurationText formats a time span without parts that are zero.
func DurationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// String returns the value as a study file would have it.
func (v Value) String() string {
	switch {
	case v.Text != "":
		return v.Text
	case v.Whole != 0:
		return fmt.Sprint(v.Whole)
	}
	return fmt.Sprint(v.Number)
}

// Hinted returns a failure with the next step.
func Hinted(next, format string, args ...any) error {
	return note.Failf(codes.ClassConfig, next, format, args...)
}

// The texts of a switch's values.
const (
	True  = "true"
	False = "false"
)
