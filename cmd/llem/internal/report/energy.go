package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/atload"
	"github.com/llenergymeasure/llem/internal/clientaudit"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/result"
)

// energy shows the joules with their provenance.
func energy(r *result.Record) Section {
	e := r.Energy
	if e.TotalJ == nil {
		return Section{Name: "Energy (not measured)", Note: e.Reason}
	}
	if e.PerOutputTokenJ == nil && r.Unequal() != "" {
		return board(r)
	}
	s := Section{Name: "Energy (" + provenance(r) + ")", Columns: []string{"total", "prefill", "decode", "other"}}
	row := func(label, total string, cell func(*result.Phase) string) {
		cells := []string{total, missing, missing, missing}
		if p := e.Phases; p != nil {
			cells = []string{total, cell(p.Prefill), cell(p.Decode), cell(p.Other)}
		}
		s.Rows = append(s.Rows, Row{label, cells})
	}
	row("energy", digits.SI(e.TotalJ.Value, "J"), func(p *result.Phase) string { return pointer(p.EnergyJ, "J") })
	row("  ± stat, 95 %", "±"+digits.SI(half(e.TotalJ.CI95), "J"), phaseInterval)
	row("  ± gain, 95 %", "±"+digits.SI(e.TotalJ.Gain95, "J"),
		func(p *result.Phase) string { return plusMinus(p.Gain95) })
	if e.Phases != nil && e.Phases.SharedJ > 0 {
		s.Rows = append(s.Rows,
			Row{"  bounds", []string{missing, bounds(e.Phases.Prefill), bounds(e.Phases.Decode), missing}})
	}
	row("per output token", valueOr(e.PerOutputTokenJ, "J"), perOutputToken(r))
	row("per token of the phase", valueOr(e.PerTotalTokenJ, "J"), perToken)
	if q := e.PerTotalTokenJ; q != nil {
		row("  ± stat, 95 %", "±"+digits.SI(half(q.CI95), "J"),
			func(p *result.Phase) string { return interval(p.JPerToken, p.JPerTokenCI95) })
		row("  ± gain, 95 %", "±"+digits.SI(q.Gain95, "J"),
			func(p *result.Phase) string { return plusMinus(p.JPerTokenGain95) })
	}
	row("mean power", valueOr(e.MeanW, "W"), func(p *result.Phase) string { return pointer(p.MeanW, "W") })
	row("time", digits.SI(r.Window.DurationS, "s"), func(p *result.Phase) string { return digits.SI(p.DurationS, "s") })
	s.Note = strings.Join(energyNotes(r), "\n")
	s.Detail = strings.Join(energyDetails(r), "\n")
	return s
}

// board shows the energy of GPUs on which other work ran too: a total, and nothing per token.
func board(r *result.Record) Section {
	e := r.Energy
	return Section{Name: "Energy (NOT ATTRIBUTABLE to the run: a total of the board)",
		Columns: []string{"total"},
		Rows: []Row{{"energy of the board", []string{digits.SI(e.TotalJ.Value, "J")}},
			{"mean power of the board", []string{valueOr(e.MeanW, "W")}},
			{"per output token", []string{missing}}},
		Note: e.Reason}
}

// node shows the energy of the whole machine by its own meter.
func node(r *result.Record) Section {
	e := r.Energy
	if e.NodeJ == nil {
		return Section{Name: "Node (not measured)", Note: e.NodeReason}
	}
	s := Section{Name: "Node (the whole machine, measured: " + e.NodeJ.Source + ")", Columns: []string{"total"},
		Rows: []Row{{"energy", []string{digits.SI(e.NodeJ.Value, "J")}},
			{"  ± stat, 95 %", []string{"±" + digits.SI(half(e.NodeJ.CI95), "J")}},
			{"  ± gain, 95 %", []string{"±" + digits.SI(e.NodeJ.Gain95, "J")}},
			{"per output token", []string{valueOr(e.NodePerOutputTokenJ, "J")}},
			{"mean power", []string{valueOr(e.NodeW, "W")}}}}
	s.Note = "it includes the devices above and is never added to them"
	if q := e.NodeOverheadJ; q != nil {
		s.Rows = append(s.Rows, Row{"beside the devices", []string{digits.SI(q.Value, "J")}})
		s.Note += "; beside the devices: " + Stated(q, "J") + ", losses of the power supply included"
	}
	return s
}

func provenance(r *result.Record) string {
	sources := strings.Join(r.Energy.Sources, ", ")
	switch r.Energy.Provenance {
	case result.Measured:
		return "measured, " + r.Energy.Scope + ": " + r.Energy.TotalJ.Method + ", " + sources
	case result.Simulated:
		return "SIMULATED, not measured"
	default:
		return strings.ToUpper(string(r.Energy.Provenance)) + ", not measured: " + sources
	}
}

// perOutputToken returns a phase's share of the energy of an output token: the shares
// add up to the total. Per token of the phase, prefill is divided by prompt tokens and
// decode by the tokens it generated.
func perOutputToken(r *result.Record) func(*result.Phase) string {
	return func(p *result.Phase) string {
		if r.Tokens == nil || r.Tokens.Output == 0 || p.EnergyJ == nil {
			return missing
		}
		return digits.SI(*p.EnergyJ/float64(r.Tokens.Output), "J")
	}
}

