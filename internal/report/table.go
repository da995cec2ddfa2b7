package report

import (
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
	"github.com/llenergymeasure/llem/unit"
)

// table prints one line per run, or one per configuration if any has run more than
// once: what all have in common first, then what differs beside the figures.
func (t Terminal) table(b *strings.Builder, s *result.StudyResult) {
	fmt.Fprintln(b, t.bold(orName(s.Name)+": "+tally(s)))
	if len(s.Runs) == 0 {
		return
	}
	legend := false
	if t.Verbose || !repeated(s) {
		legend = t.runs(b, s)
	} else {
		t.experiments(b, s)
	}
	t.doubts(b, s.Runs)
	_, labels := names(s.Runs)
	for i, r := range s.Runs {
		if r.Failure != nil {
			b.WriteString("\n")
			if legend {
				t.wrap(b, fmt.Sprintf("run %d: ", i+1), "  ", labels[i])
			} else {
				t.wrap(b, "", "  ", labels[i])
			}
			t.failure(b, r.Status, r.Failure)
			if log := r.Files["engine_log"]; log != "" {
				fmt.Fprintf(b, "  log: %s\n", path.Join(result.RunsDir, fmt.Sprintf("%s-c%d", r.ID, r.Cycle), log))
			}
		}
	}
}

// runs prints one line per run. It says whether the lines are numbered, for want of
// room for their labels.
func (t Terminal) runs(b *strings.Builder, s *result.StudyResult) (numbered bool) {
	common, labels := names(s.Runs)
	if common != "" {
		t.wrap(b, "", "", common)
	}
	b.WriteString("\n")
	rows := []Row{{Label: "run", Cells: figureHeads}}
	for i, r := range s.Runs {
		rows = append(rows, Row{Label: labels[i], Cells: figures(r)})
	}
	rows = dropEmpty(rows)
	numbered = rowWidth(rows) > t.width()
	if numbered {
		for i := range labels {
			rows[i+1].Label = fmt.Sprint(i + 1)
		}
	}
	t.columns(b, 2, rows)
	t.wrap(b, "  ", "  ", tableNote(rows[0].Cells))
	if numbered {
		b.WriteString("\n")
		for i, l := range labels {
			t.wrap(b, fmt.Sprintf("  %3d  ", i+1), "       ", l)
		}
	}
	return numbered
}

// doubts prints why energy is missing and the warnings of all runs, each kind
// once, in the words of the first run that has it.
func (t Terminal) doubts(b *strings.Builder, runs []*result.Record) {
	type doubt struct{ kind, code string }
	var order []doubt
	messages, counts := map[doubt]string{}, map[doubt]int{}
	add := func(d doubt, message string) {
		if counts[d]++; counts[d] == 1 {
			order = append(order, d)
			messages[d] = message
		}
	}
	for _, r := range runs {
		if r.Status == result.OK && r.Energy.TotalJ == nil {
			add(doubt{"not measured", r.Energy.Reason}, r.Energy.Reason)
		}
		seen := map[string]bool{}
		for _, w := range r.Warnings {
			if !seen[w.Code] {
				add(doubt{"warning", w.Code}, w.Message)
			}
			seen[w.Code] = true
		}
	}
	for i, d := range order {
		if i == 0 {
			b.WriteString("\n")
		}
		in := ""
		if counts[d] < len(runs) {
			in = fmt.Sprintf(" (%d of %s)", counts[d], count(len(runs), "run"))
		}
		t.wrap(b, t.warn(d.kind)+in+": ", "         ", messages[d])
	}
}

func orName(s string) string {
	if s == "" {
		return "study"
	}
	return s
}

// tally counts the runs by what became of them.
func tally(s *result.StudyResult) string {
	parts := []string{fmt.Sprintf("%d of %s ok", s.OK, count(s.Planned, "run"))}
	for _, q := range []struct {
		n    int
		what string
	}{{s.Failed, "failed"}, {s.Interrupted, "interrupted"}, {s.Planned - len(s.Runs), "not made"}} {
		if q.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", q.n, q.what))
		}
	}
	return strings.Join(parts, ", ")
}

