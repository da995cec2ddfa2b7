// Package cite writes what a paper must state about the energy of a configuration: the work, the engine and the device,
// gross and net energy with the interval and the sensor's own error, the phases, the source, the window, and where the
// raw data are. Each sentence comes from the records of the runs; a number that is missing is replaced by the reason.
// docs/paper.md explains the sentences.
package cite

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// width of the paragraphs in columns.
const width = 80

// where is what the author replaces.
const where = "[ADDRESS OF THE RESULTS]"

// Study writes a paragraph for each configuration of a study that has a comparable run, in their order, and why the
// others have none.
func Study(w io.Writer, s *result.StudyResult) error {
	var order []string
	runs := map[string][]*result.Record{}
	for r, err := range s.Records() {
		if err != nil {
			return err
		}
		if runs[r.ID] == nil {
			order = append(order, r.ID)
		}
		runs[r.ID] = append(runs[r.ID], r)
	}
	configs := make([]study.Experiment, len(order))
	for i, id := range order {
		configs[i] = runs[id][0].Config
	}
	names := naming.Of(configs)
	for i, id := range order {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		c := configuration{all: runs[id]}
		if len(order) > 1 {
			c.name = names.Label(configs[i])
		}
		for k := range s.Experiments {
			if s.Experiments[k].ID == id {
				c.metrics = s.Experiments[k].Metrics
			}
		}
		if _, err := io.WriteString(w, table.Wrap("", "", c.paragraph(), width)); err != nil {
			return err
		}
	}
	return nil
}

// configuration is what was measured of one configuration.
type configuration struct {
	name    string           // its name among the configurations of the study; empty for the only one
	all     []*result.Record // its runs
	metrics result.Spreads   // the means over its comparable runs

	runs []*result.Record // the comparable runs
}

// paragraph returns the sentences about a configuration.
func (c configuration) paragraph() string {
	for _, r := range c.all {
		if r.Comparable() {
			c.runs = append(c.runs, r)
		}
	}
	if len(c.runs) == 0 {
		return about(c.all[0]) + c.named() + ": no run can be reported (" + c.unfit() + ")."
	}
	all := []string{c.work()}
	if e := c.runs[0].Energy; c.metered() && e.TotalJ != nil {
		all = append(all, c.total(), c.source())
	} else if e.PerOutputTokenJ == nil {
		all = append(all, "Its energy is not reported: "+cmp.Or(c.runs[0].Energy.Reason, "it is null")+".")
	} else {
		all = append(all, c.energy(), c.phases(), c.source())
	}
	all = append(all, c.speed(), c.doubts(), c.origin())
	return strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), " ")
}

// named is the name of the configuration in brackets.
func (c configuration) named() string {
	if c.name == "" {
		return ""
	}
	return " (" + c.name + ")"
}

// unfit returns why no run is comparable.
func (c configuration) unfit() string {
	r := c.all[0]
	switch {
	case r.Failure != nil:
		return string(r.Failure.Class)
	case r.Status != result.OK:
		return string(r.Status)
	}
	return string(r.Unequal())
}

// about names the model and its weights.
func about(r *result.Record) string {
	if r.Synthetic {
		return r.Config.Model + " with random weights"
	}
	return r.Config.Model
}

// work is the sentence about the workload, the engine and the device.
func (c configuration) work() string {
	r := c.runs[0]
	w := r.Config.Workload
	prompts := fmt.Sprintf("at most %d", w.InputTokens)
	if t := r.Tokens; t != nil && t.Prompt == int64(max(r.Window.Repeats, 1)*w.Prompts*w.InputTokens) {
		prompts = fmt.Sprint(w.InputTokens)
	}
	runs := "once"
	if n := len(c.runs); n > 1 {
		runs = fmt.Sprintf("%d times", n)
	}
	if c.metered() {
		return fmt.Sprintf("%s%s was measured %s from its beginning to its end, on %s.", about(r), c.named(), runs,
			devices(r))
	}
	work := fmt.Sprintf("%s of %s prompt tokens and %d output tokens", digits.Count(w.Prompts, "request"), prompts,
		w.OutputTokens)
	if w.Load.Trace != "" {
		work = "the " + naming.Prompts(w)
	}
	s := fmt.Sprintf("%s%s was run %s with %s in %s on %s: %s, batch %s",
		about(r), c.named(), runs, strings.TrimSpace(r.Backend.Name+" "+r.Backend.Version),
		cmp.Or(r.Backend.DType, r.Config.DType, "an unknown number format"), devices(r), work, r.Config.BatchText())
	if d := r.Backend.Versions["driver"]; d != "" {
		s += ", driver " + d
	}
	return s + "."
}

