package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/llenergymeasure/llem/unit"
)

// usualWidth of a terminal.
const usualWidth = 100

// table lists the points with the keys that vary. Where they do not fit into the width,
// the keys stand in lines of their own.
func (p *Plan) table(b *strings.Builder, width int) {
	if len(p.Shown) == 0 {
		return
	}
	keys := p.axisKeys()
	names := shortest(keys)
	estimated := slices.ContainsFunc(p.Shown, func(q Point) bool { return q.Need != nil })
	rows := p.rows(keys, names, estimated)
	var under [][]string
	if gridWidth(rows) > width {
		rows, under = p.rows(nil, nil, estimated), make([][]string, len(p.Shown))
		for i, q := range p.Shown {
			for j, key := range keys {
				if v := q.Values[key]; v != "" {
					under[i] = append(under[i], names[j]+"="+v)
				}
			}
		}
	}
	b.WriteString("\n")
	grid(b, rows, func(row int) {
		if row > 0 && under != nil {
			wrapped(b, under[row-1], width)
		}
	})
	if n := p.Points - len(p.Shown); n > 0 {
		fmt.Fprintf(b, "  … and %d more (--limit 0 shows all, --only TEXT some)\n", n)
	}
	p.reasons(b)
}

func (p *Plan) axisKeys() []string {
	var keys []string
	for _, a := range p.Axes {
		keys = append(keys, a.Key)
	}
	return keys
}

// shortest abbreviates dotted keys to their last part, where that names one of them.
func shortest(keys []string) []string {
	last := func(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }
	count := map[string]int{}
	for _, k := range keys {
		count[last(k)]++
	}
	out := make([]string, len(keys))
	for i, k := range keys {
		if out[i] = k; count[last(k)] == 1 {
			out[i] = last(k)
		}
	}
	return out
}

// rows are the cells of the table, its head first.
func (p *Plan) rows(keys, names []string, estimated bool) [][]string {
	head := append([]string{"id"}, names...)
	if estimated {
		head = append(head, "memory", "fits", "time", "energy")
	}
	rows := [][]string{append(head, "runs?")}
	for _, q := range p.Shown {
		row := []string{q.ID}
		for _, key := range keys {
			v := q.Values[key]
			if v == "" {
				v = "–"
			}
			row = append(row, v)
		}
		if estimated {
			row = append(row, q.Need.cells()...)
		}
		verdict := "yes"
		if len(q.short) > 0 {
			verdict = "no: " + strings.Join(q.short, ", ")
		} else if q.Need != nil && !q.Need.Fits {
			verdict = "no: memory"
		}
		rows = append(rows, append(row, verdict))
	}
	return rows
}

// cells are memory, whether it fits, time and energy.
func (n *Need) cells() []string {
	if n == nil {
		return []string{"–", "–", "–", "–"}
	}
	memory := unit.Bytes(n.Bytes).String()
	if n.Devices > 1 {
		memory = fmt.Sprintf("%d × %s", n.Devices, memory)
	}
	fits := "yes"
	switch {
	case !n.Fits && n.Batch > 0:
		fits = fmt.Sprintf("batch ≤ %d", n.Batch)
	case !n.Fits:
		fits = "no"
	case n.Tight:
		fits = "tight"
	}
	return []string{memory, fits, roughly(seconds(n.Seconds)), unit.SI(n.Joules, "J")}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// mostReasons is how many points are named with what they lack.
const mostReasons = 5

// reasons says in full why points do not fit, and what makes the estimates doubtful.
func (p *Plan) reasons(b *strings.Builder) {
	var unfit []Point
	var doubts []string
	for _, q := range p.Shown {
		if q.Need == nil {
			continue
		}
		if !q.Need.Fits {
			unfit = append(unfit, q)
		}
		for _, w := range q.Need.Warnings {
			if !slices.Contains(doubts, w) {
				doubts = append(doubts, w)
			}
		}
	}
	for i, q := range unfit {
		if i == mostReasons {
			fmt.Fprintf(b, "  … and %d more that do not fit\n", len(unfit)-i)
			break
		}
		fmt.Fprintf(b, "  %s does not fit: %s\n", q.ID[:4], q.Need.Why)
	}
	for _, w := range doubts {
		fmt.Fprintf(b, "  estimates: %s\n", w)
	}
}

// gridWidth is that of the widest line of a grid.
func gridWidth(rows [][]string) int {
	n := 0
	for _, w := range columnWidths(rows) {
		n += w + 2
	}
	return n
}

func columnWidths(rows [][]string) []int {
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	return widths
}

// grid prints rows in columns, the last one as it is, and calls after behind each.
func grid(b *strings.Builder, rows [][]string, after func(row int)) {
	widths := columnWidths(rows)
	for n, r := range rows {
		b.WriteString(" ")
		for i, c := range r {
			b.WriteString(" " + c)
			if i+1 < len(r) {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+1))
			}
		}
		b.WriteString("\n")
		after(n)
	}
}

// wrapped prints words in indented lines of the given width; a longer word stands alone.
func wrapped(b *strings.Builder, words []string, width int) {
	const indent = "     "
	at := 0
	for _, w := range words {
		n := utf8.RuneCountInString(w) + 1
		switch {
		case at > 0 && at+n <= width:
		case at > 0:
			b.WriteString("\n")
			fallthrough
		default:
			b.WriteString(indent)
			at = len(indent)
		}
		b.WriteString(" " + w)
		at += n
	}
	if at > 0 {
		b.WriteString("\n")
	}
}