// facets say what a run was, in the order of reading; empty where it does not
// apply.
var facets = []func(*result.Record) string{
	func(r *result.Record) string { return r.Config.Model },
	func(r *result.Record) string { return r.Config.Backend },
	dtype,
	func(r *result.Record) string { return fmt.Sprintf("batch %d", r.Config.BatchSize()) },
	func(r *result.Record) string { return count(r.Config.Workload.Prompts, "prompt") },
	func(r *result.Record) string { return fmt.Sprintf("%d in", r.Config.Workload.InputTokens) },
	func(r *result.Record) string { return fmt.Sprintf("%d out", r.Config.Workload.OutputTokens) },
	func(r *result.Record) string { return r.Config.Workload.Dataset },
	func(r *result.Record) string {
		if c := r.Config.PyTorch; c != nil && r.Config.Backend == study.PyTorch {
			return c.AttnImplementation + " on " + c.Device
		}
		return ""
	},
	func(r *result.Record) string {
		c := r.Config.Embedded
		switch {
		case c == nil || r.Config.Backend != study.Embedded:
			return ""
		case c.Threads == 0:
			return "auto threads"
		}
		return count(c.Threads, "thread")
	},
	func(r *result.Record) string {
		if c := r.Config.Embedded; c != nil && r.Config.Backend == study.Embedded {
			return fmt.Sprintf("chunk %d", c.PrefillChunk)
		}
		return ""
	},
	func(r *result.Record) string {
		if c := r.Config.Fake; c != nil && r.Config.Backend == study.Fake {
			return fmt.Sprintf("%s batching at speed %g", c.Batching, c.Speed)
		}
		return ""
	},
	func(r *result.Record) string { return fmt.Sprintf("warmup %d", r.Config.Warmup.Runs) },
	func(r *result.Record) string { return fmt.Sprintf("baseline %g s", r.Config.Baseline.Seconds) },
	func(r *result.Record) string { return "energy " + r.Config.Energy.Sources },
	func(r *result.Record) string { return fmt.Sprintf("seed %d", r.Config.Seed) },
	func(r *result.Record) string { return fmt.Sprintf("cycle %d", r.Cycle) },
}

// commonFacets is how many of the facets are worth a word when all runs share
// them.
const commonFacets = 7

// dtype is what the engine used, or what was asked for where that is not known.
func dtype(r *result.Record) string {
	if r.Backend.DType != "" {
		return r.Backend.DType
	}
	return r.Config.DType
}

// names divides the facets into those that all runs share and the labels of the
// runs, which tell them apart.
func names(runs []*result.Record) (common string, labels []string) {
	var shared []string
	parts := make([][]string, len(runs))
	for i, facet := range facets {
		values := map[string]bool{}
		for _, r := range runs {
			if f := facet(r); f != "" { // another engine's setting tells nothing apart
				values[f] = true
			}
		}
		if len(values) < 2 {
			if i < commonFacets {
				shared = append(shared, facet(runs[0]))
			}
			continue
		}
		for k, r := range runs {
			if f := facet(r); f != "" {
				parts[k] = append(parts[k], f)
			}
		}
	}
	for i, p := range parts {
		if len(p) == 0 {
			p = []string{fmt.Sprint(i + 1)}
		}
		labels = append(labels, strings.Join(p, " "))
	}
	return strings.Join(shared, " · "), labels
}

// figureHeads are the columns of figures.
var figureHeads = []string{"tok/s", "TTFT", "ITL", "J/out", "J/prefill", "J/decode", "power", "energy"}

// tableNote explains the columns that are there.
func tableNote(heads []string) string {
	var notes []string
	for _, h := range heads {
		switch h {
		case "tok/s":
			notes = append(notes, "tok/s: output tokens")
		case "TTFT":
			notes = append(notes, "TTFT, ITL: medians")
		case "J/out":
			notes = append(notes, "J/out: whole energy per output token")
		case "J/prefill":
			notes = append(notes, "J/prefill, J/decode: energy of the phase per token of the phase")
		}
	}
	return strings.Join(notes, " · ")
}

func figures(r *result.Record) []string {
	cells := make([]string, len(figureHeads))
	for i := range cells {
		cells[i] = missing
	}
	last := len(cells) - 1
	if r.Status != result.OK {
		cells[last] = string(r.Status)
		return cells
	}
	cells[0], cells[1], cells[2] = unit.Significant(r.Throughput.OutputTokensPerS, 3), p50(r.Latency.TTFT), p50(r.Latency.ITL)
	e := r.Energy
	if e.PerOutputTokenJ == nil {
		cells[last] = "not measured"
		return cells
	}
	cells[3] = unit.SI(e.PerOutputTokenJ.Value, "J")
	if p := e.Phases; p != nil {
		cells[4], cells[5] = perToken(p.Prefill), perToken(p.Decode)
	}
	cells[6], cells[last] = unit.SI(e.MeanW.Value, "W"), provenanceWord(r)
	return cells
}

func p50(d *result.Distribution) string {
	if d == nil {
		return missing
	}
	return duration(d.P50)
}

// dropEmpty leaves out columns without a value.
func dropEmpty(rows []Row) []Row {
	out := make([]Row, len(rows))
	for i, r := range rows {
		out[i].Label = r.Label
	}
	for c := range rows[0].Cells {
		empty := true
		for _, r := range rows[1:] {
			empty = empty && r.Cells[c] == missing
		}
		for i, r := range rows {
			if !empty {
				out[i].Cells = append(out[i].Cells, r.Cells[c])
			}
		}
	}
	return out
}

// rowWidth is how wide columns prints the rows.
func rowWidth(rows []Row) int {
	label, widths := measureColumns(rows)
	n := 2 + label
	for _, w := range widths {
		n += 2 + w
	}
	return n
}

// measureColumns gives the widths of the label and of each cell.
func measureColumns(rows []Row) (label int, cells []int) {
	cells = make([]int, len(rows[0].Cells))
	for _, r := range rows {
		label = max(label, utf8.RuneCountInString(r.Label))
		for i, c := range r.Cells {
			cells[i] = max(cells[i], utf8.RuneCountInString(c))
		}
	}
	return label, cells
}
