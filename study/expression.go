package study

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/llenergymeasure/llem/grammar"
	"github.com/llenergymeasure/llem/internal/near"
)

// expression is a checked expression over the keys of an experiment. It has no side
// effects: its value depends on the settings alone.
type expression struct {
	basic grammar.Basic
	num   func(*scratch) float64
	str   func(*scratch) string
	truth func(*scratch) bool
	// key is set where the expression is one key and nothing else.
	key *field
	// constant is the text of a literal.
	constant *string
	keys     []*field
	// batch says that it mentions the batch size of the point's own backend.
	batch bool
}

// scratch is what an expression is evaluated over.
type scratch struct {
	*settings
	// undefined is set by a division by zero.
	undefined bool
}

// batchName stands for the batch size of the point's own backend.
const batchName = "batch"

// syntaxError is a mistake in an expression, at a range of runes.
type syntaxError struct {
	from, width int
	msg, hint   string
}

func (e *syntaxError) Error() string { return e.msg }

// Limits of an expression.
const (
	maxExpression = 4096
	maxDepth      = 64
)

// compile reads an expression:
//
//	or      = and {"or" and}
//	and     = not {"and" not}
//	not     = "not" not | compare
//	compare = sum [("==" | "!=" | "<" | "<=" | ">" | ">=") sum | ["not"] "in" "(" sum {"," sum} ")"]
//	sum     = term {("+" | "-") term}
//	term    = unary {("*" | "/" | "%") unary}
//	unary   = "-" unary | number | "text" | 'text' | true | false | key | "(" or ")"
func (k *keys) compile(text string) (*expression, error) {
	if utf8.RuneCountInString(text) > maxExpression {
		return nil, &syntaxError{msg: fmt.Sprintf("is longer than %d characters", maxExpression)}
	}
	tokens, err := lex(text)
	if err != nil {
		return nil, err
	}
	p := &parser{grammar: k, tokens: tokens}
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != endToken {
		return nil, p.unexpected(t)
	}
	slices.SortFunc(p.keys, func(a, b *field) int { return strings.Compare(a.key, b.key) })
	e.keys, e.batch = slices.Compact(p.keys), p.batch
	return e, nil
}

// compileCondition reads an expression that is true or false.
func (k *keys) compileCondition(text string) (*expression, error) {
	e, err := k.compile(text)
	if err == nil && e.basic != grammar.IsBool {
		return nil, &syntaxError{width: utf8.RuneCountInString(text),
			msg: fmt.Sprintf("is %s; want a condition",
				e.basic), hint: "compare it with something, as in workload.prompts <= 64"}
	}
	return e, err
}

func comparison(sign, left, right token, e, f *expression) (*expression, error) {
	if e.basic != f.basic {
		return nil, &syntaxError{left.from, right.from + right.width - left.from,
			fmt.Sprintf("compares %s with %s", e.basic, f.basic), quoteHint(right, f)}
	}
	for _, pair := range []struct {
		at    token
		key   *field
		value *string
	}{{right, e.key, f.constant}, {left, f.key, e.constant}} {
		if pair.key != nil && pair.value != nil && pair.key.kind.Enum != nil &&
			!slices.Contains(pair.key.kind.Enum, *pair.value) {
			hint := ""
			if meant := near.Best(*pair.value, pair.key.kind.Enum); meant != "" {
				hint = fmt.Sprintf("did you mean %q?", meant)
			}
			return nil, &syntaxError{pair.at.from, pair.at.width,
				fmt.Sprintf("compares %s with %q, which it never is; it is %s", pair.key.key, *pair.value,
					pair.key.kind.Want), hint}
		}
	}
	out := &expression{basic: grammar.IsBool}
	switch e.basic {
	case grammar.IsNumber:
		out.truth = compareNumbers(sign.text, e.num, f.num)
		return out, nil
	case grammar.IsText:
		a, b := e.str, f.str
		out.truth = func(s *scratch) bool { return a(s) == b(s) }
	case grammar.IsBool:
		a, b := e.truth, f.truth
		out.truth = func(s *scratch) bool { return a(s) == b(s) }
	}
	switch sign.text {
	case "==":
	case "!=":
		same := out.truth
		out.truth = func(s *scratch) bool { return !same(s) }
	default:
		return nil, &syntaxError{sign.from, sign.width, fmt.Sprintf("orders %s with %q", plural(e.basic), sign.text),
			"only numbers have an order; use ==, != or in"}
	}
	return out, nil
}

// quoteHint helps where a number in quotes, or a text without them, was compared.
func quoteHint(t token, e *expression) string {
	if e.constant != nil && t.kind == textToken {
		if _, err := grammar.ParseNumber(t.text); err == nil {
			return "write the number without quotes"
		}
	}
	return ""
}

func compareNumbers(sign string, a, b func(*scratch) float64) func(*scratch) bool {
	switch sign {
	case "==":
		return func(s *scratch) bool { return a(s) == b(s) }
	case "!=":
		return func(s *scratch) bool { return a(s) != b(s) }
	case "<":
		return func(s *scratch) bool { return a(s) < b(s) }
	case "<=":
		return func(s *scratch) bool { return a(s) <= b(s) }
	case ">":
		return func(s *scratch) bool { return a(s) > b(s) }
	}
	return func(s *scratch) bool { return a(s) >= b(s) }
}

func calculate(sign string, a, b func(*scratch) float64) func(*scratch) float64 {
	switch sign {
	case "+":
		return func(s *scratch) float64 { return a(s) + b(s) }
	case "-":
		return func(s *scratch) float64 { return a(s) - b(s) }
	case "*":
		return func(s *scratch) float64 { return a(s) * b(s) }
	}
	return func(s *scratch) float64 {
		x, y := a(s), b(s)
		switch {
		case y == 0:
			s.undefined = true
			return 0
		case sign == "%":
			return math.Mod(x, y)
		}
		return x / y
	}
}

// speaksOf says whether the expression is about points of a backend: it mentions keys
// of its section, or of no section at all.
func (e *expression) speaksOf(backend string) bool {
	mentions := false
	for _, f := range e.keys {
		if f.section == backend {
			return true
		}
		mentions = mentions || f.section != ""
	}
	return !mentions
}