// devices names what the energy counts, or the device that ran the model.
func devices(r *result.Record) string {
	var names []string
	for _, d := range r.Energy.Devices {
		if d.Counted {
			names = append(names, cmp.Or(d.Name, d.Device))
		}
	}
	if len(names) == 0 {
		return cmp.Or(r.Backend.Device, "an unknown device")
	}
	var out []string
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		n := 0
		for _, other := range names {
			if other == name {
				n++
			}
		}
		if n > 1 {
			name = fmt.Sprintf("%d × %s", n, name)
		}
		out = append(out, name)
	}
	return strings.Join(out, " and ")
}

// joules is a metric of energy with its 95 % interval: over the runs if there are several, otherwise of the one run.
func (c configuration) joules(metric string, one *result.Quantity) string {
	if s, ok := c.metrics.Get(metric); ok && len(c.runs) > 1 {
		value, ci, _ := s.Figure()
		if ci == nil {
			return digits.SI(value, "J")
		}
		return within(value, *ci)
	}
	if one == nil {
		return ""
	}
	return within(one.Value, one.CI95)
}

// within is an energy with its interval, in the unit of the largest number. The interval of an energy above 0 ends
// there; net energy itself may be negative.
func within(value float64, ci [2]float64) string {
	low := ci[0]
	if value > 0 {
		low = max(low, 0)
	}
	divisor, prefixed := digits.Prefix(max(math.Abs(value), math.Abs(low), math.Abs(ci[1])), "J")
	in := func(v float64) string { return digits.Significant(v/divisor, 3) }
	return fmt.Sprintf("%s %s (95 %% interval %s to %s %s)", in(value), prefixed, in(low), in(ci[1]), prefixed)
}

// metered reports whether the configuration is a command, or marked code without tokens.
func (c configuration) metered() bool {
	return c.runs[0].Config.Backend == terms.Command && c.runs[0].Energy.PerOutputTokenJ == nil
}

// total is the sentence about the joules of a command.
func (c configuration) total() string {
	e := c.runs[0].Energy
	s := "It used " + c.joules("energy.total_j", e.TotalJ) + ", gross"
	if e.NetJ != nil && e.BaselineW != nil {
		s += ", " + c.joules("energy.net_j", e.NetJ) + " net of the idle power of " +
			digits.SI(e.BaselineW.Value, "W")
	}
	return s + "."
}

// energy is the sentence about joules per output token.
func (c configuration) energy() string {
	e := c.runs[0].Energy
	s := "It used " + c.joules("energy.per_output_token_j", e.PerOutputTokenJ) + " per output token, gross"
	var net []string
	if q := e.NetPerOutputTokenJ; q != nil && e.BaselineW != nil {
		net = append(net, c.joules("energy.net_per_output_token_j", q)+" net of the idle power of "+
			digits.SI(e.BaselineW.Value, "W"))
	}
	if q := e.NetResidentPerOutputTokenJ; q != nil && e.ResidentW != nil {
		net = append(net, c.joules("energy.net_resident_per_output_token_j", q)+" net of "+
			digits.SI(e.ResidentW.Value, "W")+" with the model loaded")
	}
	if len(net) > 0 {
		s += ", " + strings.Join(net, ", and ")
	}
	if n := len(c.runs); n > 1 {
		s += fmt.Sprintf(" (means of %d runs, intervals over the runs)", n)
	} else {
		s += " (one run: the intervals do not cover how runs differ)"
	}
	if q := e.PerOutputTokenJ; q.Gain95 > 0 && q.Value != 0 {
		of := "gain of the sensor"
		if e.Provenance != result.Measured {
			of = "error of the model of the power"
		}
		s += fmt.Sprintf("; the %s adds ±%s %% to all of these", of, digits.Significant(
			100*math.Abs(q.Gain95/q.Value), 2))
	}
	return s + "."
}

