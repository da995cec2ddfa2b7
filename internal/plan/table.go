package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/table"
)

// usualWidth is the default width of a terminal.
const usualWidth = 80

// table lists the points by the keys that vary.
func (p *Plan) table(width int) string {
	if len(p.Shown) == 0 {
		return ""
	}
	head, rows := p.rows().Lines(width)
	if tooWide(head, rows, width) { // an id is as short as in the order; the errors name what fits
		head, rows = p.rows().narrowed().Lines(width)
	}
	text := "\n" + head + "\n" + strings.Join(rows, "\n") + "\n"
	if n := p.Points - len(p.Shown); n > 0 {
		text += table.Fold(fmt.Sprintf("  … and %d more (--limit 0 shows all, --only TEXT some)\n", n), width)
	}
	return text
}

// tooWide reports whether a line is wider than a width.
func tooWide(head string, rows []string, width int) bool {
	return slices.ContainsFunc(strings.Split(head+"\n"+strings.Join(rows, "\n"), "\n"),
		func(line string) bool { return table.Width(line) > width })
}

// rows returns the points with their needs and whether they can run.
func (p *Plan) rows() pointTable {
	heads := p.naming.Heads()
	out := pointTable{table.Table{Head: append(heads, "id"),
		Names: len(heads), Title: "experiment", Indent: 2, Text: true}}
	estimated := slices.ContainsFunc(p.Shown, func(q Point) bool { return q.Need != nil })
	loads := p.Load != nil
	if loads {
		out.Head = append(out.Head, "requests", "arrive")
	}
	if estimated {
		out.Head = append(out.Head, "memory", "fits", "time", "energy")
	}
	out.Head = append(out.Head, "runs?")
	for _, q := range p.Shown {
		row := append(slices.Clone(q.names), q.ID)
		if loads {
			row = append(row, q.Load.cells()...)
		}
		if estimated {
			row = append(row, p.cells(q)...)
		}
		verdict := "yes"
		short := slices.Clone(q.short)
		if q.Need != nil && !q.Need.Fits {
			short = append(short, "memory")
		}
		switch {
		case len(short) > 0:
			verdict = "no: " + strings.Join(short, ", ")
		case q.unknown:
			verdict = "?"
		}
		out.Rows = append(out.Rows, append(row, verdict))
	}
	return out
}

// pointTable is the table of the points.
type pointTable struct{ table.Table }

// narrowed returns the table with ids of four characters, without the column that tells what fits.
func (t pointTable) narrowed() table.Table {
	out := t.Table
	fits := slices.Index(t.Head, "fits")
	drop := func(row []string) []string {
		row = slices.Clone(row)
		if fits >= 0 {
			row = slices.Delete(row, fits, fits+1)
		}
		return row
	}
	out.Head, out.Rows = drop(t.Head), make([][]string, len(t.Rows))
	for i, r := range t.Rows {
		out.Rows[i] = drop(r)
		out.Rows[i][t.Names] = r[t.Names][:min(idDigits, len(r[t.Names]))]
	}
	return out
}

// idDigits is how many digits of an id name an experiment where there is little room.
const idDigits = 4

// cells returns memory, whether it fits, time and energy of a point.
func (p *Plan) cells(q Point) []string {
	n := q.Need
	switch {
	case n == nil && q.unknown:
		return []string{"?", "?", "–", "–"}
	case n == nil:
		return []string{"–", "–", "–", "–"}
	}
	memory := digits.Bytes(n.Needed).String()
	if n.Devices > 1 {
		memory = fmt.Sprintf("%d × %s", n.Devices, memory)
	}
	fits := "yes"
	switch {
	case !n.Fits && n.Batch > 0:
		fits = fmt.Sprintf("batch ≤ %d", n.Batch)
	case !n.Fits:
		fits = "no"
	case n.Unknown:
		fits = "?"
	case n.Tight:
		fits = "tight"
	}
	return []string{memory, fits, digits.Rough(digits.Duration(n.Seconds)), p.energy(n.Joules / joulesPerKWh)}
}

// mostReasons bounds the points that are named with their reason.
const mostReasons = 5

// reasons prints what makes the estimates uncertain.
func (p *Plan) reasons(b *strings.Builder) {
	var doubts []string
	for _, q := range p.Shown {
		if q.Need == nil {
			continue
		}
		for _, w := range q.Need.Warnings {
			if !slices.Contains(doubts, w) {
				doubts = append(doubts, w)
			}
		}
	}
	for _, w := range doubts {
		fmt.Fprintf(b, "  estimates: %s\n", w)
	}
}

// unfit prints in full why points do not fit.
func (p *Plan) unfit(b *strings.Builder) {
	n := 0
	for _, q := range p.Shown {
		if q.Need == nil || q.Need.Fits {
			continue
		}
		if n++; n > mostReasons {
			continue
		}
		finding(b, "error", q.ID[:4]+" does not fit into memory: "+q.Need.Why, q.Need.Next)
	}
	if n > mostReasons {
		fmt.Fprintf(b, "  … and %d more that do not fit\n", n-mostReasons)
	}
}

// finding prints a problem and its next step.
func finding(b *strings.Builder, word, message, next string) {
	fmt.Fprintf(b, "%s: %s\n", word, message)
	if next != "" {
		fmt.Fprintf(b, "  next: %s\n", next)
	}
}
