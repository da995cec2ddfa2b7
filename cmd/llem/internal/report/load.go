package report

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/loads"
	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/result"
)

// load shows everything that a run tells about its load and its objective.
func load(r *result.Record) []Section {
	l := r.Load
	return []Section{{Name: "Load (" + l.Kind + ")",
		Columns: []string{"offered", "sent", "completed", "good"},
		Rows: []Row{
			{"requests/s", []string{three(l.OfferedRPS), three(l.SentRPS), three(l.CompletedRPS), three(l.GoodputRPS)}},
			{"requests", []string{fmt.Sprint(l.Scheduled), missing,
				fmt.Sprint(max(0, l.Scheduled-l.Failed-l.Cut)), fmt.Sprint(l.Good)}}},
		Note: strings.Join(loadNotes(r), "\n")},
		{Name: "Client", Columns: []string{"mean", "p50", "p90", "p99"}, Rows: []Row{
			timesRow("send lag", l.SendLagMS), timesRow("service TTFT", l.ServiceTTFTMS),
			timesRow("service end to end", l.ServiceE2EMS)}},
		{Name: "Energy at load", Columns: []string{"value", "± stat, 95 %", "± gain, 95 %"}, Rows: []Row{
			quantityRow("per good token", l.PerGoodTokenJ),
			quantityRow("per good token, in the long run", l.LongRunGoodTokenJ),
			quantityRow("per output token, in the long run", l.LongRunOutputTokenJ), quantityRow("wasted", l.WastedJ),
			quantityRow("idle", l.IdleJ), quantityRow("ramp", l.RampJ), quantityRow("drain", l.DrainJ)},
			Note: strings.Join(spentNotes(r), "\n")}}
}

func three(v float64) string { return digits.Significant(v, 3) }

// timesRow is a row of a distribution.
func timesRow(label string, d *result.Distribution) Row {
	if d == nil {
		return Row{label, []string{missing, missing, missing, missing}}
	}
	return Row{label, []string{view.Duration(d.Mean), view.Duration(d.P50), durationOr(d.P90), durationOr(d.P99)}}
}

// quantityRow is a row of an energy with its uncertainties.
func quantityRow(label string, q *result.Quantity) Row {
	if q == nil {
		return Row{label, []string{missing, missing, missing}}
	}
	return Row{label, []string{digits.SI(q.Value, "J"), "±" + digits.SI(half(q.CI95), "J"),
		"±" + digits.SI(q.Gain95, "J")}}
}

// loadNotes are the verdict, the state of the queue, and the window.
func loadNotes(r *result.Record) []string {
	l := r.Load
	var notes []string
	if taken := loads.Trace(r); taken != "" {
		notes = append(notes, "trace "+taken)
	}
	if a := l.Attainment; a != nil {
		note := "good: " + loads.Fraction(a.Value, &a.CI95) + " of the scheduled requests, by Wilson's interval"
		if n := l.EffectiveN; n != nil {
			note += " for " + three(*n) + " independent ones"
		}
		notes = append(notes, note)
	}
	if objective := loads.Objective(r.Config.Workload.SLO); objective != "" {
		notes = append(notes, "objective "+objective+": "+cmp.Or(l.SLOMet, "not judged"))
	}
	if l.Failed+l.Cut+l.Capped > 0 {
		notes = append(notes, fmt.Sprintf("%d failed, %d had no answer at the end, %d waited for workload.concurrency",
			l.Failed, l.Cut, l.Capped))
	}
	queue := fmt.Sprintf("in flight: %s on average, at most %d", three(l.InFlight), l.MaxInFlight)
	if s := l.BacklogSlope; s != nil {
		queue += fmt.Sprintf("; the backlog changes by %s requests/s (%s…%s)", signed(s.Value), signed(s.CI95[0]),
			signed(s.CI95[1]))
	}
	if l.Saturated {
		queue += ": saturated, so there are no percentiles: they would describe the length of the run"
	}
	notes = append(notes, queue)
	if v := l.LittlePct; v != nil {
		notes = append(notes, "Little's law: in flight differs from rate × response time by "+signed(*v)+" %")
	}
	if v := l.GapCV; v != nil {
		notes = append(notes, "times between scheduled requests: coefficient of variation "+three(*v)+
			" (Poisson 1, constant 0)")
	}
	if h := l.Halves; h != nil {
		word := "stationary"
		if !h.Stationary {
			word = "NOT stationary"
		}
		notes = append(notes, "halves of the window: "+word+"; the second has "+pct(h.PowerPct)+" power, "+
			pct(h.RatePct)+" output tokens/s")
	}
	return append(notes, fmt.Sprintf("window: %s after a ramp of %s, a drain of %s follows (%s)",
		digits.SI(r.Window.DurationS, "s"), digits.SI(l.RampS, "s"), digits.SI(l.DrainS, "s"), l.WindowMethod))
}

// signed prints a number with three digits.
func signed(v float64) string { return digits.Signed(three(v)) }

// pct prints a difference in percent that may be unknown.
func pct(v *float64) string {
	if v == nil {
		return missing
	}
	return digits.Signed(fmt.Sprintf("%+.1f", *v)) + " %"
}

// spentNotes are where the energy of the window went.
func spentNotes(r *result.Record) []string {
	l := r.Load
	notes := []string{fmt.Sprintf("output tokens of the window: %d of good requests, %d of others", l.GoodTokens,
		l.WastedTokens), "without a request in flight: " + digits.SI(l.IdleS, "s") + " of " +
		digits.SI(r.Window.DurationS, "s")}
	if l.EnergyReason != "" {
		notes = append(notes, l.EnergyReason)
	}
	if l.LongRunReason != "" && l.LongRunReason != l.EnergyReason {
		notes = append(notes, "in the long run: "+l.LongRunReason)
	}
	if q := l.Search; q != nil {
		notes = append(notes, searchNote(q))
	}
	return notes
}

// searchNote are the loads of a search with their verdicts.
func searchNote(q *result.Search) string {
	var all []string
	for _, p := range q.Probes {
		text := three(p.Load) + " " + p.Verdict
		if p.Role != "probe" {
			text += " (" + p.Role + ")"
		}
		all = append(all, text)
	}
	state := "resolved"
	if !q.Resolved {
		state = "not resolved: " + q.Reason
	}
	return "search over " + q.Over + ", " + state + ": " + strings.Join(all, ", ")
}

// loads prints the points of all configurations by load, if the study has some.
func (t Terminal) loads(b *strings.Builder, s *result.StudyResult) error {
	all, err := loads.Of(s)
	if err != nil || len(all.Groups) == 0 {
		return err
	}
	b.WriteString("\n")
	for _, answer := range all.Answers() {
		t.styled(b, t.bold, answer)
	}
	b.WriteString("\n")
	t.print(b, loads.Table(all.Groups, len(all.Groups) > 1, loads.Columns()))
	for _, g := range all.Groups {
		name := "load line "
		if g.Name != "" {
			name = g.Name + ": "
		}
		t.wrap(b, "  ", "    ", name+g.LineText())
	}
	for _, taken := range all.Traces() {
		t.wrap(b, "  ", "    ", taken)
	}
	for _, why := range append(loads.Dashes(all), all.Unresolved()) {
		if why != "" {
			t.wrap(b, "  ", "    ", missing+" "+strings.TrimPrefix(why, "? "))
		}
	}
	b.WriteString("\n")
	return nil
}
