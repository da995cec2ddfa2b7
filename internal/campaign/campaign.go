// Package campaign runs the experiments of a study in order and writes what they
// give. Runs are independent: one that fails is a row with its failure, and the
// next one starts.
package campaign

import (
	"context"
	"errors"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/measure"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// Options is what a campaign needs.
type Options struct {
	Study    *study.Study
	Backends map[string]backend.Backend
	Meters   []power.Meter
	Missing  []power.Unavailable
	Store    model.Store
	// Results is the folder below which the study's folder is made.
	Results string
	// Baselines remembers idle power from run to run.
	Baselines *measure.Baselines
	// Profiles are what a self-test found about the sensors, by device.
	Profiles map[string]*power.Profile
	// SelfTest, if set, is written beside the results as doctor.json: what a self-test
	// found, or why there is none.
	SelfTest any
	// Snapshot describes the machine; it is completed with what engines report.
	Snapshot *host.Snapshot
	// Timeout bounds one run; 0 is no bound.
	Timeout time.Duration
	// FailFast ends the study with the first run that fails.
	FailFast bool
	// Resume is the folder of a study to go on with; runs that were made are not made
	// again. RetryFailed makes those again that failed.
	Resume      string
	RetryFailed bool
	// NoGaps leaves the pauses between runs out.
	NoGaps bool
	Emit   func(event.Event)
	// Clock is the time of the study, of its meters and of its engines.
	Clock clock.Clock
}

// Run makes all runs that have not been made. The result holds the ones that were made,
// also after an error; the error is that of the context, or of writing.
func Run(ctx context.Context, o Options) (*result.StudyResult, error) {
	f, err := openFolder(&o)
	if err != nil {
		return nil, err
	}
	defer f.close()
	s := newSchedule(&o, f)
	plan := Order(o.Study)
	s.total = len(plan)
	if o.Study.Execution.Restart != study.RestartAlways {
		s.engines = &measure.Engines{Clock: o.Clock}
	}
	o.emit(s.opening(plan))
	s.warn()
	runErr := s.runAll(ctx, plan)
	runErr = errors.Join(runErr, s.engines.Close())
	summary, err := f.summarize(runErr, ctx.Err() != nil)
	if summary == nil {
		return nil, errors.Join(runErr, err)
	}
	o.emit(event.StudyFinished{Dir: f.path(), OK: summary.OK, Failed: summary.Failed})
	if errors.Is(runErr, errFailFast) {
		runErr = nil // the failed run itself says what happened
	}
	return summary, errors.Join(runErr, err)
}

func (o *Options) emit(e event.Event) {
	if o.Emit != nil {
		o.Emit(e)
	}
}

// measure measures one run and commits it. An interrupted run is committed too:
// what happened is on record, and it is not counted as done.
func (s *schedule) measure(ctx context.Context, p Planned, gap time.Duration) (*result.Record, error) {
	if s.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, s.Timeout, measure.ErrTimeout)
		defer cancel()
	}
	return s.folder.add(p, func(log string) (*result.Record, result.Series, error) {
		out, err := measure.Run(ctx, measure.Options{
			Experiment: p.Experiment, Cycle: p.Cycle, Backend: s.Backends[p.Experiment.Backend],
			Meters: s.Meters, Missing: s.Missing, Warnings: host.Warnings(s.Snapshot), Store: s.Store,
			Threads:   host.CPUThreads(s.Snapshot),
			Baselines: s.Baselines, Profiles: s.Profiles, Engines: s.engines, Program: host.CurrentBuild().Name(),
			LogPath: log, Emit: s.Emit, Clock: s.Clock,
		})
		s.folder.describe(out.Loaded)
		out.Record.Timing.GapS, out.Record.Timing.TookS = gap.Seconds(), s.folder.took()
		if timeout, ok := errors.AsType[*TimeoutError](err); ok && out.Record.Failure != nil {
			out.Record.Failure.Message, out.Record.Failure.Next = timeout.Error(), timeout.NextStep()
		}
		return out.Record, out.Series, err
	})
}
