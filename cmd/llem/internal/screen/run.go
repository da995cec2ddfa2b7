package screen

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/report"
	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// run writes one run. What comes first is the answer, or why there is none.
func (p *page) run(r *result.Record, s *result.StudyResult) {
	if r.Status != result.OK {
		p.failed(r)
		p.retry(s)
		return
	}
	p.headline(r, s)
	p.title(r)
	p.blank()
	p.phases(r)
	p.power(s.Dir, r)
	p.devices(r)
	if r.Load != nil {
		p.load(r)
	} else {
		p.latency(r)
	}
	p.amounts(r)
	p.blank()
	p.cautions(s.Dir, doubtsOf(r, s), told(r))
}

// synthetic marks random weights.
const synthetic = "synthetic weights"

// title writes what was run. That the weights are random is in the headline.
func (p *page) title(r *result.Record) {
	facts := strings.Split(report.Title(r), separator)
	p.facts(plain, "", "  ", slices.DeleteFunc(facts, func(s string) bool { return s == synthetic }))
	if about := report.Subtitle(r); about != "" {
		p.painted(dim, "", "  ", about, 0)
	}
}

// headline writes the answer and what is behind it; of energy that is refused the reason and the next step first.
func (p *page) headline(r *result.Record, s *result.StudyResult) {
	e := r.Energy
	refused := codes.WithheldBy(r.Warnings.Codes()) != "" && e.PerOutputTokenJ == nil
	if refused {
		p.painted(red, "refused: ", "  ", cmp.Or(e.Reason, "the energy is not the run's"), 3)
		for _, x := range s.Experiments {
			for _, why := range x.Excluded {
				p.painted(plain, "  next: ", "        ", why.Next, 0)
			}
		}
	}
	parts := []string{digits.SI(r.Window.DurationS, "s")}
	if t := r.Throughput; t != nil {
		parts[0] = digits.Significant(t.OutputTokensPerS, 3) + " tok/s"
	}
	if first := firstToken(r.Latency); first != "" {
		parts = append(parts, first)
	}
	if r.Load != nil {
		parts = append(loadHeadline(r), parts...)
	}
	switch q := e.PerOutputTokenJ; {
	case r.Load != nil && r.Load.PerGoodTokenJ != nil:
		parts = append([]string{digits.SI(r.Load.PerGoodTokenJ.Value, "J") + " per good token" + unreal(e.Provenance)},
			parts...)
	case q != nil:
		parts = append([]string{digits.SI(q.Value, "J") + " per output token" + unreal(e.Provenance)}, parts...)
	case refused:
		parts = append([]string{"energy refused"}, parts...)
	case e.TotalJ != nil:
		parts = append([]string{digits.SI(e.TotalJ.Value, "J") + " in all" + unreal(e.Provenance)}, parts...)
		if report.Metered(r) {
			parts = append(parts, digits.SI(e.MeanW.Value, "W"))
		}
	default:
		parts = append([]string{"energy not measured"}, parts...)
	}
	if r.Synthetic {
		parts = append(parts, synthetic)
	}
	p.facts(bold, "", "  ", parts)
	p.basis(r, refused)
}

// unreal marks energy that no sensor measured, beside its value.
func unreal(from result.Provenance) string {
	if from == result.Measured || from == result.None {
		return ""
	}
	return " " + strings.ToUpper(string(from))
}

// firstToken is the median time to the first token, with what was waited for it.
func firstToken(l *result.Latency) string {
	switch {
	case l == nil:
	case l.TTFT != nil:
		return "TTFT " + digits.SI(l.TTFT.P50/1e3, "s")
	case l.ResponseTTFT != nil:
		return "TTFT with the queue " + digits.SI(l.ResponseTTFT.P50/1e3, "s")
	}
	return ""
}

// basis writes where the energy comes from and how uncertain it is, or why there is none.
func (p *page) basis(r *result.Record, refused bool) {
	e := r.Energy
	q := cmp.Or(e.PerOutputTokenJ, e.TotalJ)
	switch {
	case refused:
		p.painted(plain, "  ", "  ", "total of the board: "+digits.SI(e.TotalJ.Value, "J")+
			", other work included", 2)
		return
	case q == nil:
		p.painted(yellow, "  ", "  ", cmp.Or(e.Reason, "no power sensor was read"), 3)
		return
	}
	sources := strings.Join(e.Sources, ", ")
	facts := []string{}
	code := plain
	switch e.Provenance {
	case result.Measured:
		facts = append(facts, strings.TrimSpace("measured "+deviceNames(r))+": "+sources)
	case result.Simulated:
		code = yellow
		facts = append(facts, "simulated: no hardware used this energy")
	default:
		code = yellow
		facts = append(facts, string(e.Provenance)+", not measured: "+sources)
	}
	facts = append(facts, "±"+relative((q.CI95[1]-q.CI95[0])/2, q.Value)+" stat, ±"+relative(q.Gain95, q.Value)+
		" gain (95 %)")
	p.facts(code, "  ", "  ", facts)
}

