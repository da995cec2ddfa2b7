package plan

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/study"
)

// Text prints the plan for a person, in lines of the given width; 0 means the default width.
func (p *Plan) Text(w io.Writer, width int) error {
	width = cmp.Or(width, usualWidth)
	var head, rest strings.Builder
	p.head(&head)
	p.models(&head)
	p.reasons(&rest)
	p.order(&rest)
	p.left(&rest)
	p.unfit(&rest)
	for _, f := range p.Findings {
		word := "warning"
		if f.Error {
			word = "error"
		}
		finding(&rest, word, f.Message, f.Next)
	}
	rest.WriteString("dry run: no run was started\n")
	_, err := io.WriteString(w, table.Fold(head.String(), width)+p.table(width)+table.Fold(rest.String(), width))
	return err
}

func (p *Plan) head(b *strings.Builder) {
	name := p.Name
	if name == "" {
		name = "study"
	}
	runs := digits.Count(p.Runs, "run")
	if p.Shard != "" {
		name, runs = name+", "+p.Shard, fmt.Sprintf("%d of %s", p.Runs, digits.Count(p.InAll, "run"))
	}
	fmt.Fprintf(b, "%s: %s, %s, %s", name, digits.Count(p.Points, "experiment"), digits.Count(p.Cycles, "cycle"), runs)
	if p.MoreCycles > 0 {
		fmt.Fprintf(b, ", and up to %d more cycles until the requested precision is reached", p.MoreCycles)
	}
	b.WriteString("\n")
	for _, a := range p.Axes {
		more := ""
		if a.Count > len(a.Values) {
			more = fmt.Sprintf(", … %d in all", a.Count)
		}
		fmt.Fprintf(b, "  %s: %s%s\n", a.Key, strings.Join(a.Values, ", "), more)
	}
	p.Load.print(b)
	switch t := p.Totals; {
	case t != nil:
		fmt.Fprintf(b, "  %sabout %s and %s", p.Load.most(), digits.Rough(t.Duration()), p.energy(t.KWh))
		if t.Cost != nil {
			fmt.Fprintf(b, ", %s %s", digits.Significant(*t.Cost, 2), cmp.Or(t.Currency, "at the given price"))
		}
		sample := ""
		if t.Sample > 0 {
			sample = fmt.Sprintf(", from a sample of %d points", t.Sample)
		}
		fmt.Fprintf(b, " (modelled%s: %s)\n", sample, t.Basis)
		fmt.Fprintf(b, "  as a rough interval %s to %s and %s to %s\n",
			digits.Rough(digits.Duration(t.SecondsRange[0])),
			digits.Rough(digits.Duration(t.SecondsRange[1])), p.energy(t.KWhRange[0]), p.energy(t.KWhRange[1]))
	case p.Missing != "":
		fmt.Fprintf(b, "  no total of time and energy: %s\n", withoutHint(p.Missing))
	}
	p.canaries(b)
}

// mostOrdered bounds the runs of the order that are listed.
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
		fmt.Fprintf(b, "every run starts a new engine: %s\n", digits.Count(p.Runs, "start"))
	default:
		fmt.Fprintf(b, "one engine serves successive runs where possible: %s for %s%s\n",
			digits.Count(*p.Starts, "start"), digits.Count(p.Runs, "run"), p.fewer())
	}
}

// duplicates lists the points that equal an earlier one, each once.
func (p *Plan) duplicates(b *strings.Builder) {
	var order []study.Duplicate
	times := map[study.Duplicate]int{}
	for _, d := range p.Duplicates {
		if times[d]++; times[d] == 1 {
			order = append(order, d)
		}
	}
	for i, d := range order {
		if i == 5 {
			fmt.Fprintf(b, "  …\n")
			break
		}
		more := ""
		if n := times[d]; n > 1 {
			more = fmt.Sprintf(", %d times", n)
		}
		fmt.Fprintf(b, "  %s: in the run of %s%s\n", d.Point, d.ID, more)
	}
}

// left lists what the study leaves out.
func (p *Plan) left(b *strings.Builder) {
	b.WriteString("\n")
	for _, q := range []struct {
		n    int
		what string
	}{{p.Merged, "equal to an earlier one, and not run again"}, {p.Filtered, "left out by a condition"},
		{p.Refused, "cannot be run"}} {
		if q.n > 0 {
			fmt.Fprintf(b, "%s: %s\n", digits.Count(q.n, "point"), q.what)
		}
	}
	p.duplicates(b)
	for i, q := range p.Invalid {
		if i == mostReasons {
			fmt.Fprintf(b, "  … and %d more\n", p.Refused-mostReasons)
			break
		}
		finding(b, "error", q.Point+": "+q.Message, cmp.Or(q.Next, "change its values, or leave it out of the sweep"))
	}
	if len(p.Unused) > 0 {
		fmt.Fprintf(b, "ignored, because no backend of the study has these keys: %s\n", strings.Join(p.Unused, ", "))
	}
	if n := p.Points - p.Runnable; n > 0 {
		about := ""
		if p.Totals != nil && p.Totals.Sample > 0 {
			about = "about "
		}
		fmt.Fprintf(b, "%s%d of %s cannot run\n", about, n, digits.Count(p.Points, "experiment"))
	}
}

// leastWh is the energy of a study, in kWh, from which on its plan is in watt-hours: below, these would be thousandths.
const leastWh = 0.01

// energy formats an energy in kWh: in joules in the plan of a small study, else in watt-hours.
func (p *Plan) energy(kWh float64) string {
	if p.mostKWh() < leastWh {
		return digits.SI(kWh*joulesPerKWh, "J")
	}
	return digits.SI(1000*kWh, "Wh")
}

// mostKWh is the largest energy of the plan.
func (p *Plan) mostKWh() float64 {
	if p.Totals != nil {
		return p.Totals.KWh
	}
	most := 0.0
	for _, q := range p.Shown {
		if q.Need != nil {
			most = max(most, q.Need.Joules/joulesPerKWh)
		}
	}
	return most
}

// withoutHint returns a reason without the hint in brackets at its end, which the next step of its error has.
func withoutHint(reason string) string {
	if text, _, ok := strings.Cut(reason, " (did you mean "); ok {
		return text
	}
	return reason
}
