// Package report turns results into something a person reads. It reads records
// only: nothing that it shows comes from memory of the run. One view model per
// run feeds every printer, so that a number looks and reads the same everywhere.
package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/unit"
)

// View is a run, ready to print.
type View struct {
	Title    string
	Subtitle string
	// Sections hold rows of a label and cells.
	Sections []Section
	Warnings []string
	// Line is one line for a chat or a paper.
	Line   string
	Status result.Status
	// Failure is set for a run without a result.
	Failure *result.Failure
}

// Section is a small table. Columns may be empty.
type Section struct {
	Name    string
	Columns []string
	Rows    []Row
	// Note stands below the table.
	Note string
}

// Row is a line of a section.
type Row struct {
	Label string
	Cells []string
}

const missing = "–"

// NewView makes the view of a record.
func NewView(r *result.Record) View {
	v := View{Title: title(r), Subtitle: subtitle(r), Status: r.Status, Failure: r.Failure}
	for _, w := range r.Warnings {
		v.Warnings = append(v.Warnings, w.Message)
	}
	if r.Status != result.OK {
		return v
	}
	v.Sections = []Section{speed(r), energy(r), work(r)}
	v.Line = Line(r)
	return v
}

func title(r *result.Record) string {
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

func subtitle(r *result.Record) string {
	w := r.Config.Workload
	s := fmt.Sprintf("%s, at most %d tokens in, %d out, batch %d", count(w.Prompts, "prompt"), w.InputTokens, w.OutputTokens, r.Config.BatchSize())
	if t := r.Tokens; t != nil && t.Prompt == int64(w.Prompts*w.InputTokens) {
		s = fmt.Sprintf("%s, %d tokens in, %d out, batch %d", count(w.Prompts, "prompt"), w.InputTokens, w.OutputTokens, r.Config.BatchSize())
	}
	if r.Backend.Threads > 0 {
		s += ", " + count(r.Backend.Threads, "thread")
	}
	return s
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// speed shows throughput and latency.
func speed(r *result.Record) Section {
	s := Section{Name: "Speed", Columns: []string{"mean", "p50", "p90", "p99"}}
	for _, q := range []struct {
		label string
		d     *result.Distribution
	}{{"TTFT", r.Latency.TTFT}, {"ITL", r.Latency.ITL}, {"TPOT", r.Latency.TPOT}, {"end to end", r.Latency.E2E}} {
		row := Row{Label: q.label}
		if q.d == nil {
			row.Cells = []string{missing, missing, missing, missing}
		} else {
			row.Cells = []string{duration(q.d.Mean), duration(q.d.P50), duration(q.d.P90), duration(q.d.P99)}
		}
		s.Rows = append(s.Rows, row)
	}
	t := r.Throughput
	s.Note = fmt.Sprintf("%s output tokens/s · %s total tokens/s · %s requests/s over %s",
		unit.Significant(t.OutputTokensPerS, 3), unit.Significant(t.TotalTokensPerS, 3),
		unit.Significant(t.RequestsPerS, 3), unit.SI(r.Window.DurationS, "s"))
	return s
}

// duration prints milliseconds with an SI prefix.
func duration(ms float64) string { return unit.SI(ms/1e3, "s") }

// energy shows the joules with their provenance.
func energy(r *result.Record) Section {
	e := r.Energy
	s := Section{Name: "Energy (" + provenance(r) + ")"}
	if e.TotalJ == nil {
		s.Name = "Energy (not measured)"
		s.Note = e.Reason
		return s
	}
	s.Columns = []string{"total", "prefill", "decode", "other"}
	s.Rows = append(s.Rows, phaseRow("energy", unit.SI(e.TotalJ.Value, "J"), e.Phases, func(p *result.Phase) string { return pointer(p.EnergyJ, "J") }))
	s.Rows = append(s.Rows, phaseRow("  ± stat, 95 %", interval(e.TotalJ, "J"), e.Phases, phaseInterval))
	if p := e.Phases; p != nil && p.SharedJ > 0 {
		s.Rows = append(s.Rows, phaseRow("  bounds", missing, p, bounds))
	}
	s.Rows = append(s.Rows, phaseRow("per output token", valueOr(e.PerOutputTokenJ, "J"), e.Phases, perOutputToken(r)))
	s.Rows = append(s.Rows, phaseRow("per own token", valueOr(e.PerTotalTokenJ, "J"), e.Phases, perToken))
	s.Rows = append(s.Rows, phaseRow("mean power", unit.SI(e.MeanW.Value, "W"), e.Phases, func(p *result.Phase) string {
		return pointer(p.MeanW, "W")
	}))
	s.Rows = append(s.Rows, phaseRow("time", unit.SI(r.Window.DurationS, "s"), e.Phases, func(p *result.Phase) string { return unit.SI(p.DurationS, "s") }))
	s.Note = strings.Join(energyNotes(r), "\n")
	return s
}

// perOutputToken is a phase's part of the energy of an output token: the phases
// beside each other add up to the total. Per own token, prefill is divided by
// prompt tokens and decode by the tokens it generated.
func perOutputToken(r *result.Record) func(*result.Phase) string {
	return func(p *result.Phase) string {
		if r.Tokens == nil || r.Tokens.Output == 0 || p.EnergyJ == nil {
			return missing
		}
		return unit.SI(*p.EnergyJ/float64(r.Tokens.Output), "J")
	}
}

func valueOr(q *result.Quantity, of string) string {
	if q == nil {
		return missing
	}
	return unit.SI(q.Value, of)
}

func perToken(p *result.Phase) string { return pointer(p.JPerToken, "J") }

// pointer prints a value that may be unknown.
func pointer(v *float64, of string) string {
	if v == nil {
		return missing
	}
	return unit.SI(*v, of)
}

func provenance(r *result.Record) string {
	switch r.Energy.Provenance {
	case result.Measured:
		return "measured, " + r.Energy.Scope + ": " + r.Energy.TotalJ.Method + ", " + strings.Join(r.Energy.Sources, ", ")
	case result.Modelled:
		if simulated(r) {
			return "SIMULATED, not measured: " + strings.Join(r.Energy.Sources, ", ")
		}
		return "MODELLED, not measured: " + strings.Join(r.Energy.Sources, ", ")
	}
	return "not measured"
}

func phaseRow(label, total string, p *result.Phases, cell func(*result.Phase) string) Row {
	row := Row{Label: label, Cells: []string{total, missing, missing, missing}}
	if p != nil {
		row.Cells = []string{total, cell(p.Prefill), cell(p.Decode), cell(p.Other)}
	}
	return row
}

// bounds of a phase over all ways of sharing out what mixed steps cost.
func bounds(p *result.Phase) string {
	if p.LowJ == nil || p.HighJ == nil {
		return missing
	}
	return unit.SI(*p.LowJ, "J") + "…" + unit.SI(*p.HighJ, "J")
}

func phaseInterval(p *result.Phase) string {
	if p.CI95 == nil {
		return missing
	}
	return "±" + unit.SI((p.CI95[1]-p.CI95[0])/2, "J")
}

// interval prints the statistical half width.
func interval(q *result.Quantity, of string) string {
	return "±" + unit.SI((q.CI95[1]-q.CI95[0])/2, of)
}

// Stated prints value ± statistical ± gain.
func Stated(q *result.Quantity, of string) string {
	half := (q.CI95[1] - q.CI95[0]) / 2
	return fmt.Sprintf("%s ± %s (stat) ± %s (gain)", unit.SI(q.Value, of), unit.SI(half, of), unit.SI(q.Gain95, of))
}

func energyNotes(r *result.Record) []string {
	e := r.Energy
	var notes []string
	notes = append(notes, Stated(e.TotalJ, "J")+" in all, gross")
	if q := e.PerOutputTokenJ; q != nil {
		notes = append(notes, Stated(q, "J")+" per output token, gross")
	}
	if q := e.PerRequestJ; q != nil {
		notes = append(notes, fmt.Sprintf("%s per request · %s Wh per 1000 requests", unit.SI(q.Value, "J"), unit.Significant(e.WhPer1000Requests.Value, 3)))
	}
	notes = append(notes, nets(r)...)
	if a := e.Agreement; a != nil && a.DifferencePct != nil {
		notes = append(notes, fmt.Sprintf("counter %s, integral of the series %s (%+.2f %%)",
			unit.SI(*a.CounterJ, "J"), unit.SI(*a.IntegralJ, "J"), *a.DifferencePct))
	}
	notes = append(notes, phaseNotes(e)...)
	if q := e.UnattributedJ; q != nil {
		notes = append(notes, unattributed(q.Value, e.TotalJ.Value))
	}
	if q := e.CO2eG; q != nil {
		notes = append(notes, unit.SI(q.Value, "g")+" CO2e at the stated grid intensity")
	}
	if q := e.Cost; q != nil {
		notes = append(notes, "cost "+unit.Significant(q.Value, 3)+", in the currency of price_per_kwh")
	}
	if h := r.Harness; h != nil && h.SamplerCPUPct > 0 {
		notes = append(notes, fmt.Sprintf("sampling took %s %% of one core", unit.Significant(h.SamplerCPUPct, 2)))
	}
	switch {
	case e.Provenance != result.Modelled:
	case simulated(r):
		notes = append(notes, "a simulated GPU: these joules exist nowhere")
	default:
		notes = append(notes, "a model of the CPU stands behind these joules, not a sensor; `llem config` says why no sensor is read")
	}
	return notes
}

// simulated says that the energy is that of a simulated GPU.
func simulated(r *result.Record) bool { return r.Backend.Name == "fake" }

// nets are the energies net of idle, each with the idle power that it is net of.
func nets(r *result.Record) []string {
	e := r.Energy
	var notes []string
	for _, q := range []struct {
		net, idle *result.Quantity
		what      string
	}{{e.NetJ, e.BaselineW, "net of the bare idle machine"}, {e.NetResidentJ, e.ResidentW, "net of idle with the model loaded"}} {
		if q.net == nil || r.Tokens.Output == 0 {
			continue
		}
		notes = append(notes, fmt.Sprintf("%s per output token %s (%s)", unit.SI(q.net.Value/float64(r.Tokens.Output), "J"), q.what, unit.SI(q.idle.Value, "W")))
	}
	return notes
}

// phaseNotes say how the split was found, or why there is none.
func phaseNotes(e result.Energy) []string {
	if e.Phases == nil {
		if e.PhasesReason == "" {
			return nil
		}
		return []string{"no phase split: " + e.PhasesReason}
	}
	var notes []string
	for _, q := range []struct {
		name string
		p    *result.Phase
	}{{"prefill", e.Phases.Prefill}, {"decode", e.Phases.Decode}} {
		if q.p.Reason != "" {
			notes = append(notes, "no energy of "+q.name+": "+q.p.Reason)
		}
	}
	for _, f := range e.Phases.Fits {
		notes = append(notes, fmt.Sprintf("phases on %s by regression of %d samples through the sensor (window %s ms, filter %s ms, lag %s ms as fitted)",
			f.Device, f.Samples, unit.Significant(f.WindowMS, 2), unit.Significant(f.FilterMS, 2), unit.Significant(f.LagMS, 2)))
	}
	if e.Phases.SharedJ > 0 {
		notes = append(notes, "mixed steps spend "+unit.SI(e.Phases.SharedJ, "J")+" on both phases together: each has half of it, the bounds give it all to one")
	}
	return notes
}

// unattributed is the part of the total that the phases leave.
func unattributed(joules, total float64) string {
	share := 100 * joules / total
	if math.Abs(share) < 0.005 {
		return "unattributed: less than 0.01 % of the total"
	}
	return fmt.Sprintf("unattributed: %s (%s %% of the total)", unit.SI(joules, "J"), unit.Significant(share, 2))
}

// work shows compute and memory.
func work(r *result.Record) Section {
	s := Section{Name: "Work", Columns: []string{"total", "prefill", "decode"}}
	if c := r.Compute; c != nil {
		s.Rows = append(s.Rows, Row{"FLOPs", []string{unit.SI(c.FLOPs, "FLOP"), unit.SI(c.FLOPsPrefill, "FLOP"), unit.SI(c.FLOPsDecode, "FLOP")}})
		s.Note = fmt.Sprintf("%s parameters (%s without embeddings) · %s",
			unit.SI(float64(c.Parameters), ""), unit.SI(float64(c.NonEmbedding), ""), unit.SI(c.FLOPsPerS, "FLOP/s"))
		if c.FLOPsPerJ != nil {
			s.Note += " · " + unit.SI(*c.FLOPsPerJ, "FLOP/J")
		}
	} else {
		s.Rows = append(s.Rows, Row{"FLOPs", []string{missing, missing, missing}})
	}
	memory := "memory: peak " + bytesOr(r.Memory.PeakBytes)
	if r.Memory.PeakSource != "" {
		memory += " (" + r.Memory.PeakSource + ")"
	}
	memory += ", weights and KV cache by shape " + bytesOr(r.Memory.EstimatedBytes)
	tokens := fmt.Sprintf("tokens: %d of prompts, %d of output", r.Tokens.Prompt, r.Tokens.Output)
	s.Note = strings.TrimPrefix(s.Note+"\n"+tokens+"\n"+memory, "\n")
	return s
}

func bytesOr(b *int64) string {
	if b == nil {
		return missing
	}
	return unit.Bytes(*b).String()
}

// Line is the run in one line.
func Line(r *result.Record) string {
	var b strings.Builder
	w := r.Config.Workload
	parts := []string{r.Config.Model, strings.TrimSpace(r.Backend.Name + " " + r.Backend.Version), dtype(r),
		fmt.Sprintf("batch %d", r.Config.BatchSize()), fmt.Sprintf("%d→%d tokens x %d", w.InputTokens, w.OutputTokens, w.Prompts)}
	b.WriteString(strings.Join(parts, ", ") + ": ")
	if r.Status != result.OK {
		b.WriteString(string(r.Status))
		if r.Failure != nil && r.Failure.Class != string(r.Status) {
			b.WriteString(" (" + r.Failure.Class + ")")
		}
		return b.String()
	}
	b.WriteString(unit.Significant(r.Throughput.OutputTokensPerS, 3) + " tok/s")
	if r.Latency.TTFT != nil {
		fmt.Fprintf(&b, ", TTFT p50 %s", duration(r.Latency.TTFT.P50))
	}
	e := r.Energy
	if e.PerOutputTokenJ == nil {
		b.WriteString(", energy not measured")
	} else {
		fmt.Fprintf(&b, ", %s/output token", Stated(e.PerOutputTokenJ, "J"))
		if p := e.Phases; p != nil && p.Prefill.JPerToken != nil && p.Decode.JPerToken != nil {
			fmt.Fprintf(&b, " (prefill %s, decode %s per token)", unit.SI(*p.Prefill.JPerToken, "J"), unit.SI(*p.Decode.JPerToken, "J"))
		}
		if e.Provenance == result.Modelled {
			b.WriteString(" [modelled]")
		} else {
			b.WriteString(" [" + strings.Join(e.Sources, ", ") + "]")
		}
	}
	if r.Synthetic {
		b.WriteString(" [synthetic weights]")
	}
	return b.String()
}