// relative prints a half width in percent of a value.
func relative(half, value float64) string {
	if value == 0 {
		return table.Missing
	}
	return digits.Significant(100*math.Abs(half/value), 2) + " %"
}

// deviceNames names the products whose energy is counted.
func deviceNames(r *result.Record) string {
	var names []string
	count := map[string]int{}
	for _, d := range r.Energy.Devices {
		if name := cmp.Or(d.Name, d.Device); d.Counted {
			if count[name]++; count[name] == 1 {
				names = append(names, name)
			}
		}
	}
	for i, name := range names {
		if n := count[name]; n > 1 {
			names[i] = fmt.Sprintf("%d × %s", n, name)
		}
	}
	return strings.Join(names, ", ")
}

// phases writes a bar for each phase, scaled to the total.
func (p *page) phases(r *result.Record) {
	e := r.Energy
	if e.TotalJ == nil || e.PerOutputTokenJ == nil {
		return
	}
	if e.Phases == nil {
		if e.PhasesReason != "" {
			p.painted(plain, p.label("phases"), blanks(len(p.label(""))), table.Missing+" "+e.PhasesReason, 2)
		}
		return
	}
	var reasons []string
	for _, q := range []struct {
		name, token string
		*result.Phase
	}{{"prefill", "/prompt token", e.Phases.Prefill}, {"decode", "/decoded token", e.Phases.Decode},
		{"other", "", e.Phases.Other}} {
		if q.Phase == nil {
			continue
		}
		share, part := math.NaN(), table.Missing
		if q.EnergyJ != nil && e.TotalJ.Value > 0 {
			share = *q.EnergyJ / e.TotalJ.Value
			part = percent(share)
		} else if q.Reason != "" {
			reasons = append(reasons, q.Reason)
		}
		perToken, power := "", table.Missing
		if q.JPerToken != nil {
			perToken = digits.SI(*q.JPerToken, "J")
		}
		if q.MeanW != nil {
			power = digits.SI(*q.MeanW, "W")
		}
		label := p.label(q.name)
		if p.narrow() {
			p.line(label + p.Style.Bar(share, p.width-32) + fmt.Sprintf("%5s %9s %6s", part,
				perToken, power))
			continue
		}
		if perToken != "" {
			perToken += q.token
		}
		bar := p.Style.Bar(share, min(p.width, 100)-table.Width(label)-38)
		p.line(label + bar + fmt.Sprintf(" %5s %20s %9s", part, perToken, power))
	}
	for _, reason := range reasons[:min(1, len(reasons))] {
		p.painted(dim, blanks(len(p.label(""))), blanks(len(p.label(""))), reason, 2)
	}
}

// margin is how many cells of a sparkline lie on each side of the window.
const margin = 3

// power writes the power over the window as a sparkline, with what was read just before and after it.
func (p *page) power(dir string, r *result.Record) {
	if r.Energy.TotalJ == nil {
		return
	}
	t, err := readTrace(dir, r)
	if err != nil {
		p.painted(dim, p.label("power"), blanks(len(p.label(""))), "the series cannot be read: "+err.Error(), 2)
		return
	}
	if len(t) == 0 {
		return
	}
	duration := r.Window.DurationS
	cells := max(8, min(p.width, 100)-table.Width(p.label(""))-2-2*margin-33)
	if p.narrow() {
		cells = max(8, p.width-table.Width(p.label(""))-2-2*margin-11)
	}
	side := duration * margin / float64(cells)
	values := t.bins(-side, duration+side, cells+2*margin)
	most := 0.0
	for _, v := range values {
		if v > most {
			most = v
		}
	}
	spark := p.label("power") + p.Style.Window(values, margin, margin+cells, most)
	if p.narrow() {
		p.line(fmt.Sprintf("%s ≤ %s", spark, digits.SI(most, "W")))
		return
	}
	p.line(fmt.Sprintf("%s ≤ %s (%s means), %s", spark, digits.SI(most, "W"), digits.SI(side/margin, "s"),
		digits.SI(duration, "s")))
}

// devices writes the mean power of each device, if there are several, and of the whole machine by its meter.
func (p *page) devices(r *result.Record) {
	var counted []string
	for _, d := range r.Energy.Devices {
		if d.Counted && d.EnergyJ != nil {
			counted = append(counted, d.Device+" "+digits.SI(d.EnergyJ.Value/r.Window.DurationS, "W"))
		}
	}
	if len(counted) > 1 {
		p.labelled("devices", counted...)
	}
	if q := r.Energy.NodePerOutputTokenJ; q != nil {
		facts := []string{digits.SI(q.Value, "J") + " per output token"}
		if w := r.Energy.NodeW; w != nil {
			facts = append(facts, digits.SI(w.Value, "W"))
		}
		p.labelled("node", append(facts, "whole machine by "+q.Source+", devices included")...)
	}
}

