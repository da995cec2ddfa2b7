package plan

import (
	"context"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/campaign"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/machine"
	"github.com/llenergymeasure/llem/internal/shard"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/study"
)

// CheckOptions are the options of a plan for this machine.
type CheckOptions struct {
	// Results is the folder for results.
	Results string
	// Shard is the part of the study to plan; the zero value is the whole study.
	Shard shard.Shard
	// Limit and Only select the experiments that are described, see [Options].
	Limit int
	Only  string
	// GPU is the name of a GPU in the catalogue for which needs are estimated; empty takes the first GPU of this
	// machine.
	GPU string
	// Timeout is the maximum duration of a run; 0 means the limit of the study.
	Timeout time.Duration
	// Backends are the engines by name.
	Backends map[string]backend.Backend
	// Meters are the readable sensors, and Missing the unreadable ones.
	Meters  []power.Meter
	Missing []power.Unavailable
	// Snapshot describes the machine.
	Snapshot *host.Snapshot
}

// Check makes the plan of a study, with everything that prevents it on this machine. For models that are only on
// the hub it requests their config.json.
func Check(ctx context.Context, s *study.Study, o CheckOptions) (*Plan, error) {
	facts, asked := machine.Facts(o.Meters), machine.NeedsOf(s)
	needs, err := NewEstimator(o.GPU, facts, o.Snapshot)
	if err != nil {
		return nil, err
	}
	needs.engines = s.Engines
	needs.Learn(o.Results)
	problems, err := o.preflight(ctx, s, needs)
	if err != nil {
		return nil, err
	}
	if text := store.Unbalanced(s.Execution, len(s.Experiments)); text != "" {
		problems = append(problems, Problem{Finding: Finding{Note: note.Note{Code: codes.LatinSquareUnbalanced,
			Message: text}}})
	}
	if !asked.Simulated && asked.Power {
		problems = append(problems, o.unmetered()...)
		problems = append(problems, o.unreadable(asked)...)
	}
	if o.GPU != "" {
		problems = append(problems, needs.withoutGPU(o.GPU, s)...)
	}
	if asked.GPU && o.GPU == "" {
		problems = append(problems, occupied(o.Meters, campaign.SharesGPUs(s), facts)...)
	}
	problems = append(problems, o.schedules(s, needs.files)...)
	po := Options{Study: s, Shard: o.Shard, Limit: o.Limit, Only: o.Only, Problems: problems, Device: needs.Name(),
		Estimate: needs.Need, Sample: needs.Sample(s.Experiments), Files: needs.files}
	if len(s.Experiments) > 0 {
		po.Price, po.Currency = s.Experiments[0].Energy.PricePerKWh, s.Experiments[0].Energy.Currency
	}
	p := New(po)
	if o.Only != "" && p.Points > 0 && len(p.Shown) == 0 {
		return nil, &OnlyError{o.Only}
	}
	return p, nil
}

// OnlyError is the error if no experiment matches the text of [CheckOptions].Only.
type OnlyError struct{ Text string }

// Error names the text.
func (e *OnlyError) Error() string { return "no experiment matches " + e.Text }

// NextStep returns the next step for the user.
func (e *OnlyError) NextStep() string {
	return "--only takes a part of a label or KEY=VALUE; leave it out to see all experiments"
}

// CanRun reports whether any experiment can run.
func (p *Plan) CanRun() bool {
	return p.Runnable > 0 || p.Points == 0 && !slices.ContainsFunc(p.Findings, func(f Finding) bool { return f.Error })
}
