package report

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/compare"
	"github.com/llenergymeasure/llem/internal/table"
)

// Markdown prints the comparison for a document.
func (c *Versus) Markdown(w io.Writer) error {
	head := c.Answer + "\n"
	if c.Capacity != nil {
		head += "\n" + c.Capacity.Text + "\n"
	}
	return compared{head, c.A, c.B, c.Differ, versusTables(c.Comparison, 0), slices.Concat(versusNotes(c.Comparison),
		left("A", c.ExcludedA), left("B", c.ExcludedB), c.Warnings)}.markdown(w)
}

// Markdown prints the comparison for a document.
func (c *Comparison) Markdown(w io.Writer) error {
	notes := []string{}
	for _, g := range c.Missing {
		notes = append(notes, g.Head()+": "+cmp.Or(g.Reason, "the results contain no reason"))
	}
	return compared{c.Answer + "\n", c.A, c.B, c.Differ, []table.Table{comparedRows(c.Metrics)}, slices.Concat(notes,
		comparedNotes(c), left("A", c.ExcludedA), left("B", c.ExcludedB), c.Warnings)}.markdown(w)
}

// compared is what a document has of a comparison.
type compared struct {
	head, a, b string
	differ     []ComparedKey
	tables     []table.Table
	notes      []string
}

func (c compared) markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n- A: %s\n- B: %s\n", c.head, c.a, c.b)
	for _, k := range c.differ {
		fmt.Fprintf(&b, "- %s: A %s, B %s\n", k.Key, cmp.Or(k.A, missing), cmp.Or(k.B, missing))
	}
	for _, rows := range c.tables {
		rows.Names = max(rows.Names, 1)
		fmt.Fprintf(&b, "\n%s", rows.Markdown())
	}
	b.WriteString("\n")
	for _, text := range c.notes {
		fmt.Fprintf(&b, "- %s\n", strings.TrimPrefix(text, missing+" "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// comparedHeads are the columns of a metric in a CSV file.
var comparedHeads = []string{"metric", "unit", "a", "b", "n_a", "n_b", "ratio", "ratio_ci95_low", "ratio_ci95_high",
	"difference", "verdict", "p", "p_adjusted", "reason"}

// comparedCells are a metric in these columns.
func comparedCells(m compare.Metric) []string {
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	row := []string{m.Name, m.Unit, number(m.A), number(m.B), strconv.Itoa(m.NA), strconv.Itoa(m.NB), "", "", "",
		number(m.Difference), string(m.Verdict), "", "", ""}
	if m.Ratio != nil {
		row[6] = number(*m.Ratio)
	}
	if m.CI95 != nil {
		row[7], row[8] = number(m.CI95[0]), number(m.CI95[1])
	}
	if m.Test != nil {
		row[11], row[12] = number(m.Test.P), number(m.Test.PAdjusted)
	}
	return row
}

// missingCells are metrics that are not compared in these columns.
func missingCells(g compare.Gap) (rows [][]string) {
	for _, name := range g.Metrics {
		row := slices.Repeat([]string{""}, len(comparedHeads))
		row[0], row[len(row)-1] = name, g.Of+": "+g.Reason
		rows = append(rows, row)
	}
	return rows
}

// CSV prints a line for each metric.
func (c *Comparison) CSV(w io.Writer) error {
	rows := [][]string{comparedHeads}
	for _, m := range c.Metrics {
		rows = append(rows, comparedCells(m))
	}
	for _, g := range c.Missing {
		rows = append(rows, missingCells(g)...)
	}
	return csv.NewWriter(w).WriteAll(rows)
}

// CSV prints a line for each metric at each load of both, and for each load that is not compared.
func (c *Versus) CSV(w io.Writer) error {
	rows := [][]string{append([]string{"load", "over", "id_a", "id_b", "slo_met_a", "slo_met_b"}, comparedHeads...)}
	load := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	for _, p := range c.Pairs {
		head := []string{load(p.Load), c.Over, p.A, p.B, p.MetA, p.MetB}
		for _, m := range p.Metrics {
			rows = append(rows, slices.Concat(head, comparedCells(m)))
		}
		for _, g := range p.Missing {
			for _, cells := range missingCells(g) {
				rows = append(rows, slices.Concat(head, cells))
			}
		}
	}
	for _, x := range c.Alone {
		row := slices.Repeat([]string{""}, len(rows[0]))
		row[0], row[1], row[len(row)-1] = load(x.Load), c.Over, x.Why
		row[map[string]int{"A": 2, "B": 3}[x.Side]] = x.ID
		rows = append(rows, row)
	}
	return csv.NewWriter(w).WriteAll(rows)
}