// latency writes percentiles as triples.
func (p *page) latency(r *result.Record) {
	l := r.Latency
	if l == nil {
		return
	}
	var all []string
	for _, q := range []struct {
		name string
		d    *result.Distribution
	}{{"TTFT", l.TTFT}, {"ITL", l.ITL}, {"end to end", cmp.Or(l.E2E, l.ResponseE2E)}} {
		if q.d != nil {
			all = append(all, q.name+" "+triple(q.d))
		}
	}
	if l.TTFT == nil && l.ResponseTTFT != nil {
		all = append([]string{"TTFT+queue " + triple(l.ResponseTTFT)}, all...)
	}
	if l.Queue != nil && l.TTFT != nil && l.Queue.Mean > 0.01*l.TTFT.Mean {
		all = append([]string{"queue " + triple(l.Queue)}, all...)
	}
	if len(all) == 0 {
		return
	}
	p.labelled("p50/90/99", all...)
}

// triple prints p50, p90 and p99 in one unit; what there are too few values for is missing.
func triple(d *result.Distribution) string {
	divisor, unit := digits.Prefix(d.P50/1e3, "s")
	parts := []string{digits.Significant(d.P50/1e3/divisor, 3), table.Missing, table.Missing}
	for i, v := range []*float64{d.P90, d.P99} {
		if v != nil {
			parts[i+1] = digits.Significant(*v/1e3/divisor, 3)
		}
	}
	return strings.Join(parts, "/") + " " + unit
}

// amounts writes the energy of 1,000 requests with its price and its emissions, and the energy net of idle.
func (p *page) amounts(r *result.Record) {
	e := r.Energy
	if q := e.WhPer1000Requests; q != nil {
		facts := []string{digits.Significant(q.Value, 3) + " Wh"}
		if n := float64(r.Tokens.RequestsOK); n > 0 {
			if c := e.Cost; c != nil {
				facts = append(facts, digits.Significant(1000*c.Value/n, 3)+" "+view.Currency(r.Config.Energy))
			}
			if c := e.CO2eG; c != nil {
				facts = append(facts, digits.SI(1000*c.Value/n, "g")+" CO2e")
			}
		}
		p.labelled("1000 req.", append(facts, digits.Significant(r.Throughput.RequestsPerS, 3)+" requests/s")...)
	}
	for _, i := range view.Idles() {
		net, idle := i.Of(e)
		if net == nil || idle == nil || r.Tokens.Output == 0 && !report.Metered(r) {
			continue
		}
		n, per := float64(r.Tokens.Output), " per output token"
		if n == 0 {
			n, per = 1, ""
		}
		half := digits.SI((net.CI95[1]-net.CI95[0])/2/n, "J")
		value := digits.SI(net.Value/n, "J") + " ± " + half + per
		if net.CI95[0] <= 0 && net.CI95[1] >= 0 {
			value = "not distinguishable from 0 (± " + half + per + ")"
		}
		p.labelled("net", value, "net of "+i.Name+" "+digits.SI(idle.Value, "W"))
		return
	}
}

// logLines is how many lines of an engine's log are shown.
const logLines = 8

// outcome returns the status and the failure of a run in words. An interrupted run repeats neither its class nor a
// message that equals the status.
func outcome(status result.Status, f *note.Failure) string {
	switch {
	case status != result.Interrupted:
		return fmt.Sprintf("%s (%s): %s", status, f.Class, f.Message)
	case f.Message == string(status):
		return string(status)
	}
	return string(status) + ": " + f.Message
}

// retry writes the command that reruns the failed runs of a study.
func (p *page) retry(s *result.StudyResult) {
	if s.Failed > 0 && s.Dir != "" {
		p.command("rerun what failed", "llem run --resume="+shell.Path(s.Dir)+" --retry-failed")
	}
}

// failed writes why a run has no result and what to do, and then which run it was.
func (p *page) failed(r *result.Record) {
	f := r.Failure
	if f == nil {
		p.painted(red, "", "  ", string(r.Status), 0)
	} else {
		p.painted(red, "", "  ", outcome(r.Status, f), 4)
	}
	if f != nil {
		p.next("  next: ", "        ", r.Status, f.Next)
	}
	p.title(r)
	if f == nil || strings.TrimSpace(f.LogTail) == "" {
		return
	}
	p.blank()
	p.line("  last lines of the engine's log:")
	lines := strings.Split(strings.TrimRight(f.LogTail, "\n "), "\n")
	for _, l := range lines[max(0, len(lines)-logLines):] {
		p.line("    " + table.Cut(table.Clean(l), p.width-4))
	}
}
