package result

import (
	"cmp"
	"iter"
	"reflect"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/study/terms"
)

// Missing is why numbers are missing.
type Missing struct {
	// Of is the prefix of the names of the metrics, such as energy.phases or energy.node.
	Of string `json:"of"`
	// Reason is why they are missing.
	Reason string `json:"reason"`
	// Runs is the number of runs of a configuration that lack them for similar reasons; 0 for a single run.
	Runs int `json:"runs,omitempty"`
}

// Holds reports whether the reason applies to a metric.
func (m Missing) Holds(metric string) bool {
	return metric == m.Of || strings.HasPrefix(metric, m.Of+".") || strings.HasPrefix(metric, m.Of+"_")
}

// Missing returns why a run with status ok lacks numbers, the most specific reasons first.
func (r *Record) Missing() []Missing {
	if r.Status != OK {
		return nil
	}
	var out []Missing
	add := func(of, reason string) {
		if reason != "" {
			out = append(out, Missing{Of: of, Reason: reason})
		}
	}
	e := &r.Energy
	if e.TotalJ != nil {
		r.missingPhases(add)
	}
	if e.TotalJ == nil || e.PerOutputTokenJ == nil {
		add("energy", e.Reason)
	}
	add("energy.node", e.NodeReason)
	if l := r.Latency; l != nil && r.Config.Backend != terms.Command {
		l.missing(add)
	} else if l != nil {
		add("latency", l.Reason)
	}
	if r.Memory.PeakBytes == nil || r.Memory.ProcessPeakBytes == nil {
		add("memory", r.Memory.Reason)
	}
	if w, ok := r.Warnings.Find(codes.FLOPsUnknown); ok && r.Compute == nil {
		add("compute", w.Message)
	}
	return out
}

// missingPhases adds why there is no split, or why a part of it is missing. Prefill and decode are often
// refused for the same reason.
func (r *Record) missingPhases(add func(of, reason string)) {
	p := r.Energy.Phases
	if p == nil {
		add("energy.phases", r.Energy.PhasesReason)
		return
	}
	reason := func(p *Phase) string {
		if p == nil || p.EnergyJ != nil {
			return ""
		}
		return p.Reason
	}
	prefill, decode := reason(p.Prefill), reason(p.Decode)
	add("energy.phases.other", reason(p.Other))
	if prefill != "" && digits.Alike(prefill, strings.ReplaceAll(decode, "decode", "prefill")) {
		add("energy.phases", digits.Later(prefill, decode))
		return
	}
	add("energy.phases.prefill", prefill)
	add("energy.phases.decode", decode)
}

// missing adds why latencies are missing.
func (l *Latency) missing(add func(of, reason string)) {
	const oneToken = "a request of one token has no time between tokens"
	for name, q := range l.distributions() {
		switch {
		case q != nil:
			add("latency."+name, q.Reason)
		case l.ITL == nil && (name == "itl_ms" || name == "tpot_ms"):
			add("latency."+name, oneToken)
		}
	}
	add("latency", l.Reason)
}

// distributions returns an iterator over the distributions, nil ones included, with their names in JSON.
func (l *Latency) distributions() iter.Seq2[string, *Distribution] {
	return func(yield func(string, *Distribution) bool) {
		all := reflect.ValueOf(l).Elem()
		for i := range all.NumField() {
			d, ok := reflect.TypeAssert[*Distribution](all.Field(i))
			if ok && !yield(all.Type().Field(i).Tag.Get("json"), d) {
				return
			}
		}
	}
}

// MissingOf returns the distinct reasons of several runs, with their numbers of runs; reasons that differ
// only in numbers are merged.
func MissingOf(runs ...[]Missing) []Missing {
	var out []Missing
	for _, run := range runs {
		for _, m := range run {
			i := slices.IndexFunc(out, func(o Missing) bool { return o.Of == m.Of && digits.Alike(o.Reason, m.Reason) })
			if i < 0 {
				out = append(out, m)
				i = len(out) - 1
				out[i].Runs = 0
			}
			out[i].Runs += max(1, m.Runs)
			out[i].Reason = digits.Later(out[i].Reason, m.Reason)
		}
	}
	slices.SortStableFunc(out, func(a, b Missing) int { return cmp.Compare(len(b.Of), len(a.Of)) })
	return out
}

// whyMissing returns why a metric is missing; empty if unknown.
func whyMissing(all []Missing, metric string) string {
	for _, m := range all {
		if m.Holds(metric) {
			return m.Reason
		}
	}
	return ""
}
