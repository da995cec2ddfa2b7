// Package report prints results for people. It reads records only: nothing that it
// shows comes from the memory of the run. One view model per run feeds every printer,
// so that a number looks the same everywhere.
package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/metric"
	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// View is a run, ready to print.
type View struct {
	Title    string
	Subtitle string
	// Sections hold rows of a label and cells.
	Sections []Section
	Warnings note.List
	// Line is one line for a chat or a paper.
	Line   string
	Status result.Status
	// Failure is set for a run without a result.
	Failure *note.Failure
}

// Section is a small table. Columns may be empty.
type Section struct {
	Name    string
	Columns []string
	Rows    []Row
	// Note is printed below the table, and Detail below the note: how the numbers were computed.
	Note, Detail string
}

// Row is a line of a section.
type Row struct {
	Label string
	Cells []string
}

const missing = table.Missing

// NewView makes the view of a record.
func NewView(r *result.Record) View {
	v := View{Title: Title(r), Subtitle: Subtitle(r), Status: r.Status, Failure: r.Failure}
	v.Warnings = r.Warnings
	if r.Status != result.OK {
		return v
	}
	v.Sections = []Section{energy(r)}
	if r.Throughput != nil {
		v.Sections = []Section{speed(r), energy(r)}
	}
	if r.Load != nil {
		v.Sections = append(v.Sections, load(r)...)
	}
	if r.Energy.NodeJ != nil || r.Energy.NodeReason != "" {
		v.Sections = append(v.Sections, node(r))
	}
	if !Metered(r) {
		v.Sections = append(v.Sections, work(r))
	}
	v.Line = Line(r)
	return v
}

// Metered reports whether a run is a window around something that llem did not run as an engine.
func Metered(r *result.Record) bool { return r.Config.Backend == terms.Command }

// Title names the model and the engine of a run.
func Title(r *result.Record) string {
	if Metered(r) {
		return strings.TrimSuffix(fmt.Sprintf("%s · on %s", r.Config.Model, r.Backend.Device), " · on ")
	}
	t := fmt.Sprintf("%s · %s", r.Config.Model, r.Backend.Name)
	if r.Backend.Version != "" {
		t += " " + r.Backend.Version
	}
	if r.Backend.DType != "" {
		t += " · " + r.Backend.DType
	}
	if r.Backend.Device != "" {
		t += " on " + r.Backend.Device
	}
	if r.Synthetic {
		t += " · synthetic weights"
	}
	return t
}

// Subtitle is the work of a run.
func Subtitle(r *result.Record) string {
	if t := r.Tokens; Metered(r) {
		if t == nil || t.Prompt+t.Output == 0 {
			return ""
		}
		return fmt.Sprintf("marked: %d prompt tokens, %d decoded", t.Prompt, t.Output)
	}
	w := r.Config.Workload
	if w.Load.Trace != "" {
		return naming.Prompts(w) + ", batch " + r.Config.BatchText()
	}
	s := fmt.Sprintf("%s, at most %d tokens in, %d out, batch %s", naming.Prompts(w), w.InputTokens,
		w.OutputTokens, r.Config.BatchText())
	repeats := 1
	if r.Window != nil && r.Window.Repeats > 1 {
		repeats = r.Window.Repeats
	}
	if t := r.Tokens; t != nil && t.Prompt == int64(repeats*w.Prompts*w.InputTokens) {
		s = fmt.Sprintf("%s, %d tokens in, %d out, batch %s", digits.Count(w.Prompts, "prompt"), w.InputTokens,
			w.OutputTokens, r.Config.BatchText())
	}
	if r.Backend.Threads > 0 {
		s += ", " + digits.Count(r.Backend.Threads, "thread")
	}
	if repeats > 1 {
		s += fmt.Sprintf(", %d times over", repeats)
	}
	return s
}

