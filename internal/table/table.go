// Package table writes rows in columns, for all that prints them: reports, plans and settings. Its leading columns
// name the rows. Where a terminal is too narrow, names are cut, but never so that two of a column become equal; where
// that is not enough, they stand as NAME=VALUE below each other in one column, or else in lines of their own above
// the figures.
package table

import (
	"slices"
	"strings"
)

// Table is a head and rows of as many cells.
type Table struct {
	Head []string
	Rows [][]string
	// Names is how many leading columns name the row; they are aligned left, and an empty cell has no such value. The
	// others are figures, aligned right.
	Names int
	// Title heads the names where they share a column.
	Title string
	// Text marks the last column as text: it is aligned left.
	Text bool
	// Indent is how many blanks stand before each row, and Outdent how many fewer before the head.
	Indent, Outdent int
}

// Missing stands for a value that is not there.
const Missing = "–"

// gap is the number of blanks between columns; narrow is the number if the table would not fit.
const gap, narrow = 2, 1

// floor is the width to which names and their heads may be cut.
const floor = 12

// DropEmpty leaves out figures that no row has, but for those under heads that are to be kept.
func (t Table) DropEmpty(kept ...string) Table {
	keep := func(column int) bool {
		return column < t.Names || slices.Contains(kept, t.Head[column]) ||
			slices.ContainsFunc(t.Rows, func(r []string) bool { return r[column] != Missing })
	}
	pick := func(row []string) []string {
		var out []string
		for i, c := range row {
			if keep(i) {
				out = append(out, c)
			}
		}
		return out
	}
	out := t
	out.Head, out.Rows = pick(t.Head), make([][]string, len(t.Rows))
	for i, r := range t.Rows {
		out.Rows[i] = pick(r)
	}
	return out
}

// Lines lays the table out in lines of a width; 0 does not limit it. A row may take several lines, which have newlines
// between them.
func (t Table) Lines(width int) (head string, rows []string) {
	t = t.clean()
	widths := t.widths()
	switch {
	case width <= 0 || t.total(widths, gap) <= width:
		return t.print(widths, gap)
	case t.total(widths, narrow) <= width:
		return t.print(widths, narrow)
	}
	if cut, ok := t.cut(widths, width); ok {
		return cut.print(cut.widths(), narrow)
	}
	return t.stack(width)
}

// clean makes one line of each cell, and marks names that are not there.
func (t Table) clean() Table {
	out := t
	out.Head, out.Rows = slices.Clone(t.Head), make([][]string, len(t.Rows))
	for i, r := range t.Rows {
		out.Rows[i] = make([]string, len(r))
		for j, c := range r {
			if out.Rows[i][j] = oneLine(c); c == "" && j < t.Names {
				out.Rows[i][j] = Missing
			}
		}
	}
	return out
}

func (t Table) widths() []int {
	widths := make([]int, len(t.Head))
	for _, r := range append([][]string{t.Head}, t.Rows...) {
		for i, c := range r {
			widths[i] = max(widths[i], Width(c))
		}
	}
	return widths
}

func (t Table) total(widths []int, gap int) int {
	n := t.Indent - gap
	for _, w := range widths {
		n += gap + w
	}
	return n
}

// print writes the rows, and the head in the same columns.
func (t Table) print(widths []int, gap int) (head string, rows []string) {
	line := func(indent int, row []string) string {
		var b strings.Builder
		b.WriteString(blanks(indent))
		for i, c := range row {
			if i > 0 {
				b.WriteString(blanks(gap))
			}
			switch w := widths[i]; {
			case i == 0 && t.Names > 0:
				b.WriteString(Pad(c, w+t.Indent-indent))
			case i < t.Names || t.Text && i == len(row)-1:
				b.WriteString(Pad(c, w))
			default:
				b.WriteString(padLeft(c, w))
			}
		}
		return strings.TrimRight(b.String(), " ")
	}
	for _, r := range t.Rows {
		rows = append(rows, line(t.Indent, r))
	}
	return line(t.Indent-t.Outdent, t.Head), rows
}

// column is a column's cells without the head.
func (t Table) column(i int) []string {
	out := make([]string, len(t.Rows))
	for k, r := range t.Rows {
		out[k] = r[i]
	}
	return out
}

