package view

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/metric"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// Metrics that every view has.
const (
	EnergyMetric = "energy.per_output_token_j"
	SpeedMetric  = "throughput.output_tokens_per_s"
)

// NotCompared marks runs that are left out of means, the front and comparisons.
const NotCompared = "not compared"

// Column is a column of configurations.
type Column struct {
	Metric string
	// Spread adds the interval; asked columns are shown even when empty.
	Spread, Asked bool
}

// Head is the heading of the column.
func (c Column) Head() string { return metric.Head(c.Metric) }

// Usual are the columns of a table where nothing else is asked for.
func Usual() []Column {
	return []Column{{Metric: SpeedMetric}, {Metric: QueueMetric}, {Metric: "latency.ttft_ms.p50"},
		{Metric: ResponseMetric}, {Metric: "latency.itl_ms.p50"}, {Metric: EnergyMetric, Spread: true},
		{Metric: "energy.phases.prefill.j_per_token"}, {Metric: "energy.phases.decode.j_per_token"},
		{Metric: "energy.mean_w"}, {Metric: "energy.node_per_output_token_j"}}
}

// Wide are the columns of a table that may be wide, as on a page: the energy first, and further ones.
func Wide() []Column {
	out := []Column{{Metric: EnergyMetric, Spread: true}}
	for _, c := range Usual() {
		if c.Metric != EnergyMetric {
			out = append(out, c)
		}
		if c.Metric == "latency.ttft_ms.p50" {
			out = append(out, Column{Metric: "latency.ttft_ms.p99"})
		}
	}
	return append(out, Column{Metric: "energy.wh_per_1000_requests"}, Column{Metric: "energy.co2e_g"},
		Column{Metric: "energy.cost"})
}

// Cell is a value of a table.
type Cell struct {
	// Text is the value as it is printed; [table.Missing] where there is none.
	Text string
	// Interval is what stands for the 95 % interval beside it, without ±; empty where there is none.
	Interval string
	// Value is the number behind the text, NaN for a word.
	Value float64
}

// Head is the head of a column, with a description.
type Head struct {
	Text, Meaning string
	// Spread is set for a column whose cells may have intervals.
	Spread bool
}

// Row is a configuration in a table.
type Row struct {
	ID string
	// Front reports whether the configuration is on the Pareto front.
	Front bool
	Cells []Cell
}

// Table is the table of the configurations of a study.
type Table struct {
	// Names is how many of the first columns name a configuration.
	Names int
	Heads []Head
	Rows  []Row
}

// Heads of the columns of words.
const (
	RunsHead   = "runs"
	FrontHead  = "front"
	OriginHead = "energy"
	FlagsHead  = "flags"
)