// speed shows throughput and latency.
func speed(r *result.Record) Section {
	s := Section{Name: "Speed", Columns: []string{"mean", "p50", "p90", "p99"}}
	few := map[string][]string{}
	for _, q := range latencies(r) {
		row := Row{Label: q.label}
		if q.d == nil {
			row.Cells = []string{missing, missing, missing, missing}
		} else {
			row.Cells = []string{view.Duration(q.d.Mean), view.Duration(q.d.P50), durationOr(q.d.P90),
				durationOr(q.d.P99)}
			few[q.d.Reason] = append(few[q.d.Reason], q.label)
		}
		s.Rows = append(s.Rows, row)
	}
	t := r.Throughput
	s.Note = fmt.Sprintf("%s output tokens/s · %s total tokens/s · %s requests/s over %s",
		digits.Significant(t.OutputTokensPerS, 3), digits.Significant(t.TotalTokensPerS, 3),
		digits.Significant(t.RequestsPerS, 3), digits.SI(r.Window.DurationS, "s")) + leftOut(r.Latency)
	s.Note += whyWithout(r, "latency", slices.Collect(maps.Keys(few))...)
	s.Detail = warmup(r)
	for _, reason := range slices.Sorted(maps.Keys(few)) {
		if reason != "" {
			s.Note += "\n" + strings.Join(few[reason], ", ") + ": " + reason
		}
	}
	return s
}

// latencies returns the rows of latency, with queue and response if there was a queue or if service
// times are unknown.
func latencies(r *result.Record) []labelled {
	l := r.Latency
	rows := []labelled{{"TTFT", l.TTFT}, {"ITL", l.ITL}, {"TPOT", l.TPOT}, {"end to end", l.E2E}}
	q := view.QueuesOf([]*result.Record{r})
	if q.Waited {
		rows = slices.Insert(rows, 0, labelled{metric.Head(view.QueueMetric), l.Queue})
	}
	if q.Waited || q.Unknown {
		rows = append(rows, labelled{metric.Head(view.ResponseMetric), l.ResponseTTFT},
			labelled{metric.Head("latency.response_e2e_ms.p50"), l.ResponseE2E})
	}
	return rows
}

// labelled is a row of latency.
type labelled struct {
	label string
	d     *result.Distribution
}

// whyWithout returns lines on why numbers of a part of the record are missing, without the reasons in told.
func whyWithout(r *result.Record, part string, told ...string) string {
	var reasons []string
	labels := map[string][]string{}
	for _, m := range r.Missing() {
		if m.Of != part && !strings.HasPrefix(m.Of, part+".") || slices.Contains(told, m.Reason) {
			continue
		}
		if labels[m.Reason] == nil {
			reasons = append(reasons, m.Reason)
		}
		labels[m.Reason] = append(labels[m.Reason], labelsOf(r, m)...)
	}
	var out strings.Builder
	for _, reason := range reasons {
		out.WriteString("\nno " + strings.Join(labels[reason], ", ") + ": " + reason)
	}
	return out.String()
}

// labelsOf are the headings of the metrics that a reason is about: of a distribution its name alone.
func labelsOf(r *result.Record, why result.Missing) []string {
	var out []string
	for _, m := range result.Metrics() {
		if _, ok := m.Value(r); ok || !why.Holds(m.Name) {
			continue
		}
		if n := len(out); n == 0 || !strings.HasPrefix(m.Label, out[n-1]+" ") {
			out = append(out, m.Label)
		}
	}
	return out
}

// durationOr prints milliseconds that may not be known.
func durationOr(ms *float64) string {
	if ms == nil {
		return missing
	}
	return view.Duration(*ms)
}

// work shows compute and memory.
func work(r *result.Record) Section {
	s := Section{Name: "Work", Columns: []string{"total", "prefill", "decode"}}
	if c := r.Compute; c != nil {
		s.Rows = append(s.Rows,
			Row{"FLOPs", []string{digits.SI(c.FLOPs, "FLOP"), digits.SI(c.FLOPsPrefill, "FLOP"),
				digits.SI(c.FLOPsDecode, "FLOP")}})
		s.Note = fmt.Sprintf("%s parameters (%s without embeddings) · %s",
			digits.SI(float64(c.Parameters), ""), digits.SI(float64(c.NonEmbedding), ""), digits.SI(c.FLOPsPerS,
				"FLOP/s"))
		if c.FLOPsPerJ != nil {
			s.Note += " · " + digits.SI(*c.FLOPsPerJ, "FLOP/J")
		}
	} else {
		s.Rows = append(s.Rows, Row{"FLOPs", []string{missing, missing, missing}})
	}
	memory := "memory: peak " + bytesOr(r.Memory.PeakBytes)
	if r.Memory.PeakSource != "" {
		memory += " (" + r.Memory.PeakSource + ")"
	}
	if p := r.Memory.ProcessPeakBytes; p != nil && r.Memory.ProcessMethod != r.Memory.Method {
		memory += ", of its processes " + digits.Bytes(*p).String() + " (" + string(r.Memory.ProcessMethod) + ")"
	}
	memory += ", weights and KV cache by shape " + bytesOr(r.Memory.EstimatedBytes)
	memory += whyWithout(r, "memory") + whyWithout(r, "compute")
	tokens := fmt.Sprintf("tokens: %d of prompts, %d of output", r.Tokens.Prompt, r.Tokens.Output)
	s.Note = strings.TrimPrefix(s.Note+"\n"+tokens+"\n"+memory, "\n")
	return s
}

