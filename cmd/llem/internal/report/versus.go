package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/loads"
	"github.com/llenergymeasure/llem/cmd/llem/internal/versus"
	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/compare"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/metric"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/result"
)

// Versus is configuration B compared with A under load.
type Versus struct {
	*versus.Comparison
	Pair
}

// VersusOf describes a comparison under load with its sides.
func VersusOf(c *versus.Comparison, a, b versus.Side) *Versus {
	x, y := a.Group.Base, b.Group.Base
	x.Workload.SLO, y.Workload.SLO = x.Workload.SLO.Canonical(), y.Workload.SLO.Canonical()
	return &Versus{Comparison: c, Pair: Pair{A: sideOf(a), B: sideOf(b), ExcludedA: a.Excluded(),
		ExcludedB: b.Excluded(), Differ: Differing(x, y)}}
}

// sideOf is a side in a line.
func sideOf(s versus.Side) string {
	var runs []*result.Record
	for _, p := range s.Group.Points {
		runs = append(runs, p.Runs...)
	}
	text := digits.Count(len(s.Group.Points), "load") + ", " + digits.Count(len(runs), "run")
	if len(runs) == 0 {
		return text
	}
	r := runs[0]
	w := r.Config.Workload
	head := []string{r.Config.Model, strings.TrimSpace(r.Backend.Name + " " + r.Backend.Version), view.DType(r),
		fmt.Sprintf("%d→%d tokens", w.InputTokens, w.OutputTokens)}
	if w.Load.Trace != "" {
		head[3] = s.Group.Name
	}
	text = strings.Join(head, ", ") + ": " + text
	if p := r.Energy.Provenance; p == result.Modelled || p == result.Simulated {
		text += " [" + string(p) + "]"
	}
	return text
}

// Text prints the answer, the sides, and the loads of both.
func (c *Versus) Text(t Terminal, w io.Writer) error {
	var b strings.Builder
	t.styled(&b, t.bold, c.Answer)
	if c.Next != "" {
		t.wrap(&b, "next: ", "  ", c.Next)
	}
	if c.Capacity != nil {
		t.wrap(&b, "", "  ", c.Capacity.Text)
	}
	b.WriteString("\n")
	c.head(t, &b)
	for _, rows := range versusTables(c.Comparison, cmp.Or(t.Columns, t.width())) {
		b.WriteString("\n")
		t.print(&b, rows)
	}
	b.WriteString("\n")
	for _, text := range versusNotes(c.Comparison) {
		t.wrap(&b, "  ", "  ", text)
	}
	c.cautions(t, &b, c.Warnings)
	_, err := io.WriteString(w, t.Style.Text(b.String()))
	return err
}

// versusTables are the primary metric at the loads of both with the verdicts on the objective, and the changes of the
// other metrics, in as many tables as fit in a width; 0 is one.
func versusTables(c *versus.Comparison, width int) []table.Table {
	if len(c.Pairs) == 0 {
		return nil
	}
	primary := table.Table{Head: []string{loads.OverHead(c.Over), "B to A", "95 %", "", metric.Head(c.Primary) +
		" A", "B",
		"SLO A", "SLO B"}, Indent: 2}
	for _, p := range c.Pairs {
		m := p.Metric(c.Primary)
		cells := slices.Repeat([]string{missing}, 5)
		if m != nil {
			change, interval := m.Change()
			cells = []string{cmp.Or(change, missing), cmp.Or(interval, missing), m.Verdict.Word(), view.Value(m.A,
				m.Unit),
				view.Value(m.B, m.Unit)}
		}
		primary.Rows = append(primary.Rows, slices.Concat([]string{loads.Plain(p.Load)}, cells,
			[]string{loads.VerdictCell(p.MetA), loads.VerdictCell(p.MetB)}))
	}
	out := []table.Table{firstColumns(primary, width, loads.OverHead(c.Over))}
	for from := 0; from < len(c.Pairs); {
		to := len(c.Pairs)
		rows := otherRows(c, from, to)
		for to > from+1 && width > 0 && widest(rows, 0) > width {
			to--
			rows = otherRows(c, from, to)
		}
		if len(rows.Rows) > 0 {
			out = append(out, rows)
		}
		from = to
	}
	return out
}

