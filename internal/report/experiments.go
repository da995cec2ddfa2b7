package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/result"
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

// representatives are one run of every experiment, a good one if there is one, and
// without its cycle.
func representatives(s *result.StudyResult) []*result.Record {
	found := map[string]*result.Record{}
	for _, r := range s.Runs {
		if old := found[r.ID]; old == nil || old.Status != result.OK && r.Status == result.OK {
			found[r.ID] = r
		}
	}
	var out []*result.Record
	for _, e := range s.Experiments {
		if r := found[e.ID]; r != nil {
			once := *r
			once.Cycle = 1
			out = append(out, &once)
		}
	}
	return out
}

// experimentColumns are the columns of configurations: a metric, its heading, and how
// it is printed.
var experimentColumns = []struct {
	metric, head string
	print        func(float64) string
	spread       bool
}{
	{"throughput.output_tokens_per_s", "tok/s", func(v float64) string { return unit.Significant(v, 3) }, false},
	{"latency.ttft_ms.p50", "TTFT", duration, false},
	{"latency.itl_ms.p50", "ITL", duration, false},
	{"energy.per_output_token_j", "J/out", func(v float64) string { return unit.SI(v, "J") }, true},
	{"energy.phases.prefill.j_per_token", "J/prefill", func(v float64) string { return unit.SI(v, "J") }, false},
	{"energy.phases.decode.j_per_token", "J/decode", func(v float64) string { return unit.SI(v, "J") }, false},
	{"energy.mean_w", "power", func(v float64) string { return unit.SI(v, "W") }, false},
}

// experimentRows is the table of configurations over their cycles.
func experimentRows(s *result.StudyResult, labels []string) []Row {
	head := Row{Label: "experiment", Cells: []string{"runs"}}
	for _, c := range experimentColumns {
		head.Cells = append(head.Cells, c.head)
		if c.spread {
			head.Cells = append(head.Cells, "±95 %")
		}
	}
	head.Cells = append(head.Cells, "front", "energy")
	rows := []Row{head}
	about := representatives(s)
	for i, e := range s.Experiments {
		runs := strconv.Itoa(e.OK)
		if e.Failed > 0 {
			runs = fmt.Sprintf("%d of %d", e.OK, e.OK+e.Failed)
		}
		row := Row{Label: labels[i], Cells: []string{runs}}
		for _, c := range experimentColumns {
			value, spread := missing, missing
			if m, ok := e.Metrics[c.metric]; ok {
				value = c.print(m.Mean)
				if m.CI95 != nil && m.Mean != 0 {
					spread = fmt.Sprintf("%s %%", unit.Significant(50*(m.CI95[1]-m.CI95[0])/m.Mean, 2))
				}
			}
			row.Cells = append(row.Cells, value)
			if c.spread {
				row.Cells = append(row.Cells, spread)
			}
		}
		row.Cells = append(row.Cells, standingWord(e.Standing), energyWord(e, about[i]))
		rows = append(rows, row)
	}
	return dropEmpty(rows)
}

func energyWord(e result.ExperimentSummary, r *result.Record) string {
	switch _, known := e.Metrics["energy.per_output_token_j"]; {
	case r.Status != result.OK:
		return string(r.Status)
	case !known:
		return "not measured"
	}
	return provenanceWord(r)
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

const frontNote = "front: nothing beats it in energy per output token and in tokens/s at once; no: something does, beyond the intervals; ?: by value only"

// experiments prints the table of configurations.
func (t Terminal) experiments(b *strings.Builder, s *result.StudyResult) {
	common, labels := names(representatives(s))
	if common != "" {
		t.wrap(b, "", "", common)
	}
	b.WriteString("\n")
	rows := experimentRows(s, labels)
	legend := rowWidth(rows) > t.width()
	if legend {
		for i := range labels {
			rows[i+1].Label = fmt.Sprint(i + 1)
		}
	}
	t.columns(b, 2, rows)
	note := tableNote(rows[0].Cells)
	if slices.Contains(rows[0].Cells, "±95 %") {
		note += " · ±95 %: of the mean over the runs"
	}
	t.wrap(b, "  ", "  ", note)
	if slices.Contains(rows[0].Cells, "front") {
		t.wrap(b, "  ", "  ", frontNote)
	}
	if legend {
		b.WriteString("\n")
		for i, l := range labels {
			t.wrap(b, fmt.Sprintf("  %3d  ", i+1), "       ", l)
		}
	}
	t.caveats(b, s, labels)
}

// caveats prints what the repeats of a configuration give cause to doubt.
func (t Terminal) caveats(b *strings.Builder, s *result.StudyResult, labels []string) {
	first := true
	for i, e := range s.Experiments {
		for _, c := range experimentColumns {
			for _, w := range e.Metrics[c.metric].Caveats {
				if w.Code != "drift" && w.Code != "outliers" {
					continue
				}
				if first {
					b.WriteString("\n")
					first = false
				}
				t.wrap(b, t.warn("caution")+": ", "         ", fmt.Sprintf("%s, %s: %s", labels[i], c.head, w.Message))
			}
		}
	}
}

// Markdown prints the table of configurations for a document.
func Markdown(w io.Writer, s *result.StudyResult) error {
	if len(s.Experiments) == 0 {
		_, err := fmt.Fprintln(w, "No run has finished.")
		return err
	}
	common, labels := names(representatives(s))
	rows := experimentRows(s, labels)
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
	_, err := io.WriteString(w, b.String())
	return err
}

// CSV prints every metric of every configuration: mean, interval and number of runs.
func CSV(w io.Writer, s *result.StudyResult) error {
	out := csv.NewWriter(w)
	head := []string{"id", "model", "backend", "dtype", "batch_size", "prompts", "input_tokens", "output_tokens", "runs_ok", "runs_failed", "energy_provenance"}
	for _, m := range result.Metrics() {
		head = append(head, m.Name, m.Name+".ci95_low", m.Name+".ci95_high", m.Name+".n")
	}
	if err := out.Write(head); err != nil {
		return err
	}
	about := representatives(s)
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	for i, e := range s.Experiments {
		c := e.Config
		row := []string{e.ID, c.Model, c.Backend, dtype(about[i]), strconv.Itoa(c.BatchSize()), strconv.Itoa(c.Workload.Prompts),
			strconv.Itoa(c.Workload.InputTokens), strconv.Itoa(c.Workload.OutputTokens), strconv.Itoa(e.OK), strconv.Itoa(e.Failed), provenanceWord(about[i])}
		for _, m := range result.Metrics() {
			cells := []string{"", "", "", ""}
			if v, ok := e.Metrics[m.Name]; ok {
				cells[0], cells[3] = number(v.Mean), strconv.Itoa(v.N)
				if v.CI95 != nil {
					cells[1], cells[2] = number(v.CI95[0]), number(v.CI95[1])
				}
			}
			row = append(row, cells...)
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