func bytesOr(b *int64) string {
	if b == nil {
		return missing
	}
	return digits.Bytes(*b).String()
}

// Sides names the configuration of runs in one line: one run with its numbers, several with their number.
func Sides(runs []*result.Record) string {
	if len(runs) == 1 {
		return Line(runs[0])
	}
	text := about(runs[0]) + ": " + digits.Count(len(runs), "run")
	if p := runs[0].Energy.Provenance; p == result.Modelled || p == result.Simulated {
		text += " [" + string(p) + "]"
	}
	if flags := lineFlags(runs[0]); flags != "" {
		text += " [" + flags + "]"
	}
	return text
}

// about is what a run measured, in one line.
func about(r *result.Record) string {
	if Metered(r) {
		return Title(r)
	}
	w := r.Config.Workload
	work := fmt.Sprintf("%d→%d tokens x %d", w.InputTokens, w.OutputTokens, w.Prompts)
	if w.Load.Trace != "" {
		work = naming.Prompts(w)
	}
	return strings.Join([]string{r.Config.Model, strings.TrimSpace(r.Backend.Name + " " + r.Backend.Version),
		view.DType(r), "batch " + r.Config.BatchText(), work}, ", ")
}

// Line is the run in one line.
func Line(r *result.Record) string {
	var b strings.Builder
	b.WriteString(about(r) + ": ")
	if r.Status != result.OK {
		b.WriteString(string(r.Status))
		if r.Failure != nil && string(r.Failure.Class) != string(r.Status) {
			b.WriteString(" (" + string(r.Failure.Class) + ")")
		}
		return b.String()
	}
	e := r.Energy
	if r.Throughput != nil {
		b.WriteString(digits.Significant(r.Throughput.OutputTokensPerS, 3) + " tok/s")
		b.WriteString(firstToken(r.Latency))
	} else {
		b.WriteString(digits.SI(r.Window.DurationS, "s"))
	}
	switch {
	case Metered(r) && e.PerOutputTokenJ == nil && e.TotalJ != nil:
		b.WriteString(", " + Stated(e.TotalJ, "J") + " [" + strings.Join(e.Sources, ", ") + "]")
	case e.PerOutputTokenJ == nil && e.TotalJ != nil:
		b.WriteString(", energy not attributable")
	case e.PerOutputTokenJ == nil:
		b.WriteString(", energy not measured")
	default:
		fmt.Fprintf(&b, ", %s/output token", Stated(e.PerOutputTokenJ, "J"))
		if p := e.Phases; p != nil && p.Prefill.JPerToken != nil && p.Decode.JPerToken != nil {
			fmt.Fprintf(&b, " (prefill %s, decode %s per token)", digits.SI(*p.Prefill.JPerToken, "J"),
				digits.SI(*p.Decode.JPerToken, "J"))
		}
		if e.Provenance == result.Modelled || e.Provenance == result.Simulated {
			b.WriteString(" [" + string(e.Provenance) + "]")
		} else {
			b.WriteString(" [" + strings.Join(e.Sources, ", ") + "]")
		}
	}
	if q := e.NodePerOutputTokenJ; q != nil {
		b.WriteString(", node " + Stated(q, "J") + "/output token [" + q.Source + "]")
	}
	if code := r.Unequal(); code != "" {
		b.WriteString(" [" + view.NotCompared + ": " + string(code) + "]")
	}
	if flags := lineFlags(r); flags != "" {
		b.WriteString(" [" + flags + "]")
	}
	return b.String()
}

// firstToken returns the time to the first token in words: the service time and the queue, or the
// response time if the two are unknown.
func firstToken(l *result.Latency) string {
	switch {
	case l == nil:
	case l.TTFT != nil && l.Queue != nil && l.Queue.Mean > view.Noticeable*l.TTFT.Mean:
		return fmt.Sprintf(", TTFT p50 %s after %s in the queue", p50(l.TTFT), p50(l.Queue))
	case l.TTFT != nil:
		return ", TTFT p50 " + p50(l.TTFT)
	case l.ResponseTTFT != nil:
		return ", TTFT p50 with the queue " + p50(l.ResponseTTFT)
	}
	return ""
}
