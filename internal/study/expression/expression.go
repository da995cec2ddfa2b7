package expression

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/near"
	"github.com/llenergymeasure/llem/internal/study/keys"
)

// Expression is a checked expression over the keys of an experiment. It has no side effects: its value depends
// only on the values of the keys.
type Expression struct {
	// Basic is the type of its value.
	Basic grammar.Basic
	// Keys are the keys that it mentions, each once.
	Keys []*keys.Field
	// Batch reports that it mentions the batch size of the point's own backend.
	Batch bool

	num   func(*Scratch) float64
	str   func(*Scratch) string
	truth func(*Scratch) bool
	// key is set if the expression is a single key.
	key *keys.Field
	// constant is the text of a literal.
	constant *string
}

// Scratch is the data that an expression is evaluated on.
type Scratch struct {
	// Values of the point.
	Values keys.Values
	// Undefined is set by a division by zero.
	Undefined bool
}

// Number returns the value of an expression that is a number.
func (e *Expression) Number(s *Scratch) float64 { return e.num(s) }

// Text returns the value of an expression that is a text.
func (e *Expression) Text(s *Scratch) string { return e.str(s) }

// Truth returns the value of a condition.
func (e *Expression) Truth(s *Scratch) bool { return e.truth(s) }

// batchName is the batch size of the point's own backend.
const batchName = "batch"

// SyntaxError is a mistake in an expression, at a range of runes.
type SyntaxError struct {
	// From and Width are its position.
	From, Width int
	// Msg completes a sentence about the expression, Hint is the next step.
	Msg, Hint string
}

// Error implements error.
func (e *SyntaxError) Error() string { return e.Msg }

// Limits of an expression.
const (
	maxExpression = 4096
	maxDepth      = 64
)

// Compile reads an expression:
//
//	or      = and {"or" and}
//	and     = not {"and" not}
//	not     = "not" not | compare
//	compare = sum [("==" | "!=" | "<" | "<=" | ">" | ">=") sum | ["not"] "in" "(" sum {"," sum} ")"]
//	sum     = term {("+" | "-") term}
//	term    = unary {("*" | "/" | "%") unary}
//	unary   = "-" unary | number | "text" | 'text' | true | false | key | "(" or ")"
func Compile(set *keys.Set, text string) (*Expression, error) {
	if utf8.RuneCountInString(text) > maxExpression {
		return nil, &SyntaxError{Msg: fmt.Sprintf("is longer than %d characters", maxExpression)}
	}
	tokens, err := lex(text)
	if err != nil {
		return nil, err
	}
	p := &parser{set: set, tokens: tokens}
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != endToken {
		return nil, p.unexpected(t)
	}
	slices.SortFunc(p.keys, func(a, b *keys.Field) int { return strings.Compare(a.Key, b.Key) })
	e.Keys, e.Batch = slices.Compact(p.keys), p.batch
	return e, nil
}

// CompileCondition compiles an expression that is true or false.
func CompileCondition(set *keys.Set, text string) (*Expression, error) {
	e, err := Compile(set, text)
	if err == nil && e.Basic != grammar.IsBool {
		return nil, &SyntaxError{Width: utf8.RuneCountInString(text),
			Msg: fmt.Sprintf("is %s; want a condition",
				e.Basic), Hint: "compare it with something, as in workload.prompts <= 64"}
	}
	return e, err
}

func comparison(sign, left, right token, e, f *Expression) (*Expression, error) {
	if e.Basic != f.Basic {
		return nil, &SyntaxError{left.from, right.from + right.width - left.from,
			fmt.Sprintf("compares %s with %s", e.Basic, f.Basic), quoteHint(right, f)}
	}
	for _, pair := range []struct {
		at    token
		key   *keys.Field
		value *string
	}{{right, e.key, f.constant}, {left, f.key, e.constant}} {
		if pair.key != nil && pair.value != nil && pair.key.Kind.Enum != nil &&
			!slices.Contains(pair.key.Kind.Enum, *pair.value) {
			hint := ""
			if meant := near.Best(*pair.value, pair.key.Kind.Enum); meant != "" {
				hint = fmt.Sprintf("did you mean %q?", meant)
			}
			return nil, &SyntaxError{pair.at.from, pair.at.width,
				fmt.Sprintf("compares %s with %q, which it never has; it is %s", pair.key.Key, *pair.value,
					pair.key.Kind.Want), hint}
		}
	}
	out := &Expression{Basic: grammar.IsBool}
	switch e.Basic {
	case grammar.IsNumber:
		out.truth = compareNumbers(sign.text, e.num, f.num)
		return out, nil
	case grammar.IsText:
		a, b := e.str, f.str
		out.truth = func(s *Scratch) bool { return a(s) == b(s) }
	case grammar.IsBool:
		a, b := e.truth, f.truth
		out.truth = func(s *Scratch) bool { return a(s) == b(s) }
	}
	switch sign.text {
	case "==":
	case "!=":
		same := out.truth
		out.truth = func(s *Scratch) bool { return !same(s) }
	default:
		return nil, &SyntaxError{sign.from, sign.width, fmt.Sprintf("orders %s with %q", plural(e.Basic), sign.text),
			"only numbers have an order; use ==, != or in"}
	}
	return out, nil
}

// quoteHint returns a hint if a number in quotes, or a text without them, was compared.
func quoteHint(t token, e *Expression) string {
	if e.constant != nil && t.kind == textToken {
		if _, err := grammar.ParseNumber(t.text); err == nil {
			return "write the number without quotes"
		}
	}
	return ""
}

func compareNumbers(sign string, a, b func(*Scratch) float64) func(*Scratch) bool {
	switch sign {
	case "==":
		return func(s *Scratch) bool { return a(s) == b(s) }
	case "!=":
		return func(s *Scratch) bool { return a(s) != b(s) }
	case "<":
		return func(s *Scratch) bool { return a(s) < b(s) }
	case "<=":
		return func(s *Scratch) bool { return a(s) <= b(s) }
	case ">":
		return func(s *Scratch) bool { return a(s) > b(s) }
	}
	return func(s *Scratch) bool { return a(s) >= b(s) }
}

func calculate(sign string, a, b func(*Scratch) float64) func(*Scratch) float64 {
	switch sign {
	case "+":
		return func(s *Scratch) float64 { return a(s) + b(s) }
	case "-":
		return func(s *Scratch) float64 { return a(s) - b(s) }
	case "*":
		return func(s *Scratch) float64 { return a(s) * b(s) }
	}
	return func(s *Scratch) float64 {
		x, y := a(s), b(s)
		switch {
		case y == 0:
			s.Undefined = true
			return 0
		case sign == "%":
			return math.Mod(x, y)
		}
		return x / y
	}
}

// SpeaksOf reports whether the expression is about points of a backend: it mentions keys of its section, or of no
// section at all.
func (e *Expression) SpeaksOf(backend string) bool {
	mentions := false
	for _, f := range e.Keys {
		if f.Section == backend {
			return true
		}
		mentions = mentions || f.Section != ""
	}
	return !mentions
}
