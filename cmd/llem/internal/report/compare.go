package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/compare"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/metric"
	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/internal/nodes"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// Comparison compares configuration B with A.
type Comparison struct {
	*compare.Comparison
	Pair
}

// Pair is what a comparison compares: two sides in words.
type Pair struct {
	A string `json:"a"`
	B string `json:"b"`
	// ExcludedA and ExcludedB are runs that were ok and are not compared.
	ExcludedA []result.Exclusion `json:"excluded_a,omitempty"`
	ExcludedB []result.Exclusion `json:"excluded_b,omitempty"`

	// Differ are the keys in which the two configurations differ.
	Differ []ComparedKey `json:"differ"`
}

// ComparedKey is a key with different values on both sides; a value is empty where the side does not have the key.
type ComparedKey struct {
	Key string `json:"key"`
	A   string `json:"a"`
	B   string `json:"b"`
}

// Differing lists the keys in which two configurations differ.
func Differing(a, b study.Experiment) []ComparedKey {
	out := []ComparedKey{}
	for _, k := range naming.Varying([]study.Experiment{a, b}) {
		out = append(out, ComparedKey{k.Name, k.Text(a), k.Text(b)})
	}
	return out
}

// head prints the sides and the keys in which they differ.
func (p Pair) head(t Terminal, b *strings.Builder) {
	t.wrap(b, "A  ", "   ", p.A)
	t.wrap(b, "B  ", "   ", p.B)
	if len(p.Differ) == 0 {
		return
	}
	b.WriteString("\n")
	rows := []Row{{Label: "", Cells: []string{"A", "B"}}}
	for _, k := range p.Differ {
		values := table.Shorten([]string{cmp.Or(k.A, missing), cmp.Or(k.B, missing)}, valueWidth)
		rows = append(rows, Row{Label: k.Key, Cells: values})
	}
	t.columns(b, 2, rows)
}

// cautions prints what is not compared, and the reasons to doubt the whole comparison.
func (p Pair) cautions(t Terminal, b *strings.Builder, warnings []string) {
	for _, text := range slices.Concat(left("A", p.ExcludedA), left("B", p.ExcludedB), warnings) {
		t.wrap(b, t.warn("caution")+": ", "         ", text)
	}
}

// Text prints the answer, then two configurations side by side.
func (c *Comparison) Text(t Terminal, w io.Writer) error {
	var b strings.Builder
	t.styled(&b, t.bold, c.Answer)
	b.WriteString("\n")
	c.head(t, &b)
	b.WriteString("\n")
	t.print(&b, within(comparedRows(c.Metrics), t.Columns))
	for _, g := range c.Missing {
		t.wrap(&b, "  "+t.warn(g.Head())+": ", "    ", cmp.Or(g.Reason, "the results contain no reason"))
	}
	for _, text := range comparedNotes(c) {
		t.wrap(&b, "  ", "  ", text)
	}
	c.cautions(t, &b, c.Warnings)
	_, err := io.WriteString(w, t.Style.Text(b.String()))
	return err
}

// comparedRows is the table of metrics: what is known of the change, then the values.
func comparedRows(metrics []compare.Metric) table.Table {
	rows := table.Table{Head: []string{"", "B to A", "95 %", "", "A", "B", "detectable"}, Names: 1, Indent: 2}
	for _, m := range metrics {
		change, interval := m.Change()
		visible := missing
		if m.Visible != nil && m.Ratio != nil {
			visible = compare.Amount(m.Visible.From)
		}
		rows.Rows = append(rows.Rows, []string{m.Label, cmp.Or(change, missing), cmp.Or(interval, missing),
			m.Verdict.Word(), view.Value(m.A, m.Unit), view.Value(m.B, m.Unit), visible})
	}
	return rows.DropEmpty()
}

