package screen

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/loads"
	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/atload"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/result"
)

// loadHeadline are the facts of a run at a load behind its energy.
func loadHeadline(r *result.Record) []string {
	l := r.Load
	facts := []string{digits.Significant(l.CompletedRPS, 3) + " of " + digits.Significant(l.OfferedRPS, 3) +
		" req/s completed"}
	if l.Saturated {
		facts = append(facts, "SATURATED")
	}
	return facts
}

// load writes what a run tells about its load: the verdict on the objective, the queue, and where energy went.
func (p *page) load(r *result.Record) {
	l := r.Load
	p.labelled("load", l.Kind+" "+digits.Significant(l.OfferedRPS, 3)+" req/s offered",
		digits.Significant(l.SentRPS, 3)+" sent", digits.Significant(l.CompletedRPS, 3)+" completed",
		digits.Significant(l.InFlight, 3)+" in flight")
	if taken := loads.Trace(r); taken != "" {
		p.labelled("trace", taken)
	}
	if a := l.Attainment; a != nil && l.SLOMet != "" {
		slo := r.Config.Workload.SLO
		facts := []string{verdictWord(l.SLOMet) + ": " + loads.Fraction(a.Value, &a.CI95) + " of " +
			digits.Count(int(l.Scheduled), "request") + " good", "wanted " + loads.Objective(slo)}
		p.labelled("SLO", facts...)
	}
	if l.Saturated {
		p.saturated(l)
	} else {
		p.response(r)
	}
	p.spent(r)
	if q := l.Search; q != nil {
		p.search(q)
	}
}

// verdictWord is a verdict in words.
func verdictWord(met string) string {
	switch met {
	case load.Yes:
		return "met"
	case load.No:
		return "NOT met"
	}
	return "unresolved"
}

// saturated reports that there are no percentiles, and why.
func (p *page) saturated(l *result.Load) {
	text := table.Missing + " saturated: more requests came than ended"
	if s := l.BacklogSlope; s != nil {
		text = fmt.Sprintf("%s saturated: the backlog grew by %s (%s…%s) requests/s", table.Missing,
			digits.Significant(s.Value, 2), digits.Significant(s.CI95[0], 2), digits.Significant(s.CI95[1], 2))
	}
	label := p.label("p50/90/99")
	p.painted(yellow, label, blanks(table.Width(label)), text+
		"; latencies would describe the length of the run", 0)
}

// response writes percentiles from the scheduled arrival.
func (p *page) response(r *result.Record) {
	l := r.Latency
	if l == nil {
		return
	}
	var all []string
	for _, q := range []struct {
		name string
		d    *result.Distribution
	}{{"response TTFT", cmp.Or(l.ResponseTTFT, l.TTFT)}, {"TPOT", l.TPOT},
		{"end to end", cmp.Or(l.ResponseE2E, l.E2E)}} {
		if q.d != nil {
			all = append(all, q.name+" "+triple(q.d))
		}
	}
	if len(all) > 0 {
		p.labelled("p50/90/99", all...)
		return
	}
	if l.Reason != "" {
		p.labelled("p50/90/99", table.Missing+" "+l.Reason)
	}
}

// spent writes where the energy of the window went.
func (p *page) spent(r *result.Record) {
	l := r.Load
	q := l.PerGoodTokenJ
	if q == nil {
		why := atload.WhyNoEnergy(r)
		p.labelled("J/good", table.Missing+" "+why)
		return
	}
	facts := []string{loads.Amount(view.Figure{Value: q.Value, CI95: &q.CI95}) + " per good token",
		digits.Count(int(l.GoodTokens), "good token")}
	total := r.Energy.TotalJ
	share := func(what string, q *result.Quantity) {
		if q != nil && total != nil && total.Value > 0 {
			facts = append(facts, fmt.Sprintf("%s %s (%s)", what, digits.SI(q.Value, "J"),
				percent(q.Value/total.Value)))
		}
	}
	share("wasted", l.WastedJ)
	share("idle", l.IdleJ)
	p.labelled("J/good", facts...)
}

// search writes the bounds of a search for the highest load within the objective.
func (p *page) search(q *result.Search) {
	unit := " req/s"
	if q.Over == load.OverConcurrency {
		unit = " in flight"
	}
	bound := func(v *float64) string {
		if v == nil {
			return table.Missing
		}
		return digits.Significant(*v, 3) + unit
	}
	state := "resolved"
	if !q.Resolved {
		state = "not resolved: " + q.Reason
	}
	p.labelled("search", "met at "+bound(q.Lower), "not met at "+bound(q.Upper), digits.Count(len(q.Probes), "load"),
		state)
}

// loads writes the points of the configurations of a study by load, with the answers before and the load lines and
// the reasons for what is missing after them.
func (p *page) loads(all loads.Study) {
	p.blank()
	for _, answer := range all.Answers() {
		p.painted(bold, "", "    ", answer, 3)
	}
	p.blank()
	shown, left := loads.Shown(all.Groups, max(leastPoints, mostPoints/len(all.Groups)))
	p.points(shown)
	for _, g := range all.Groups {
		name := "load line "
		if g.Name != "" {
			name = g.Name + ": "
		}
		p.painted(dim, "  ", "    ", name+g.LineText(), 3)
	}
	for _, taken := range all.Traces() {
		p.painted(dim, "  ", "    ", taken, 2)
	}
	whys := append(loads.Dashes(loads.Study{Groups: shown}), all.Unresolved())
	if left > 0 {
		whys = append(whys, "… "+digits.Count(left, "more load")+" in the full report")
	}
	for _, why := range whys {
		if why != "" {
			p.painted(dim, "  ", "    ", dashed(why), 2)
		}
	}
}

// How many points of a configuration are shown at the least, and of all of them at the most.
const leastPoints, mostPoints = 3, 7

// points writes the points of configurations in one table if their names have room in it, and else each below its
// name.
func (p *page) points(groups []loads.Group) {
	columns := loads.Columns()
	if p.narrow() {
		columns = loads.Narrow()
	}
	write := func(t table.Table) {
		t.Indent = 2
		head, lines := t.Lines(p.width)
		p.b.WriteString(p.paint(bold, p.Style.Text(head)) + "\n")
		for _, l := range lines {
			p.line(l)
		}
	}
	t := loads.Table(groups, len(groups) > 1, columns)
	if len(groups) == 1 || !p.narrow() && p.fits(t) {
		write(t)
		return
	}
	for _, g := range groups {
		p.painted(plain, "", "  ", g.Name, 0)
		write(loads.Table([]loads.Group{g}, false, columns))
	}
}

// fits reports whether each row of a table has the room of one line.
func (p *page) fits(t table.Table) bool {
	head, lines := t.Lines(p.width - 2)
	return !slices.ContainsFunc(append(lines, head), func(l string) bool {
		return strings.Contains(l, "\n") || table.Width(l) > p.width-2
	}) && strings.Contains(head, t.Head[0])
}

// dashed puts the sign of a missing number before its reason; what has a sign of its own keeps it.
func dashed(why string) string {
	if strings.HasPrefix(why, "?") || strings.HasPrefix(why, "…") {
		return why
	}
	return table.Missing + " " + why
}
