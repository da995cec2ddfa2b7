package llem

import (
	"context"
	"io"
	"time"

	"github.com/llenergymeasure/llem/internal/machine"
	"github.com/llenergymeasure/llem/internal/plan"
	"github.com/llenergymeasure/llem/internal/self"
	"github.com/llenergymeasure/llem/internal/shard"
	"github.com/llenergymeasure/llem/study"
)

// DryRunOptions are the options of a preview.
type DryRunOptions struct {
	// Results is the folder for results; empty means ./results.
	Results string
	// Python is the interpreter for Python engines; if empty, one is looked for.
	Python string
	// Shard, as "2/4", plans only one of several parts of the study, as in [Options]; empty means the whole study.
	Shard string
	// Limit is the maximum number of experiments to describe; 0 means all.
	Limit int
	// Only selects the experiments whose label or key=value contains it.
	Only string
	// Estimate allows estimating CPU power if no sensor can be read, as in [Options].
	Estimate bool
	// Timeout is the maximum duration of a run, as in [Options]; 0 means the limit of the study.
	Timeout time.Duration
	// GPU names a GPU of the catalogue for which needs are estimated; empty means the first GPU of this
	// machine.
	GPU string
}

// Preview is what a study will do. Its JSON is the document that `llem run --dry-run --json` prints.
type Preview struct {
	// Experiments is the number of configurations, and Runs the number of runs of all of them.
	Experiments, Runs int
	// Runnable is the number of experiments without problems.
	Runnable int
	// Seconds and KWh estimate the duration and energy of all runs; nil if no estimate exists.
	Seconds, KWh *float64
	// Findings are the problems ([Fail]) and warnings ([Warn]).
	Findings []Finding
	plan     *plan.Plan
}

// Text prints the preview in lines of the given width; 0 means the width of a terminal.
func (p *Preview) Text(w io.Writer, width int) error { return p.plan.Text(w, width) }

// MarshalJSON returns the whole plan.
func (p *Preview) MarshalJSON() ([]byte, error) { return document(p.plan) }

// CanRun reports whether any experiment can run on this machine.
func (p *Preview) CanRun() bool { return p.plan.CanRun() }

// DryRun returns what a study will do, what it will need, and what prevents it. It starts no engine and
// writes nothing. For models that are not stored locally it requests config.json from the hub.
func DryRun(ctx context.Context, s *study.Study, o DryRunOptions) (*Preview, error) {
	if err := self.Check(); err != nil {
		return nil, err
	}
	if o.Results == "" {
		o.Results = "results"
	}
	part, err := shard.Parse(o.Shard)
	if err == nil && !part.Whole() {
		err = part.Check(s)
	}
	if err != nil {
		return nil, err
	}
	meters, missing := machine.Meters(ctx, o.Estimate, machine.NeedsOf(s).Pages()...)
	defer machine.Close(meters)
	snapshot, err := machine.Snapshot(ctx, meters, s.Engines)
	if err != nil {
		return nil, err
	}
	p, err := plan.Check(ctx, s,
		plan.CheckOptions{Results: o.Results, Shard: part, Limit: o.Limit, Only: o.Only, GPU: o.GPU,
			Timeout:  o.Timeout,
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
