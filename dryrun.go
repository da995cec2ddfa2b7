package llem

import (
	"context"
	"io"

	"github.com/llenergymeasure/llem/internal/machine"
	"github.com/llenergymeasure/llem/internal/plan"
	"github.com/llenergymeasure/llem/internal/self"
	"github.com/llenergymeasure/llem/study"
)

// DryRunOptions of a preview.
type DryRunOptions struct {
	// Results is the folder below which results would be written; empty is ./results.
	Results string
	// Python is the interpreter for Python engines; empty looks for one.
	Python string
	// Limit is how many experiments are described; 0 is all.
	Limit int
	// Only describes those whose label or key=value contains it.
	Only string
	// GPU is the name of one of the catalogue for which needs are estimated; empty takes
	// the first GPU of this machine.
	GPU string
}

// Preview is what a study will do. As JSON it is the document that
// `llem run --dry-run --json` prints.
type Preview struct {
	// Experiments is how many configurations the study has, and Runs how often they are
	// run in all.
	Experiments, Runs int
	// Runnable is how many experiments have nothing in their way.
	Runnable int
	// Seconds and KWh are what all runs take, modelled; nil where it cannot be estimated.
	Seconds, KWh *float64
	// Findings are what stands in the way ([Fail]), and what deserves a thought ([Warn]).
	Findings []Finding
	plan     *plan.Plan
}

// Text prints the preview for a person, in lines of the given width; 0 is a terminal's.
func (p *Preview) Text(w io.Writer, width int) error { return p.plan.Text(w, width) }

// MarshalJSON returns the whole plan.
func (p *Preview) MarshalJSON() ([]byte, error) { return document(p.plan) }

// CanRun reports whether any experiment can run on this machine.
func (p *Preview) CanRun() bool { return p.plan.CanRun() }

// DryRun returns what a study will do, what it will need, and what stands in its way.
// It starts no engine and writes nothing. Of models of the hub that are not here it asks
// the hub for their config.json.
func DryRun(ctx context.Context, s *study.Study, o DryRunOptions) (*Preview, error) {
	if err := self.Check(); err != nil {
		return nil, err
	}
	if o.Results == "" {
		o.Results = "results"
	}
	meters, missing := machine.Meters(ctx, false, machine.NeedsOf(s).Pages()...)
	defer machine.Close(meters)
	snapshot, err := machine.Snapshot(ctx, meters, s.Engines)
	if err != nil {
		return nil, err
	}
	p, err := plan.Check(ctx, s, plan.CheckOptions{Results: o.Results, Limit: o.Limit, Only: o.Only, GPU: o.GPU,
		Backends: machine.Backends(s.Engines, o.Python), Meters: meters, Missing: missing, Snapshot: snapshot})
	if err != nil {
		return nil, err
	}
	out := &Preview{Experiments: p.Points, Runs: p.Runs, Runnable: p.Runnable, plan: p}
	if t := p.Totals; t != nil {
		out.Seconds, out.KWh = &t.Seconds, &t.KWh
	}
	for _, f := range p.Findings {
		level := Warn
		if f.Error {
			level = Fail
		}
		out.Findings = append(out.Findings, Finding{Level: level, Note: f.Note})
	}
	return out, nil
}