// firstColumns leaves out the verdicts on the objective, then the values of both sides, if lines are too wide.
func firstColumns(t table.Table, width int, over string) table.Table {
	for _, kept := range []int{len(t.Head), 6, 4} {
		t.Head = t.Head[:kept]
		for i, r := range t.Rows {
			t.Rows[i] = r[:kept]
		}
		if width <= 0 || widest(t.DropEmpty(over, ""), width) <= width {
			break
		}
	}
	return t.DropEmpty(over, "")
}

// otherRows are the changes of all metrics but the primary one, a line each, at some of the loads.
func otherRows(c *versus.Comparison, from, to int) table.Table {
	rows := table.Table{Head: []string{"B to A at " + loads.OverHead(c.Over)}, Names: 1, Indent: 2}
	at := map[string]int{}
	for i, p := range c.Pairs[from:to] {
		rows.Head = append(rows.Head, loads.Plain(p.Load))
		for _, m := range p.Metrics {
			if m.Name == c.Primary {
				continue
			}
			k, known := at[m.Name]
			if !known {
				k, at[m.Name] = len(rows.Rows), len(rows.Rows)
				cells := slices.Repeat([]string{missing}, to-from)
				rows.Rows = append(rows.Rows, append([]string{m.Label}, cells...))
			}
			rows.Rows[k][1+i] = changeCell(m)
		}
	}
	return rows
}

// changeCell is a change with what is known of it: in brackets if it is not distinguishable from chance.
func changeCell(m compare.Metric) string {
	change, _ := m.Change()
	switch {
	case m.Name == loads.AttainmentMetric:
		change = strings.TrimSuffix(loads.Fraction(m.A, nil), " %") + "→" + loads.Fraction(m.B, nil)
	case change == "":
		change = view.Value(m.Difference, m.Unit)
	}
	switch m.Verdict {
	case compare.Lower, compare.Higher:
		return change
	case compare.MaybeLower, compare.MaybeHigher:
		return change + "?"
	case compare.Same:
		return string(m.Verdict)
	}
	return "(" + change + ")"
}

// tail is the percentile that many requests are needed for.
const tail = "p95"

// fewTimes reports whether what is missing are high percentiles alone, which have a reason of their own in each run.
func fewTimes(g compare.Gap) bool {
	return !slices.ContainsFunc(g.Metrics, func(name string) bool { return !strings.HasSuffix(name, "."+tail) })
}

// versusNotes explain the tables, and list what is not compared.
func versusNotes(c *versus.Comparison) []string {
	var out []string
	if len(c.Pairs) > 0 {
		out = append(out, c.Pairs[0].How, fmt.Sprintf("lower, higher: beyond chance (p < 0.05); %s is tested at "+
			"all loads "+
			"together, and so are all other numbers (Holm); in brackets, unclear: not distinguishable from "+
			"chance, or one "+
			"run of a side, which is not tested (–); ?: may be chance among so many", metric.Head(c.Primary)))
	}
	why := map[string][]string{}
	var order []string
	add := func(text, at string) {
		if !slices.Contains(order, text) {
			order = append(order, text)
		}
		if !slices.Contains(why[text], at) {
			why[text] = append(why[text], at)
		}
	}
	for _, p := range c.Pairs {
		if p.Why != "" {
			add("no times: "+p.Why, loads.Plain(p.Load))
		}
		for _, g := range p.Missing {
			switch {
			case g.Reason == p.Why:
			case fewTimes(g):
				add("too few requests for "+tail+", which needs "+strconv.Itoa(stats.PercentileFloor(95)),
					loads.Plain(p.Load))
			default:
				add(g.Head()+": "+cmp.Or(g.Reason, "the results contain no reason"), loads.Plain(p.Load))
			}
		}
	}
	for _, x := range c.Alone {
		add(x.Why, loads.Plain(x.Load))
	}
	for _, text := range order {
		out = append(out, missing+" "+text+" (at "+strings.Join(why[text], ", ")+")")
	}
	return out
}