// within leaves out the last columns of a table of metrics if its lines are wider than the terminal: what could be
// detected, then the values of both sides. The change and its interval stay. A width of 0 has no limit.
func within(rows table.Table, width int) table.Table {
	for _, kept := range []int{len(rows.Head) - 1, len(rows.Head) - 3} {
		if width <= 0 || kept < 1 || widest(rows, width) <= width {
			break
		}
		rows.Head = rows.Head[:kept]
		for i, r := range rows.Rows {
			rows.Rows[i] = r[:kept]
		}
	}
	return rows
}

// widest returns the width of the widest line of a table.
func widest(rows table.Table, width int) int {
	head, lines := rows.Lines(width)
	n := table.Width(head)
	for _, text := range lines {
		for line := range strings.Lines(text) {
			n = max(n, table.Width(strings.TrimSuffix(line, "\n")))
		}
	}
	return n
}

// comparedNotes explain the table.
func comparedNotes(c *Comparison) []string {
	how := c.How()
	first := c.Metrics[0]
	if first.Test == nil {
		return []string{how}
	}
	out := []string{how, fmt.Sprintf("lower, higher: beyond chance (p < 0.05, Student's t of logarithms), %s tested "+
		"alone%s; unclear: not distinguishable from chance; detectable: the change that so many runs find "+
		"four times in "+
		"five",
		first.Label, compare.Together(len(c.Metrics)-1))}
	if n := first.Test.CountAs; n != nil {
		out = append(out, fmt.Sprintf("%s: successive runs of a side are correlated (%s), as with drift, so "+
			"the %d and %d runs count as %s and %s", first.Label, digits.Significant(first.Test.Correlation,
			2), first.NA,
			first.NB, digits.Significant(n[0], 2), digits.Significant(n[1], 2)))
	}
	p := first.Permutation
	text := fmt.Sprintf("%s: p %s; by permutation, which assumes no distribution, %s",
		first.Label, compare.Chance(first.Test.P), digits.Significant(p.P, 2))
	if p.LeastP >= 0.05 {
		text += fmt.Sprintf(": with so few runs it cannot be below %s, with %d it can be below 0.05",
			digits.Significant(p.LeastP, 2), p.Needs)
	}
	return append(out, text)
}

// left returns which runs of a side are not compared.
func left(side string, all []result.Exclusion) []string {
	var out []string
	for _, x := range all {
		out = append(out, fmt.Sprintf("%s of %s not compared (%s): %s; next: %s", digits.Count(x.Runs, "run"), side,
			x.Code,
			x.Message, x.Next))
	}
	return out
}

// valueWidth is how wide values of keys are beside numbers.
const valueWidth = 16

// Best is a question for the best configuration of a study, and its answer.
type Best struct {
	Study *result.StudyResult
	// Metric is the name of the metric to optimize; Limits are the limits to meet.
	Metric string
	Limits []string
	Choice *result.Choice
}

// Best prints the best configuration under limits, and which others may be as good.
func (t Terminal) Best(w io.Writer, q Best) error {
	var b strings.Builder
	head := metric.Head(q.Metric)
	what := "best " + head
	if len(q.Limits) > 0 {
		what += " with " + strings.Join(limitTexts(q.Limits), " and ")
	}
	c := q.Choice
	if q.asksEnergy() {
		what += origins(q.Study)
	}
	if c.Best == nil {
		what += ": no configuration is known to meet it"
	}
	t.styled(&b, t.bold, what)
	n := view.Naming(q.Study)
	heads := n.Heads()
	rows := table.Table{Head: append(heads, "id", head, "95 %", "runs", ""), Names: len(heads), Title: "experiment",
		Indent: 2, Text: true}
	add := func(verdict string, all ...result.ExperimentSummary) {
		for _, e := range all {
			rows.Rows = append(rows.Rows,
				append(append(n.Values(e.Config), e.ID), append(chosen(e, q.Metric), verdict)...))
		}
	}
	if c.Best != nil {
		add("best", *c.Best)
	}
	add("not separable", c.NotSeparable...)
	add("may or may not meet the limits", c.Possible...)
	if len(rows.Rows) > 0 {
		t.print(&b, rows)
	}
	for _, text := range q.unjudged() {
		t.wrap(&b, "  ", "  ", text)
	}
	if c.Best != nil {
		if m, ok := c.Best.Metrics.Get(q.Metric); ok && m.N == 1 {
			t.wrap(&b, "  ", "  ", "one run: its spread is unknown")
		}
	}
	for _, text := range nodes.Uneven(q.Study) {
		t.wrap(&b, t.warn("caution")+": ", "         ", text)
	}
	_, err := io.WriteString(w, t.Style.Text(b.String()))
	return err
}

