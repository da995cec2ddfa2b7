package expression

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/near"
	"github.com/llenergymeasure/llem/internal/study/keys"
)

type parser struct {
	set    *keys.Set
	tokens []token
	at     int
	depth  int
	keys   []*keys.Field
	batch  bool
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != endToken {
		p.at++
	}
	return t
}

// take consumes the next token if it is one of the signs or words.
func (p *parser) take(signs ...string) (token, bool) {
	if t := p.peek(); t.is(signs...) {
		return p.next(), true
	}
	return token{}, false
}

// foreign maps signs of other languages to what to write here.
var foreign = map[string]string{
	"=": "to compare, write ==", "&&": "write and", "||": "write or", "&": "write and", "|": "write or",
	"!": "write not", "<>": "write !=",
	"=>": "write >=", "=<": "write <=", "**": "write a product", "^": "write a product", "//": "write /",
	"[": "write a list in parentheses, as in dtype in (\"float16\", \"bfloat16\")",
}

func (p *parser) unexpected(t token) error {
	if t.kind == endToken {
		return &SyntaxError{max(0, t.from-1), 1, "ends too early",
			"add what is missing, or quote the whole expression if YAML cut it off"}
	}
	return &SyntaxError{t.from, t.width, fmt.Sprintf("has an unexpected %q", t.text), foreign[t.text]}
}