// cut shortens names and their heads, the widest first, until the table fits.
func (t Table) cut(widths []int, width int) (Table, bool) {
	widths = slices.Clone(widths)
	lowest := make([]int, t.Names)
	heads := least(t.Head[:t.Names], floor)
	for i := range lowest {
		lowest[i] = max(least(t.column(i), floor), min(Width(t.Head[i]), heads))
	}
	for t.total(widths, narrow) > width {
		widest := -1
		for i := range lowest {
			if widths[i] > lowest[i] && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return t, false
		}
		widths[widest]--
	}
	out := t.clean()
	short := shortened(t.Head[:t.Names], floor)
	for i := range lowest {
		if Width(t.Head[i]) > widths[i] {
			out.Head[i] = short[t.Head[i]]
		}
		for k, s := range Shorten(t.column(i), widths[i]) {
			out.Rows[k][i] = s
		}
	}
	return out, true
}

// stack writes the names as NAME=VALUE, below each other in the first column if it has the room, or else above the
// figures.
func (t Table) stack(width int) (head string, rows []string) {
	pairs, longest := t.pairs(width - t.Indent)
	figures := t.figures()
	room := width - figures.total(figures.widths(), gap) - gap
	lines := make([][]string, len(pairs))
	for i, p := range pairs {
		if room < longest {
			lines[i] = packed(p, width-t.Indent)
		} else {
			lines[i] = packed(p, room)
		}
	}
	if room < longest {
		return figures.below(lines, width)
	}
	figures.Names, figures.Head = 1, append([]string{t.Title}, figures.Head...)
	for i, r := range figures.Rows {
		figures.Rows[i] = append([]string{strings.Join(lines[i][:min(1, len(lines[i]))], "")}, r...)
	}
	widths := figures.widths()
	for _, own := range lines {
		for _, l := range own {
			widths[0] = max(widths[0], Width(l))
		}
	}
	head, rows = figures.print(widths, gap)
	for i := range rows {
		for _, l := range lines[i][min(1, len(lines[i])):] {
			rows[i] += "\n" + blanks(t.Indent) + l
		}
	}
	return head, rows
}

// figures is the table without its names.
func (t Table) figures() Table {
	out := t
	out.Names, out.Head, out.Rows = 0, t.Head[t.Names:], make([][]string, len(t.Rows))
	for i, r := range t.Rows {
		out.Rows[i] = r[t.Names:]
	}
	return out
}

// below prints the figures of each row below its lines.
func (t Table) below(lines [][]string, width int) (head string, rows []string) {
	widths, between := t.widths(), gap
	if t.total(widths, gap) > width {
		between = narrow
	}
	head, rows = t.print(widths, between)
	for i := range rows {
		for _, l := range slices.Backward(lines[i]) {
			rows[i] = blanks(t.Indent) + l + "\n" + rows[i]
		}
	}
	return head, rows
}

// packed are words in lines of a width.
func packed(words []string, width int) []string {
	return strings.Split(strings.TrimSuffix(wrap("", "", words, width), "\n"), "\n")
}

// pairs are the names of each row as NAME=VALUE in at most a width where that leaves them distinct, and the longest.
func (t Table) pairs(width int) (pairs [][]string, longest int) {
	pairs = make([][]string, len(t.Rows))
	for i, head := range t.Head[:t.Names] {
		for k, s := range Shorten(t.column(i), width-Width(head)-1) {
			if t.Rows[k][i] == Missing {
				continue
			}
			pair := s
			if head != "" {
				pair = head + "=" + s
			}
			pairs[k] = append(pairs[k], pair)
			longest = max(longest, Width(pair))
		}
	}
	return pairs, longest
}

// Markdown writes the table for a document.
func (t Table) Markdown() string {
	var b strings.Builder
	line := func(cells []string) {
		b.WriteString("|")
		for _, c := range cells {
			b.WriteString(" " + strings.ReplaceAll(c, "|", `\|`) + " |")
		}
		b.WriteString("\n")
	}
	t = t.clean()
	line(t.Head)
	b.WriteString("|" + strings.Repeat("---|", t.Names) + strings.Repeat("---:|", len(t.Head)-t.Names) + "\n")
	for _, r := range t.Rows {
		line(r)
	}
	return b.String()
}
