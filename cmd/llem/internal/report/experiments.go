package report

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
	"github.com/llenergymeasure/llem/unit"
)

// repeated says whether any configuration has run more than once.
func repeated(s *result.StudyResult) bool {
	for _, e := range s.Experiments {
		if e.OK+e.Failed > 1 {
			return true
		}
	}
	return false
}

// subjects are the configurations as they are named.
func subjects(s *result.StudyResult) []subject {
	out := make([]subject, len(s.Experiments))
	for i := range s.Experiments {
		e := &s.Experiments[i]
		out[i] = subject{&e.Config, cmp.Or(e.DType, e.Config.DType), 1}
	}
	return out
}

// column is a column of configurations: a metric, its heading, and how it is printed.
type column struct {
	metric, head string
	print        func(float64) string
	spread       bool
}

// experimentColumns are the columns of configurations.
var experimentColumns = []column{
	{"throughput.output_tokens_per_s", "tok/s", func(v float64) string { return unit.Significant(v, 3) }, false},
	{"latency.ttft_ms.p50", "TTFT", duration, false},
	{"latency.itl_ms.p50", "ITL", duration, false},
	{"energy.per_output_token_j", "J/out", func(v float64) string { return unit.SI(v, "J") }, true},
	{"energy.phases.prefill.j_per_token", "J/prefill", func(v float64) string { return unit.SI(v, "J") }, false},
	{"energy.phases.decode.j_per_token", "J/decode", func(v float64) string { return unit.SI(v, "J") }, false},
	{"energy.mean_w", "power", func(v float64) string { return unit.SI(v, "W") }, false},
}

// columnsWith are the usual columns and those of the metrics that were asked for.
func columnsWith(metrics ...string) []column {
	out := slices.Clone(experimentColumns)
	for _, name := range metrics {
		if slices.ContainsFunc(out, func(c column) bool { return c.metric == name }) {
			continue
		}
		if m, err := result.Metric(name); err == nil {
			out = append(out, column{name, name, func(v float64) string { return metricValue(v, m.Unit) }, false})
		}
	}
	return out
}

// experimentRows is the table of the first n configurations over their cycles.
func experimentRows(s *result.StudyResult, labels []string, columns []column, n int) []Row {
	head := Row{Label: "experiment", Cells: []string{"runs"}}
	for _, c := range columns {
		head.Cells = append(head.Cells, c.head)
		if c.spread {
			head.Cells = append(head.Cells, "±95 %")
		}
	}
	head.Cells = append(head.Cells, "front", "energy")
	rows := []Row{head}
	for i, e := range s.Experiments[:n] {
		row := Row{Label: labels[i], Cells: []string{runsWord(e)}}
		for _, c := range columns {
			value, spread := missing, missing
			if m, ok := e.Metrics.Get(c.metric); ok {
				value = c.print(m.Mean) + methodMark(c.metric, e, s)
				if m.CI95 != nil && m.Mean != 0 {
					spread = fmt.Sprintf("%s %%", unit.Significant(50*(m.CI95[1]-m.CI95[0])/m.Mean, 2))
				}
			}
			row.Cells = append(row.Cells, value)
			if c.spread {
				row.Cells = append(row.Cells, spread)
			}
		}
		row.Cells = append(row.Cells, standingWord(e.Standing), energyWord(e))
		rows = append(rows, row)
	}
	return dropEmpty(rows)
}

// methodMark says what a peak of memory is where not all of the study are the same.
func methodMark(metric string, e result.ExperimentSummary, s *result.StudyResult) string {
	m := e.Method(metric)
	if m == "" || len(s.Methods(metric)) < 2 && m != result.MemoryMixed {
		return ""
	}
	return " (" + string(m) + ")"
}

// runsWord is how many runs the figures come from, and of how many.
func runsWord(e result.ExperimentSummary) string {
	n := e.Compared()
	if all := e.OK + e.Failed + e.LeftOut; all > n {
		return fmt.Sprintf("%d of %d", n, all)
	}
	return strconv.Itoa(n)
}