func (p *parser) enter(t token) error {
	if p.depth++; p.depth > maxDepth {
		return &SyntaxError{t.from, t.width, fmt.Sprintf("is nested more than %d deep", maxDepth),
			"split it into several conditions"}
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

func (p *parser) or() (*Expression, error) { return p.logic("or", p.and) }

func (p *parser) and() (*Expression, error) { return p.logic("and", p.not) }

// logic reads operands that are joined by a word.
func (p *parser) logic(word string, operand func() (*Expression, error)) (*Expression, error) {
	if err := p.enter(p.peek()); err != nil {
		return nil, err
	}
	defer p.leave()
	left := p.peek()
	e, err := operand()
	if err != nil {
		return nil, err
	}
	for {
		sign, ok := p.take(word)
		if !ok {
			return e, nil
		}
		right := p.peek()
		f, err := operand()
		if err != nil {
			return nil, err
		}
		if err := p.both(sign, left, right, e, f, grammar.IsBool); err != nil {
			return nil, err
		}
		a, b := e.truth, f.truth
		e = &Expression{Basic: grammar.IsBool, truth: func(s *Scratch) bool { return a(s) && b(s) }}
		if word == "or" {
			e.truth = func(s *Scratch) bool { return a(s) || b(s) }
		}
	}
}

// both requires two operands of one type.
func (p *parser) both(sign, left, right token, e, f *Expression, want grammar.Basic) error {
	for _, side := range []struct {
		at token
		e  *Expression
	}{{left, e}, {right, f}} {
		if side.e.Basic != want {
			return &SyntaxError{side.at.from, side.at.width,
				fmt.Sprintf("has %s beside %q, which takes %s", side.e.Basic, sign.text, plural(want)), ""}
		}
	}
	return nil
}

func plural(b grammar.Basic) string { return [...]string{"texts", "numbers", "conditions"}[b] }

func (p *parser) not() (*Expression, error) {
	t, ok := p.take("not")
	if !ok {
		return p.compare()
	}
	if err := p.enter(t); err != nil {
		return nil, err
	}
	defer p.leave()
	at := p.peek()
	e, err := p.not()
	if err != nil {
		return nil, err
	}
	if e.Basic != grammar.IsBool {
		return nil, &SyntaxError{at.from, at.width,
			fmt.Sprintf("has %s after \"not\", which takes a condition", e.Basic), ""}
	}
	a := e.truth
	return &Expression{Basic: grammar.IsBool, truth: func(s *Scratch) bool { return !a(s) }}, nil
}

var comparisons = []string{"==", "!=", "<", "<=", ">", ">="}

func (p *parser) compare() (*Expression, error) {
	at := p.peek()
	e, err := p.sum()
	if err != nil {
		return nil, err
	}
	var result *Expression
	if sign, ok := p.take(comparisons...); ok {
		right := p.peek()
		f, err := p.sum()
		if err != nil {
			return nil, err
		}
		if result, err = comparison(sign, at, right, e, f); err != nil {
			return nil, err
		}
	} else if negate, isIn := p.membership(); isIn {
		if result, err = p.list(e, at, negate); err != nil {
			return nil, err
		}
	} else {
		return e, nil
	}
	if t := p.peek(); t.is(comparisons...) {
		return nil, &SyntaxError{t.from, t.width, "has two comparisons in a row", "join them: a <= b and b <= c"}
	}
	return result, nil
}

// membership reads "in" or "not in".
func (p *parser) membership() (negate, ok bool) {
	if _, ok := p.take("in"); ok {
		return false, true
	}
	if p.peek().is("not") && p.tokens[p.at+1].is("in") {
		p.at += 2
		return true, true
	}
	return false, false
}

// list reads the values after "in".
func (p *parser) list(e *Expression, at token, negate bool) (*Expression, error) {
	if t := p.next(); !t.is("(") {
		return nil, &SyntaxError{t.from, t.width, "has no list after \"in\"", foreign["["]}
	}
	var tests []func(*Scratch) bool
	equal := token{kind: signToken, text: "=="}
	for {
		right := p.peek()
		f, err := p.sum()
		if err != nil {
			return nil, err
		}
		c, err := comparison(equal, at, right, e, f)
		if err != nil {
			return nil, err
		}
		tests = append(tests, c.truth)
		if t := p.next(); t.is(")") {
			break
		} else if !t.is(",") {
			return nil, p.unexpected(t)
		}
	}
	return &Expression{Basic: grammar.IsBool, truth: func(s *Scratch) bool {
		for _, test := range tests {
			if test(s) {
				return !negate
			}
		}
		return negate
	}}, nil
}

func (p *parser) sum() (*Expression, error) { return p.arithmetic(p.term, "+", "-") }

func (p *parser) term() (*Expression, error) { return p.arithmetic(p.unary, "*", "/", "%") }

func (p *parser) arithmetic(operand func() (*Expression, error), signs ...string) (*Expression, error) {
	left := p.peek()
	e, err := operand()
	if err != nil {
		return nil, err
	}
	for {
		sign, ok := p.take(signs...)
		if !ok {
			return e, nil
		}
		right := p.peek()
		f, err := operand()
		if err != nil {
			return nil, err
		}
		if err := p.both(sign, left, right, e, f, grammar.IsNumber); err != nil {
			return nil, err
		}
		e = &Expression{Basic: grammar.IsNumber, num: calculate(sign.text, e.num, f.num)}
	}
}

func (p *parser) unary() (*Expression, error) {
	t := p.next()
	if err := p.enter(t); err != nil {
		return nil, err
	}
	defer p.leave()
	switch {
	case t.is("-"):
		at := p.peek()
		e, err := p.unary()
		if err != nil {
			return nil, err
		}
		if e.Basic != grammar.IsNumber {
			return nil, &SyntaxError{at.from, at.width,
				fmt.Sprintf("has %s after \"-\", which takes a number", e.Basic), ""}
		}
		a := e.num
		return &Expression{Basic: grammar.IsNumber, num: func(s *Scratch) float64 { return -a(s) }}, nil
	case t.is("("):
		e, err := p.or()
		if err != nil {
			return nil, err
		}
		if end := p.next(); !end.is(")") {
			return nil, p.unexpected(end)
		}
		return e, nil
	case t.kind == numberToken:
		f, err := grammar.ParseNumber(t.text)
		if err != nil {
			return nil, &SyntaxError{t.from, t.width, fmt.Sprintf("has the number %q, which cannot be read", t.text),
				grammar.NumberHint(t.text, err)}
		}
		return &Expression{Basic: grammar.IsNumber, num: func(*Scratch) float64 { return f }}, nil
	case t.kind == textToken:
		return &Expression{Basic: grammar.IsText, constant: &t.text, str: func(*Scratch) string { return t.text }}, nil
	case t.is("true", "false"):
		b := t.text == "true"
		return &Expression{Basic: grammar.IsBool, constant: &t.text, truth: func(*Scratch) bool { return b }}, nil
	case t.kind == nameToken:
		return p.name(t)
	}
	return nil, p.unexpected(t)
}

// batchOf returns the batch size of a point's own backend.
func (p *parser) batchOf(s *Scratch) int64 {
	return p.set.Batch[p.set.Backend.Get(s.Values).Text].Get(s.Values).Whole
}

// name reads a key.
func (p *parser) name(t token) (*Expression, error) {
	if t.is("and", "or", "not", "in") {
		return nil, p.unexpected(t)
	}
	if t.text == batchName {
		p.batch = true
		return &Expression{Basic: grammar.IsNumber,
			num: func(s *Scratch) float64 { return float64(p.batchOf(s)) }}, nil
	}
	f, ok := p.set.Lookup(t.text)
	if !ok {
		return nil, &SyntaxError{t.from, t.width, fmt.Sprintf("has the unknown key %q", t.text), p.nameHint(t.text)}
	}
	p.keys = append(p.keys, f)
	e := &Expression{Basic: f.Kind.Basic, key: f}
	switch f.Kind.Basic {
	case grammar.IsNumber:
		e.num = func(s *Scratch) float64 { return f.Get(s.Values).Number }
	case grammar.IsText:
		e.str = func(s *Scratch) string { return f.Get(s.Values).Text }
	case grammar.IsBool:
		e.truth = func(s *Scratch) bool { return f.Get(s.Values).Text == grammar.True }
	}
	return e, nil
}

// nameHint returns a hint for an unknown key, or for a text without quotes.
func (p *parser) nameHint(name string) string {
	for _, f := range p.set.Fields {
		if slices.Contains(f.Kind.Enum, name) {
			return "a text needs quotes: " + strconv.Quote(name)
		}
	}
	if strings.Contains(name, batchName) && !strings.Contains(name, ".") {
		return "did you mean " + batchName + ", the batch size of the point's own backend?"
	}
	var names []string
	for _, f := range p.set.Fields {
		names = append(names, f.Key)
	}
	if meant := near.Best(name, append(names, batchName)); meant != "" {
		return fmt.Sprintf("did you mean %s?", meant)
	}
	for _, key := range names {
		if strings.HasSuffix(key, "."+name) {
			return fmt.Sprintf("did you mean %s?", key)
		}
	}
	return "use the dotted name of a key, such as workload.input_tokens, or " + batchName
}