// valueOr prints the value of a quantity that may be unknown.
func valueOr(q *result.Quantity, of string) string {
	if q == nil {
		return missing
	}
	return digits.SI(q.Value, of)
}

// pointer prints a value that may be unknown.
func pointer(v *float64, of string) string {
	if v == nil {
		return missing
	}
	return digits.SI(*v, of)
}

func perToken(p *result.Phase) string { return pointer(p.JPerToken, "J") }

// plusMinus prints a half width that may be unknown.
func plusMinus(v *float64) string {
	if v == nil {
		return missing
	}
	return "±" + digits.SI(*v, "J")
}

// phaseInterval is the statistical interval of a phase.
func phaseInterval(p *result.Phase) string { return interval(p.EnergyJ, p.CI95) }

// interval is ± its half width, or both its limits where zero cuts it off.
func interval(v *float64, ci *[2]float64) string {
	switch {
	case v == nil || ci == nil:
		return missing
	case ci[0] == 0 && ci[1] > 0:
		return "0…" + digits.SI(ci[1], "J")
	}
	return "±" + digits.SI(half(*ci), "J")
}

// bounds returns the limits of a phase over all ways to divide the energy of mixed steps.
func bounds(p *result.Phase) string {
	if p.LowJ == nil || p.HighJ == nil {
		return missing
	}
	return digits.SI(*p.LowJ, "J") + "…" + digits.SI(*p.HighJ, "J")
}

// half is the half width of an interval.
func half(ci [2]float64) float64 { return (ci[1] - ci[0]) / 2 }

// Stated prints value ± statistical ± gain.
func Stated(q *result.Quantity, of string) string { return stated(q, 1, of) }

// stated is Stated of a quantity times a factor.
func stated(q *result.Quantity, factor float64, of string) string {
	return fmt.Sprintf("%s ± %s (stat) ± %s (gain)", digits.SI(factor*q.Value, of), digits.SI(factor*half(q.CI95), of),
		digits.SI(factor*q.Gain95, of))
}

// energyNotes are the lines below the table that every reader needs.
func energyNotes(r *result.Record) []string {
	e := r.Energy
	notes := []string{Stated(e.TotalJ, "J") + " in all, gross"}
	if q := e.PerOutputTokenJ; q != nil {
		notes = append(notes, Stated(q, "J")+" per output token, gross")
	}
	notes = append(notes, nets(r)...)
	if q, wh := e.PerRequestJ, e.WhPer1000Requests; q != nil && wh != nil {
		notes = append(notes, fmt.Sprintf("%s per request · %s Wh per 1000 requests", digits.SI(q.Value, "J"),
			digits.Significant(wh.Value, 3)))
	}
	if a := e.Agreement; a != nil && a.DifferencePct != nil {
		notes = append(notes, fmt.Sprintf("counter %s, integral of the series %s (%s %%)",
			digits.SI(*a.CounterJ, "J"), digits.SI(*a.IntegralJ, "J"),
			digits.Signed(fmt.Sprintf("%+.2f", *a.DifferencePct))))
	}
	notes = append(notes, phaseNotes(e)...)
	if q := e.UnattributedJ; q != nil {
		notes = append(notes, unattributed(q.Value, e.TotalJ.Value))
	}
	if q := e.CO2eG; q != nil {
		notes = append(notes, digits.SI(q.Value, "g")+" CO2e at the stated grid intensity")
	}
	if q := e.Cost; q != nil {
		notes = append(notes, "cost "+digits.Significant(q.Value, 3)+" "+view.Currency(r.Config.Energy))
	}
	if w := e.MinWindow; w != nil && w.For1PctS > r.Window.DurationS {
		how := fmt.Sprintf("-s energy.min_window=%.0f", math.Ceil(w.For1PctS))
		if a := r.Config.Workload.Load; a.Open() {
			how = atload.Longer(a.Kind)
		}
		notes = append(notes, fmt.Sprintf("window %s; for ±1 %% use %s: %s", digits.SI(r.Window.DurationS, "s"),
			digits.SI(w.For1PctS, "s"), how))
	}
	if h := r.Harness; h != nil && h.CPUS > 0 {
		note := fmt.Sprintf("measuring took %s %% of a core", digits.Significant(100*h.CPUS/r.Window.DurationS, 2))
		if h.EnergyJ != nil {
			note += ", about " + digits.SI(*h.EnergyJ, "J") + " of the processor's energy"
		}
		notes = append(notes, note)
	}
	switch e.Provenance {
	case result.Simulated:
		notes = append(notes, "simulated: no hardware used this energy")
	case result.Modelled:
		notes = append(notes, "estimated from CPU utilisation; no power sensor was read (`llem config` has the reason)")
	}
	return notes
}