func energyWord(e result.ExperimentSummary) string {
	switch _, known := e.Metrics.Get("energy.per_output_token_j"); {
	case e.Status != result.OK:
		return string(e.Status)
	case e.Compared() == 0:
		return notCompared
	case !known:
		return "not measured"
	}
	return string(e.Provenance)
}

// standingWord is the Pareto standing in a word.
func standingWord(s *result.Standing) string {
	if s == nil {
		return missing
	}
	switch s.Status {
	case "front":
		return "yes"
	case "dominated":
		return "no"
	case "uncertain":
		return "?"
	}
	return missing
}

// frontNote explains the standings.
func frontNote(metrics []string) string {
	what := "energy per output token and in tokens/s"
	if len(metrics) > 0 {
		what = strings.Join(metrics, " and ")
	}
	return "front: nothing beats it in " + what + " at once; no: something does, beyond the intervals; ?: by value only"
}

// experiments prints the table of configurations.
func (t Terminal) experiments(b *strings.Builder, s *result.StudyResult) {
	common, labels := namesOf(subjects(s))
	if common != "" {
		t.wrap(b, "", "", common)
	}
	b.WriteString("\n")
	shown := t.limit(len(s.Experiments))
	rows := experimentRows(s, labels, columnsWith(append(slices.Clone(t.Front), t.Sort)...), shown)
	legend := rowWidth(rows) > t.width()
	if legend {
		for i := range shown {
			rows[i+1].Label = fmt.Sprint(i + 1)
		}
	}
	t.columns(b, 2, rows)
	t.cut(b, shown, len(s.Experiments), "configuration")
	note := tableNote(rows[0].Cells)
	if slices.Contains(rows[0].Cells, "±95 %") {
		note += " · ±95 %: of the mean over the runs"
	}
	t.wrap(b, "  ", "  ", note)
	if slices.Contains(rows[0].Cells, "front") {
		t.wrap(b, "  ", "  ", frontNote(t.Front))
	}
	if legend {
		b.WriteString("\n")
		for i, l := range labels[:shown] {
			t.wrap(b, fmt.Sprintf("  %3d  ", i+1), "       ", l)
		}
	}
	t.caveats(b, s, labels)
}

// caveatsShown is how many cautions are printed.
const caveatsShown = 20

// caveats prints what there is to doubt about the study, its configurations and what
// their repeats show.
func (t Terminal) caveats(b *strings.Builder, s *result.StudyResult, labels []string) {
	var all []string
	for _, w := range s.Caveats {
		all = append(all, w.Message)
	}
	for i, e := range s.Experiments {
		for _, w := range e.Caveats {
			all = append(all, labels[i]+": "+w.Message)
		}
		for _, c := range experimentColumns {
			m, _ := e.Metrics.Get(c.metric)
			for _, w := range m.Caveats {
				if w.Code == note.Drift || w.Code == note.Outliers {
					all = append(all, fmt.Sprintf("%s, %s: %s", labels[i], c.head, w.Message))
				}
			}
		}
	}
	for i, text := range all {
		if i == 0 {
			b.WriteString("\n")
		}
		if i == caveatsShown {
			fmt.Fprintf(b, "%s: in the caveats of --json\n", count(len(all)-i, "more caution"))
			break
		}
		t.wrap(b, t.warn("caution")+": ", "         ", text)
	}
}