// asksEnergy reports whether the question is about energy or power.
func (q Best) asksEnergy() bool {
	about := []string{q.Metric}
	for _, text := range q.Limits {
		if limit, err := metric.ParseLimit(text); err == nil {
			about = append(about, limit.Name)
		}
	}
	return slices.ContainsFunc(about, func(name string) bool {
		return strings.HasPrefix(name, "energy.") || strings.HasSuffix(name, "_per_j")
	})
}

// origins returns a mark for energy that was not measured.
func origins(s *result.StudyResult) string {
	var text strings.Builder
	for _, p := range []result.Provenance{result.Modelled, result.Simulated} {
		if slices.ContainsFunc(s.Experiments, func(e result.ExperimentSummary) bool { return e.Provenance == p }) {
			text.WriteString(" · energy " + strings.ToUpper(string(p)))
		}
	}
	return text.String()
}

// limitTexts prints limits with the heads of their metrics and their units.
func limitTexts(limits []string) []string {
	out := slices.Clone(limits)
	for i, text := range limits {
		limit, err := metric.ParseLimit(text)
		if m, unknown := result.Metric(limit.Name); err == nil && unknown == nil {
			out[i] = fmt.Sprintf("%s %s %s", m.Label, limit.Op, view.Value(limit.Value, m.Unit))
		}
	}
	return out
}

// unjudged returns notes on the configurations that cannot be chosen because a metric of the question
// is unknown for them.
func (q Best) unjudged() []string {
	asked := []string{q.Metric}
	for _, text := range q.Limits {
		if limit, err := metric.ParseLimit(text); err == nil {
			asked = append(asked, limit.Name)
		}
	}
	names := view.Naming(q.Study)
	var out []string
	for i, name := range asked {
		if slices.Contains(asked[:i], name) {
			continue
		}
		var without []string
		for _, e := range q.Study.Experiments {
			if _, ok := e.Metrics.Get(name); !ok && e.Compared() > 0 {
				without = append(without, cmp.Or(names.Label(e.Config), e.ID))
			}
		}
		if n := len(without); n > mostUnjudged {
			without = append(without[:mostUnjudged], fmt.Sprintf("%d more", n-mostUnjudged))
		}
		if len(without) > 0 {
			out = append(out, fmt.Sprintf("not judged, because %s is unknown: %s", metric.Head(name),
				strings.Join(without, "; ")))
		}
	}
	return out
}

// mostUnjudged is how many configurations are named.
const mostUnjudged = 5

// chosen are the value of a metric, its interval and the number of its runs.
func chosen(e result.ExperimentSummary, metric string) []string {
	cells := []string{missing, missing, missing}
	info, err := result.Metric(metric)
	f, ok := view.FigureOf(&e, metric)
	if !ok || err != nil {
		return cells
	}
	cells[0], cells[2] = view.Value(f.Value, info.Unit), strconv.Itoa(e.Compared())
	if by := e.Method(metric); by != "" {
		cells[0] += " by " + string(by)
	}
	if f.CI95 != nil {
		cells[1] = view.Value(f.CI95[0], info.Unit) + " to " + view.Value(f.CI95[1], info.Unit)
	}
	return cells
}
