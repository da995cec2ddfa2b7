// Package expression compiles the conditions and links of a sweep: arithmetic and
// comparisons over the keys of a study, without side effects.
package expression

import (
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"
)

type tokenKind int

const (
	endToken tokenKind = iota
	numberToken
	textToken
	nameToken
	signToken
)

type token struct {
	kind        tokenKind
	text        string
	from, width int
}

func (t token) is(signs ...string) bool {
	return (t.kind == signToken || t.kind == nameToken) && slices.Contains(signs, t.text)
}

// twoSigns are the signs of two characters; signs of other languages have a hint.
var twoSigns = []string{"==", "!=", "<=", ">=", "&&", "||", "<>", "=>", "=<", "**", "//"}

func lex(text string) ([]token, error) {
	var out []token
	runes := []rune(text)
	for i := 0; i < len(runes); {
		r, start := runes[i], i
		switch {
		case unicode.IsSpace(r):
			i++
			continue
		case r == '"' || r == '\'':
			for i++; i < len(runes) && runes[i] != r; i++ {
			}
			if i == len(runes) {
				return nil, &SyntaxError{start, len(runes) - start, "has an unterminated text",
					fmt.Sprintf("close it with %c", r)}
			}
			i++
			out = append(out, token{textToken, string(runes[start+1 : i-1]), start, i - start})
		case isDigit(r) || r == '.' && i+1 < len(runes) && isDigit(runes[i+1]):
			i = endOfNumber(runes, i)
			out = append(out, token{numberToken, string(runes[start:i]), start, i - start})
		case isNameRune(r) && r != '.':
			for i < len(runes) && isNameRune(runes[i]) {
				i++
			}
			out = append(out, token{nameToken, string(runes[start:i]), start, i - start})
		default:
			i++
			if i < len(runes) && slices.Contains(twoSigns, string(runes[start:i+1])) {
				i++
			}
			out = append(out, token{signToken, string(runes[start:i]), start, i - start})
		}
	}
	return append(out, token{kind: endToken, from: len(runes), width: 1}), nil
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

func isNameRune(r rune) bool {
	return r == '_' || r == '.' || r < utf8.RuneSelf && unicode.IsLetter(r) || isDigit(r)
}

// endOfNumber consumes digits, letters and dots, so that 10k is one wrong number and not a number and a name, and
// the sign of an exponent.
func endOfNumber(runes []rune, i int) int {
	for i < len(runes) {
		sign := (runes[i] == '+' || runes[i] == '-') && (runes[i-1] == 'e' || runes[i-1] == 'E') &&
			i+1 < len(runes) && isDigit(runes[i+1])
		if i > 0 && sign || isNameRune(runes[i]) {
			i++
			continue
		}
		break
	}
	return i
}
