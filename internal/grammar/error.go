package grammar

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/note"
)

// Error is one mistake in a study file or a setting: a note with a position.
type Error struct {
	note.Note
	// Source is the name of the file, or the flag with the text.
	Source string
	// Line and Col count from 1; both are 0 without a position.
	Line, Col int
	// Excerpt is the line of the source.
	Excerpt string
	// Width is how many columns the caret line marks.
	Width int
}

// Error returns "source:line:col: message".
func (e *Error) Error() string {
	pos := e.Source
	if e.Line > 0 {
		pos = fmt.Sprintf("%s:%d:%d", e.Source, e.Line, e.Col)
	}
	return pos + ": " + e.Message
}

// Detail adds the source line with a caret, and the next step.
func (e *Error) Detail() string {
	var b strings.Builder
	b.WriteString(e.Error())
	if e.Line > 0 && e.Excerpt != "" {
		line, col := window(e.Excerpt, e.Col)
		// Tabs keep their width, so that the caret is below its column.
		pad := strings.Map(func(r rune) rune {
			if r == '\t' {
				return r
			}
			return ' '
		}, prefix(line, col-1))
		fmt.Fprintf(&b, "\n  %4d | %s\n       | %s%s", e.Line, line, pad,
			strings.Repeat("^", min(max(1, e.Width), longestExcerpt)))
	}
	if e.Next != "" {
		b.WriteString("\n         " + e.Next)
	}
	return b.String()
}

// Of a long line this many characters are shown, some of them before the mistake.
const (
	longestExcerpt = 400
	shownBefore    = 60
)

// window returns the part of a line around a column, and the column's position in it.
func window(line string, col int) (part string, at int) {
	if len(line) <= longestExcerpt {
		return line, col
	}
	from := max(0, col-1-shownBefore)
	begin, n := len(line), 0
	for i := range line {
		if n == from {
			begin = i
		}
		if n == from+longestExcerpt {
			part = line[begin:i] + "…"
			break
		}
		n++
	}
	if part == "" {
		part = line[begin:]
	}
	if from == 0 {
		return part, col
	}
	return "…" + part, col - from + 1
}

// prefix returns the first n runes of s.
func prefix(s string, n int) string {
	r := []rune(s)
	return string(r[:max(0, min(n, len(r)))])
}

// Errors are all mistakes found, in the order of the sources.
type Errors []*Error

// Error lists the mistakes, each with its line and next step.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Detail()
	}
	return strings.Join(lines, "\n")
}

// Sorted orders the errors of each source by position, keeps the order of the sources, and removes duplicates.
func (es Errors) Sorted() Errors {
	order := map[string]int{}
	for _, e := range es {
		if _, ok := order[e.Source]; !ok {
			order[e.Source] = len(order)
		}
	}
	slices.SortStableFunc(es, func(a, b *Error) int {
		if a.Source != b.Source {
			return order[a.Source] - order[b.Source]
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Col - b.Col
	})
	return slices.CompactFunc(es, func(a, b *Error) bool { return *a == *b })
}

// Place returns the position of a value, without a message.
func (e *Error) Place() string {
	if e.Line == 0 {
		return e.Source
	}
	return fmt.Sprintf("%s:%d", e.Source, e.Line)
}