// TableOf returns the table of the first n configurations over their cycles.
func TableOf(s *result.StudyResult, named Names, columns []Column, n int) Table {
	out := Table{Names: len(named.AllHeads())}
	for _, h := range named.AllHeads() {
		out.Heads = append(out.Heads, Head{Text: h})
	}
	out.Heads = append(out.Heads, Head{Text: RunsHead, Meaning: "Runs whose figures are in the row."})
	infos := make([]result.MetricInfo, len(columns))
	for i, c := range columns {
		infos[i], _ = result.Metric(c.Metric)
		out.Heads = append(out.Heads, Head{Text: c.Head(), Meaning: infos[i].Meaning, Spread: c.Spread})
	}
	out.Heads = append(out.Heads,
		Head{Text: FrontHead, Meaning: "Whether the row is on the Pareto front: yes, no, or " +
			"? if it is dominated within the intervals."},
		Head{Text: OriginHead, Meaning: "What the energy is: measured, modelled or simulated."},
		Head{Text: FlagsHead, Meaning: "Codes of doubts about the row."})
	for i := range s.Experiments[:n] {
		e := &s.Experiments[i]
		row := Row{ID: e.ID, Front: e.Standing != nil && e.Standing.Status == "front"}
		for _, text := range append(named.Cells(i), runsWord(e)) {
			row.Cells = append(row.Cells, word(text))
		}
		for k, c := range columns {
			row.Cells = append(row.Cells, cellOf(s, e, infos[k], c.Spread))
		}
		for _, text := range []string{standingWord(e.Standing), energyWord(e), RowFlags(e.Flags)} {
			row.Cells = append(row.Cells, word(text))
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

func word(text string) Cell { return Cell{Text: text, Value: math.NaN()} }

// cellOf is the cell of a metric of a configuration.
func cellOf(s *result.StudyResult, e *result.ExperimentSummary, m result.MetricInfo, spread bool) Cell {
	f, ok := FigureOf(e, m.Name)
	if !ok {
		return word(table.Missing)
	}
	out := Cell{Text: Number(m, f.Value) + methodMark(m.Name, e, s), Value: f.Value}
	if spread {
		out.Interval = f.PlusMinus(m)
	}
	return out
}

// Filled returns the table without columns that have no value in any row. The columns that name the rows stay.
func (t Table) Filled() Table {
	out := Table{Names: t.Names, Rows: make([]Row, len(t.Rows))}
	for i, r := range t.Rows {
		out.Rows[i] = Row{ID: r.ID, Front: r.Front}
	}
	for k, h := range t.Heads {
		empty := !slices.ContainsFunc(t.Rows, func(r Row) bool { return r.Cells[k].Text != table.Missing })
		if empty && k >= t.Names {
			continue
		}
		out.Heads = append(out.Heads, h)
		for i, r := range t.Rows {
			out.Rows[i].Cells = append(out.Rows[i].Cells, r.Cells[k])
		}
	}
	return out
}

// SpreadHead is the head of a column of intervals.
const SpreadHead = "±95 %"

// Text returns the table with the intervals in columns of their own, without empty columns. The columns of the metrics
// that were asked for stay.
func (t Table) Text(title string, asked ...string) table.Table {
	out := table.Table{Names: t.Names, Title: title, Indent: 2}
	var kept []string
	for _, name := range asked {
		kept = append(kept, metric.Head(name))
	}
	for _, h := range t.Heads {
		if out.Head = append(out.Head, h.Text); h.Spread {
			out.Head = append(out.Head, SpreadHead)
		}
	}
	for _, r := range t.Rows {
		var cells []string
		for k, c := range r.Cells {
			cells = append(cells, c.Text)
			if !t.Heads[k].Spread {
				continue
			}
			if c.Interval == "" {
				c.Interval = table.Missing
			}
			cells = append(cells, c.Interval)
		}
		out.Rows = append(out.Rows, cells)
	}
	return out.DropEmpty(kept...)
}

// methodMark returns how a peak of memory was measured, if the methods of a study differ.
func methodMark(metric string, e *result.ExperimentSummary, s *result.StudyResult) string {
	m := e.Method(metric)
	if m == "" || len(s.Methods(metric)) < 2 && m != result.MemoryMixed {
		return ""
	}
	return " (" + string(m) + ")"
}

// runsWord is how many runs the figures come from, and of how many.
func runsWord(e *result.ExperimentSummary) string {
	n := e.Compared()
	if all := e.OK + e.Failed + e.LeftOut; all > n {
		return fmt.Sprintf("%d of %d", n, all)
	}
	return strconv.Itoa(n)
}

// energyWord is what the energy of a configuration is, or why it has none.
func energyWord(e *result.ExperimentSummary) string {
	m, known := e.Metrics.Get(EnergyMetric)
	if !known && e.Config.Backend == terms.Command { // without tokens
		m, known = e.Metrics.Get(TotalMetric)
	}
	switch {
	case e.Status != result.OK && e.Status != "": // earlier versions have no status
		return string(e.Status)
	case e.Compared() == 0:
		return NotCompared
	case !known:
		return "not measured"
	case m.N < e.Compared():
		return strings.TrimSpace(fmt.Sprintf("%d of %d %s", m.N, e.Compared(), e.Provenance))
	}
	return cmp.Or(string(e.Provenance), table.Missing) // earlier versions do not have it
}

// standingWord returns the Pareto standing in a word.
func standingWord(s *result.Standing) string {
	if s == nil {
		return table.Missing
	}
	switch s.Status {
	case "front":
		return "yes"
	case "dominated":
		return "no"
	case "uncertain":
		return "?"
	}
	return table.Missing
}

// FlagWords are codes of flags in a cell.
func FlagWords(flags []note.Code) string {
	var out []string
	for _, code := range flags {
		out = append(out, string(code))
	}
	return strings.Join(out, " ")
}

// RowFlags returns the flags in a row of a table, without two that other cells show: the provenance of a simulated
// energy, and the name of a model with random weights.
func RowFlags(flags []note.Code) string {
	text := FlagWords(slices.DeleteFunc(slices.Clone(flags),
		func(c note.Code) bool { return c == codes.Simulated || c == codes.Synthetic }))
	if text == "" {
		return table.Missing
	}
	return text
}
