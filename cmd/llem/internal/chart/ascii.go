package chart

import "strings"

// plain are the ASCII texts of the characters that this program prints.
var plain = strings.NewReplacer("·", "|", "–", "-", "—", "-", "−", "-", "→", "->", "…", "..", "±", "+-", "µ", "u",
	"×", "x", "≤", "<=", "≥", ">=", "≠", "!=", "★", "*", "°", " deg ", "√", "sqrt ", "²", "^2", "█", "#", "▇", "#",
	"░", ".", "■", "#", "✗", "x", "▸", ">", "│", "|", "─", "-")

// Text returns a text in the characters of the style: in ASCII what has no counterpart there is a question mark.
func (s Style) Text(text string) string {
	if s != ASCII {
		return text
	}
	return strings.Map(func(r rune) rune {
		if r > '~' {
			return '?'
		}
		return r
	}, plain.Replace(text))
}