// nets are the energies net of idle, each with the idle power that it is net of.
func nets(r *result.Record) []string {
	e := r.Energy
	var notes []string
	for _, i := range view.Idles() {
		net, idle := i.Of(e)
		if net == nil || idle == nil || r.Tokens.Output == 0 {
			continue
		}
		note := fmt.Sprintf("%s per output token, net of %s %s", stated(net, 1/float64(r.Tokens.Output), "J"),
			i.Name, digits.SI(idle.Value, "W"))
		if age := ageOf(e, idle == e.BaselineW); age > 0 {
			note += fmt.Sprintf(" (measured %s earlier)", digits.SI(age, "s"))
		}
		notes = append(notes, note)
	}
	return notes
}

// ageOf returns how long before this run the bare idle power was measured; 0 if the run
// measured it itself.
func ageOf(e result.Energy, bare bool) float64 {
	var age float64
	for _, d := range e.Devices {
		if bare && d.Counted && d.Bare != nil {
			age = max(age, d.Bare.AgeS)
		}
	}
	return age
}

// phaseNotes returns how the phases were separated, or why they were not.
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
	}{{"prefill", e.Phases.Prefill}, {"decode", e.Phases.Decode}, {"the time between steps", e.Phases.Other}} {
		if q.p.EnergyJ == nil {
			notes = append(notes, "no energy of "+q.name+": "+q.p.Reason)
		}
	}
	samples := 0
	for _, f := range e.Phases.Fits {
		samples += f.Samples
	}
	if samples > 0 {
		notes = append(notes, fmt.Sprintf("phases by regression of %d power samples on the engine's steps", samples))
	}
	if e.Phases.SharedJ > 0 {
		notes = append(notes, "mixed steps spend "+digits.SI(e.Phases.SharedJ, "J")+
			" on both phases: each gets half; the bounds give all of it to one phase")
	}
	return notes
}

// unattributed prints the part of the total that belongs to no phase.
func unattributed(joules, total float64) string {
	share := 100 * joules / total
	if math.Abs(share) < 0.005 {
		return "unattributed: less than 0.01 % of the total"
	}
	return fmt.Sprintf("unattributed: %s (%s %% of the total)", digits.SI(joules, "J"), digits.Significant(share, 2))
}

// energyDetails returns how the numbers were computed: the fits, the parts of the
// intervals, the window that a precision needs and the cost of measuring.
func energyDetails(r *result.Record) []string {
	e := r.Energy
	var notes []string
	if e.Phases != nil {
		for _, f := range e.Phases.Fits {
			notes = append(notes, fitDetails(f)...)
		}
	}
	notes = append(notes, budget("total", e.TotalJ)...)
	for _, i := range view.Idles() {
		net, _ := i.Of(e)
		notes = append(notes, budget("net of "+i.Name, net)...)
	}
	if w := e.MinWindow; w != nil {
		notes = append(notes, fmt.Sprintf("with this sensor's timing, ±1 %% needs a window of %s, ±5 %% needs %s",
			digits.SI(w.For1PctS, "s"), digits.SI(w.For5PctS, "s")))
	}
	if h := r.Harness; h != nil {
		cost := fmt.Sprintf("measuring: %s of processor time in the window; reading the sensors took %s %% of a core "+
			"over all of the sampling, %s; peak memory %s, clocks tied within %s",
			digits.SI(h.CPUS, "s"), digits.Significant(h.SamplerCPUPct, 2), digits.Count(h.SamplerPolls, "poll"),
			digits.Bytes(h.PeakBytes), digits.SI(float64(h.ClockSlackNS)/1e9, "s"))
		notes = append(notes, cost)
		if h.Client != nil {
			notes = append(notes, clientaudit.Sentence(h.Client))
		}
	}
	return notes
}

// fitDetails describe the regression on one device.
func fitDetails(f result.PhaseFit) []string {
	sensor := fmt.Sprintf("fit on %s: %d samples; sensor as fitted: window %s, low-pass filter %s, lag %s; "+
		"condition number %s, residual %s",
		f.Device, f.Samples, fitted(f.WindowMS, f.WindowSDMS), fitted(f.FilterMS, f.FilterSDMS), fitted(f.LagMS,
			f.LagSDMS),
		digits.Significant(f.Condition, 3), digits.SI(f.ResidualW, "W"))
	var terms []string
	for _, t := range f.Terms {
		terms = append(terms, fmt.Sprintf("%s %s ± %s", t.Name, digits.SI(t.W, "W"), digits.SI(t.SDW, "W")))
	}
	if len(terms) == 0 {
		return []string{sensor}
	}
	return []string{sensor, "power by work on " + f.Device + " (± standard error): " + strings.Join(terms, ", ")}
}

// fitted prints milliseconds with their standard error.
func fitted(ms, sd float64) string { return fmt.Sprintf("%.1f ± %.1f ms", ms, sd) }

// budget lists what an interval is made of.
func budget(name string, q *result.Quantity) []string {
	if q == nil || len(q.Budget) == 0 {
		return nil
	}
	var terms []string
	for _, t := range q.Budget {
		terms = append(terms, t.Term+" ±"+digits.SI(t.Half95, "J"))
	}
	return []string{"± of " + name + ": " + strings.Join(terms, ", ")}
}
