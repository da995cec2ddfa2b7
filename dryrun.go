package llem

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/campaign"
	"github.com/llenergymeasure/llem/internal/plan"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/study"
)

// DryRunOptions of a plan.
type DryRunOptions struct {
	Results string
	Python  string
	// Limit is how many experiments are described; 0 is all. Only describes those
	// whose label or key=value contains it.
	Limit int
	Only  string
	// GPU is the name of one of the catalogue for which needs are estimated; empty takes
	// the first GPU of this machine.
	GPU string
}

// GPUError says that a GPU is not in the catalogue.
type GPUError = plan.GPUError

// DryRunPlan is what a study will do.
type DryRunPlan = plan.Plan

// DryRun says what a study will do, what it will need, and what stands in its way.
// It starts no engine and writes nothing.
func DryRun(ctx context.Context, s *study.Study, o DryRunOptions) (*DryRunPlan, error) {
	meters, missing := OpenMeters(ctx, false)
	defer func() {
		for _, m := range meters {
			m.Close()
		}
	}()
	problems, err := preflight(ctx, s, o, meters, missing)
	if err != nil {
		return nil, err
	}
	snapshot, err := Snapshot(ctx, meters)
	if err != nil {
		return nil, err
	}
	needs, err := plan.NewEstimator(o.GPU, factsOf(meters), snapshot)
	if err != nil {
		return nil, err
	}
	needs.Learn(o.Results)
	po := plan.Options{Study: s, Limit: o.Limit, Only: o.Only, Problems: problems, Device: needs.Name(), Estimate: needs.Need}
	if len(s.Experiments) > 0 {
		po.Price = s.Experiments[0].Energy.PricePerKWh
	}
	return plan.New(po), nil
}

// preflight finds what stands in the way, all of it at once.
func preflight(ctx context.Context, s *study.Study, o DryRunOptions, meters []power.Meter, missing []power.Unavailable) ([]plan.Problem, error) {
	var out []plan.Problem
	stop := func(text, next string, concerns func(study.Experiment) bool) {
		out = append(out, plan.Problem{Finding: plan.Finding{Error: true, Text: text, Next: next}, Concerns: concerns})
	}
	all := func(study.Experiment) bool { return true }
	backends, seen := Backends(o.Python), map[string]bool{}
	for _, e := range s.Experiments {
		if name := e.Backend; !seen[name] {
			seen[name] = true
			concerns := func(e study.Experiment) bool { return e.Backend == name }
			b, ok := backends[name]
			if !ok {
				stop("this llem cannot run the backend "+name+" yet", "", concerns)
			} else if _, err := b.Probe(ctx); err != nil {
				if ctx.Err() != nil {
					return nil, context.Cause(ctx)
				}
				f := backend.AsFailure(err)
				stop(name+": "+f.Message, f.Hint, concerns)
			}
		}
	}
	for _, q := range campaign.Problems(s) {
		stop(q.Err.Source+": "+q.Err.Msg, q.Err.Hint, q.Concerns)
	}
	if err := writable(o.Results); err != nil {
		stop(err.Error(), "choose another folder with --output or LLEM_RESULTS", all)
	}
	if !simulated(s) && wantsPower(s) {
		out = append(out, sensors(meters, missing)...)
	}
	return out, nil
}

// sensors says whether energy can be measured and the GPUs are free.
func sensors(meters []power.Meter, missing []power.Unavailable) []plan.Problem {
	var out []plan.Problem
	warn := func(text, next string) {
		out = append(out, plan.Problem{Finding: plan.Finding{Text: text, Next: next}})
	}
	if !metered(meters, func(_ power.Meter, d power.Device) bool { return !d.Modelled }) {
		next := ""
		for _, m := range missing {
			if next == "" {
				next = m.Fix
			}
		}
		warn("no power sensor can be read: energy will be null", next)
	}
	release, err := campaign.LockGPUs(campaign.LockDir(), meters)
	if busy, ok := errors.AsType[*campaign.BusyError](err); ok {
		warn(busy.Error(), busy.Hint())
	} else if err == nil {
		release()
	}
	return out
}

// writable checks that a folder for results can be made, by looking at the nearest
// one that exists.
func writable(dir string) error {
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			if at == filepath.Dir(at) {
				return fmt.Errorf("results cannot be written to %s: %w", dir, err)
			}
			continue
		}
		if !info.IsDir() {
			return fmt.Errorf("results cannot be written to %s: %s is a file", dir, at)
		}
		probe, err := os.CreateTemp(at, ".llem-*")
		if err != nil {
			return fmt.Errorf("results cannot be written to %s: %w", dir, err)
		}
		return errors.Join(probe.Close(), os.Remove(probe.Name()))
	}
}

// Runnable says whether any experiment of a plan can run.
func Runnable(p *DryRunPlan) bool {
	return p.Runnable > 0 || p.Points == 0 && !slices.ContainsFunc(p.Findings, func(f plan.Finding) bool { return f.Error })
}
