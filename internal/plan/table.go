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
func (p *Plan) table(b *strings.Builder, width int) {
	if len(p.Shown) == 0 {
		return
	}
	head, rows := p.rows().Lines(width)
	b.WriteString("\n" + head + "\n" + strings.Join(rows, "\n") + "\n")
	if n := p.Points - len(p.Shown); n > 0 {
		fmt.Fprintf(b, "  … and %d more (--limit 0 shows all, --only TEXT some)\n", n)
	}
	p.reasons(b, width)
}

// rows returns the points with their needs and whether they can run.
func (p *Plan) rows() table.Table {
	heads := p.naming.Heads()
	out := table.Table{Head: append(heads, "id"), Names: len(heads), Title: "experiment", Indent: 2, Text: true}
	estimated := slices.ContainsFunc(p.Shown, func(q Point) bool { return q.Need != nil })
	if estimated {
		out.Head = append(out.Head, "memory", "fits", "time", "energy")
	}
	out.Head = append(out.Head, "runs?")
	for _, q := range p.Shown {
		row := append(slices.Clone(q.names), q.ID)
		if estimated {
			row = append(row, q.cells()...)
		}
		verdict := "yes"
		switch {
		case len(q.short) > 0:
			verdict = "no: " + strings.Join(q.short, ", ")
		case q.Need != nil && !q.Need.Fits:
			verdict = "no: memory"
		case q.unknown:
			verdict = "?"
		}
		out.Rows = append(out.Rows, append(row, verdict))
	}
	return out
}

// cells returns memory, whether it fits, time and energy.
func (q Point) cells() []string {
	n := q.Need
	switch {
	case n == nil && q.unknown:
		return []string{"?", "?", "–", "–"}
	case n == nil:
		return []string{"–", "–", "–", "–"}
	}
	memory := digits.Bytes(n.Bytes).String()
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
	return []string{memory, fits, roughly(digits.Duration(n.Seconds)), wattHours(n.Joules / joulesPerKWh)}
}

// mostReasons bounds the points that are named with their reason.
const mostReasons = 5

// reasons prints what makes the estimates uncertain.
func (p *Plan) reasons(b *strings.Builder, width int) {
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
		b.WriteString(table.Wrap("  estimates: ", "    ", w, width))
	}
}

// unfit prints in full why points do not fit.
func (p *Plan) unfit(b *strings.Builder, width int) {
	n := 0
	for _, q := range p.Shown {
		if q.Need == nil || q.Need.Fits {
			continue
		}
		if n++; n > mostReasons {
			continue
		}
		finding(b, width, "error", q.ID[:4]+" does not fit into memory: "+q.Need.Why, q.Need.Next)
	}
	if n > mostReasons {
		fmt.Fprintf(b, "  … and %d more that do not fit\n", n-mostReasons)
	}
}

// finding prints a problem and its next step. The next step is not broken into lines: it may be a command to paste.
func finding(b *strings.Builder, width int, word, message, next string) {
	b.WriteString(table.Wrap(word+": ", "  ", message, width))
	if next != "" {
		fmt.Fprintf(b, "  next: %s\n", next)
	}
}
