package plan

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/llenergymeasure/llem/unit"
)

// Text prints the plan for a person.
func (p *Plan) Text(w io.Writer) error {
	var b strings.Builder
	p.head(&b)
	p.table(&b)
	p.order(&b)
	p.left(&b)
	for _, f := range p.Findings {
		word := "warning"
		if f.Error {
			word = "error"
		}
		fmt.Fprintf(&b, "%s: %s\n", word, f.Text)
		if f.Next != "" {
			fmt.Fprintf(&b, "  next: %s\n", f.Next)
		}
	}
	b.WriteString("nothing was started (--dry-run)\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (p *Plan) head(b *strings.Builder) {
	name := p.Name
	if name == "" {
		name = "study"
	}
	fmt.Fprintf(b, "%s: %s, %s, %s", name, plural(p.Points, "experiment"), plural(p.Cycles, "cycle"), plural(p.Runs, "run"))
	if p.MoreCycles > 0 {
		fmt.Fprintf(b, ", and up to %d cycles more until the wanted precision is reached", p.MoreCycles)
	}
	b.WriteString("\n")
	for _, a := range p.Axes {
		more := ""
		if a.Count > len(a.Values) {
			more = fmt.Sprintf(", … %d in all", a.Count)
		}
		fmt.Fprintf(b, "  %s: %s%s\n", a.Key, strings.Join(a.Values, ", "), more)
	}
	switch t := p.Totals; {
	case t != nil:
		fmt.Fprintf(b, "  about %s and %.2g kWh", roughly(t.Duration()), t.KWh)
		if t.Cost != nil {
			fmt.Fprintf(b, ", %.2g at the stated price", *t.Cost)
		}
		fmt.Fprintf(b, " (modelled: %s, for %s)\n", t.Basis, p.Device)
	case p.Missing != "":
		fmt.Fprintf(b, "  no total of time and energy: %s\n", p.Missing)
	}
}

// table lists the points with the keys that vary.
func (p *Plan) table(b *strings.Builder) {
	if len(p.Shown) == 0 {
		return
	}
	head := []string{"id"}
	for _, a := range p.Axes {
		head = append(head, a.Key)
	}
	estimated := slices.ContainsFunc(p.Shown, func(q Point) bool { return q.Need != nil })
	if estimated {
		head = append(head, "memory", "time", "energy")
	}
	head = append(head, "runs?")
	rows := [][]string{head}
	for _, q := range p.Shown {
		row := []string{q.ID}
		for _, a := range p.Axes {
			v := q.Values[a.Key]
			if v == "" {
				v = "–"
			}
			row = append(row, v)
		}
		if estimated {
			memory, took, energy := "–", "–", "–"
			if n := q.Need; n != nil {
				memory, took, energy = unit.Bytes(n.Bytes).String(), roughly(time.Duration(n.Seconds*float64(time.Second))), unit.SI(n.Joules, "J")
			}
			row = append(row, memory, took, energy)
		}
		verdict := "yes"
		if q.Problem != "" {
			verdict = "no: " + q.Problem
		}
		rows = append(rows, append(row, verdict))
	}
	b.WriteString("\n")
	grid(b, rows)
	if n := p.Points - len(p.Shown); n > 0 {
		fmt.Fprintf(b, "  … and %d more (--limit 0 shows all, --only TEXT some)\n", n)
	}
}

// grid prints rows in columns, the last one as it is.
func grid(b *strings.Builder, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	for _, r := range rows {
		b.WriteString(" ")
		for i, c := range r {
			b.WriteString(" " + c)
			if i+1 < len(r) {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+1))
			}
		}
		b.WriteString("\n")
	}
}

// mostOrdered is how many runs of the order are named.
const mostOrdered = 12

func (p *Plan) order(b *strings.Builder) {
	if p.Runs < 2 || len(p.FirstRun) == 0 {
		return
	}
	short := map[string]string{}
	var names []string
	for _, r := range p.FirstRun {
		if len(names) == mostOrdered {
			break
		}
		if short[r.ID] == "" {
			short[r.ID] = r.ID[:min(4, len(r.ID))]
		}
		mark := ""
		if r.Start {
			mark = "+"
		}
		names = append(names, fmt.Sprintf("%s%s/%d", mark, short[r.ID], r.Cycle))
	}
	more := ""
	if p.Runs > len(names) {
		more = " …"
	}
	fmt.Fprintf(b, "\norder (%s, id/cycle, + starts an engine): %s%s\n", p.Order, strings.Join(names, " "), more)
	switch {
	case p.Starts == nil:
	case *p.Starts == p.Runs:
		fmt.Fprintf(b, "every run starts an engine of its own: %s\n", plural(p.Runs, "start"))
	default:
		fmt.Fprintf(b, "an engine serves runs in a row where it can: %s for %s\n", plural(*p.Starts, "start"), plural(p.Runs, "run"))
	}
}

// left lists what the study leaves out.
func (p *Plan) left(b *strings.Builder) {
	b.WriteString("\n")
	for _, q := range []struct {
		n    int
		what string
	}{{p.Merged, "merged with an equal one"}, {p.Filtered, "left out by a condition"}, {p.Refused, "cannot be run"}} {
		if q.n > 0 {
			fmt.Fprintf(b, "%s: %s\n", plural(q.n, "point"), q.what)
		}
	}
	for i, q := range p.Invalid {
		if i == 5 {
			fmt.Fprintf(b, "  …\n")
			break
		}
		fmt.Fprintf(b, "  %s: %s\n", q.Point, q.Reason)
	}
	if len(p.Unused) > 0 {
		fmt.Fprintf(b, "not used, since no backend of the study has them: %s\n", strings.Join(p.Unused, ", "))
	}
	if n := p.Points - p.Runnable; n > 0 {
		fmt.Fprintf(b, "%d of %s cannot run as things are\n", n, plural(p.Points, "experiment"))
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// roughly prints a duration with the precision of an estimate.
func roughly(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 72*time.Hour:
		return fmt.Sprintf("%.1f h", d.Hours())
	}
	return fmt.Sprintf("%.1f days", d.Hours()/24)
}