// phases is the sentence about prefill and decode.
func (c configuration) phases() string {
	e := c.runs[0].Energy
	if e.Phases == nil {
		return "It is not divided into prefill and decode: " + cmp.Or(e.PhasesReason, "the phases are unknown") + "."
	}
	one := func(p *result.Phase) *result.Quantity {
		if p == nil || p.JPerToken == nil || p.JPerTokenCI95 == nil {
			return nil
		}
		return &result.Quantity{Value: *p.JPerToken, CI95: *p.JPerTokenCI95}
	}
	prefill, decode := one(e.Phases.Prefill), one(e.Phases.Decode)
	if prefill == nil || decode == nil {
		for _, p := range []*result.Phase{e.Phases.Prefill, e.Phases.Decode} {
			if p != nil && p.Reason != "" {
				return "It is not divided into prefill and decode: " + p.Reason + "."
			}
		}
		return ""
	}
	return fmt.Sprintf("Prefill used %s per prompt token, decode %s per decoded token (%s).",
		c.joules("energy.phases.prefill.j_per_token", prefill),
		c.joules("energy.phases.decode.j_per_token", decode), e.Phases.Method)
}

// source is the sentence about where the joules come from.
func (c configuration) source() string {
	r := c.runs[0]
	e := r.Energy
	sources := strings.Join(e.Sources, " and ")
	switch e.Provenance {
	case result.Simulated:
		return "THE ENERGY IS SIMULATED: no hardware used it, and it must not be reported as a measurement."
	case result.Modelled:
		return "The energy is modelled (" + sources + "), not measured: no sensor was read."
	}
	s := "The energy was read from " + sources
	if q := e.PerOutputTokenJ; q.Method != "" {
		s += " (" + q.Method + ")"
	}
	if r.Window != nil {
		s += " over a window of " + digits.SI(r.Window.DurationS, "s")
		if r.Window.Repeats > 1 {
			s += fmt.Sprintf(", the workload %d times over", r.Window.Repeats)
		}
	}
	switch e.Scope {
	case "gpu":
		s += "; it covers the GPU alone, not the host"
	case "cpu":
		s += "; it covers the processor and its memory as far as they have sensors"
	}
	return s + "."
}

// speed is the sentence about throughput and latency.
func (c configuration) speed() string {
	r := c.runs[0]
	if r.Throughput == nil {
		return ""
	}
	of := func(metric string, one float64) float64 {
		if s, ok := c.metrics.Get(metric); ok && len(c.runs) > 1 {
			one, _, _ = s.Figure()
		}
		return one
	}
	s := "It generated " + digits.Significant(of("throughput.output_tokens_per_s", r.Throughput.OutputTokensPerS), 3) +
		" output tokens/s"
	if l := r.Latency; l != nil && l.TTFT != nil {
		s += ", with a median TTFT of " + digits.SI(of("latency.ttft_ms.p50", l.TTFT.P50)/1000, "s")
		if l.Queue != nil && l.Queue.Mean > l.TTFT.Mean/100 {
			s += " after a queue of " + digits.SI(of("latency.queue_ms.p50", l.Queue.P50)/1000, "s")
		}
	}
	return s + "."
}

// doubts is the sentence with the codes of doubts that matter to the numbers, each once.
func (c configuration) doubts() string {
	var found []string
	for _, r := range c.runs {
		for _, n := range r.Warnings {
			if known := told(n); known && !slices.Contains(found, string(n.Code)) {
				found = append(found, string(n.Code))
			}
		}
	}
	if len(found) == 0 {
		return ""
	}
	return "llem noted " + strings.Join(found, ", ") + "."
}

// told reports whether a doubt affects a number; random weights are in the first sentence.
func told(n note.Note) bool {
	return n.Code != codes.Synthetic && codes.WordOf(n.Code) != codes.NoEffect.Word()
}

// origin is the sentence about the program and the raw data.
func (c configuration) origin() string {
	r := c.runs[0]
	s := "Done with llem"
	if p := r.Program; p != "" {
		s += " " + p[:min(len(p), 12)]
	}
	if r.Window != nil {
		s += " on " + r.Window.Start.UTC().Format("2 January 2006")
	}
	return s + "; raw data at " + where + ", from which `llem verify` computes every number again."
}