// Markdown prints the table of configurations for a document.
func (t Terminal) Markdown(w io.Writer, s *result.StudyResult) error {
	if len(s.Experiments) == 0 {
		_, err := fmt.Fprintln(w, "No run has finished.")
		return err
	}
	common, labels := namesOf(subjects(s))
	shown := t.limit(len(s.Experiments))
	rows := experimentRows(s, labels, columnsWith(append(slices.Clone(t.Front), t.Sort)...), shown)
	var b strings.Builder
	if common != "" {
		fmt.Fprintf(&b, "%s\n\n", common)
	}
	for i, r := range rows {
		cells := make([]string, 0, len(r.Cells)+1)
		for _, c := range append([]string{r.Label}, r.Cells...) {
			cells = append(cells, strings.ReplaceAll(c, "|", `\|`))
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
		if i == 0 {
			fmt.Fprintf(&b, "|---%s\n", strings.Repeat("|---:", len(r.Cells))+"|")
		}
	}
	if shown < len(s.Experiments) {
		fmt.Fprintf(&b, "\nThe first %d of %s.\n", shown, count(len(s.Experiments), "configuration"))
	}
	for _, x := range exclusions(s) {
		fmt.Fprintf(&b, "\n%s: %s. Next: %s.\n", x.head, x.text, x.next)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// fixedKeys are the keys that have a column of their own in every CSV.
var fixedKeys = []string{"model", "backend", "workload.prompts", "workload.input_tokens", "workload.output_tokens"}

// CSV prints every metric of the first n configurations (less than 0: all): mean,
// interval, percentiles and number of runs, beside every key whose value differs.
func CSV(w io.Writer, s *result.StudyResult, n int) error {
	if n < 0 || n > len(s.Experiments) {
		n = len(s.Experiments)
	}
	configs := make([]study.Experiment, len(s.Experiments))
	for i, e := range s.Experiments {
		configs[i] = e.Config
	}
	keys := slices.DeleteFunc(study.Varying(configs),
		func(k study.Key) bool { return slices.Contains(fixedKeys, k.Name) })
	out := csv.NewWriter(w)
	head := []string{"id", "model", "backend", "dtype", "batch_size", "prompts", "input_tokens", "output_tokens",
		"runs_ok", "runs_failed", "runs_left_out", "runs_excluded", "excluded_why", "memory_method",
		"process_memory_method", "energy_provenance"}
	for _, k := range keys {
		name := k.Name
		if name == "dtype" {
			name = "dtype_asked" // beside the one that the engine used
		}
		head = append(head, name)
	}
	for _, m := range result.Metrics() {
		head = append(head, m.Name, m.Name+".ci95_low", m.Name+".ci95_high", m.Name+".p5", m.Name+".p50",
			m.Name+".p95", m.Name+".n")
	}
	if err := out.Write(head); err != nil {
		return err
	}
	for i, e := range s.Experiments[:n] {
		c := configs[i]
		row := []string{e.ID, c.Model, c.Backend, cmp.Or(e.DType, c.DType), strconv.Itoa(c.BatchSize()),
			strconv.Itoa(c.Workload.Prompts),
			strconv.Itoa(c.Workload.InputTokens), strconv.Itoa(c.Workload.OutputTokens), strconv.Itoa(e.OK),
			strconv.Itoa(e.Failed), strconv.Itoa(e.LeftOut),
			strconv.Itoa(e.OK - e.Compared()), excludedWhy(e), string(e.MemoryMethod), string(e.ProcessMethod),
			string(e.Provenance)}
		for _, k := range keys {
			row = append(row, k.Text(c))
		}
		if err := out.Write(append(row, metricCells(e)...)); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// metricCells are the columns of all metrics.
func metricCells(e result.ExperimentSummary) []string {
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	var row []string
	for _, m := range result.Metrics() {
		cells := make([]string, 7)
		if v, ok := e.Metrics.Get(m.Name); ok {
			cells[0], cells[6] = number(v.Mean), strconv.Itoa(v.N)
			if v.CI95 != nil {
				cells[1], cells[2] = number(v.CI95[0]), number(v.CI95[1])
			}
			if v.N > 1 {
				cells[3], cells[4], cells[5] = number(v.P5), number(v.P50), number(v.P95)
			}
		}
		row = append(row, cells...)
	}
	return row
}
