package campaign

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/measure"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
)

// machineWarnings returns doubts about the machine that apply to every run. Each run checks itself who uses
// its GPUs.
func machineWarnings(s *host.Snapshot) note.List {
	return slices.DeleteFunc(host.Warnings(s), func(n note.Note) bool { return n.Code == codes.GPUShared })
}

// measure measures one run and commits it. An interrupted run is also committed, but does not count as
// finished.
func (o *Options) measure(ctx context.Context, f *folder, engines *measure.Engines, p Planned, gap time.Duration) (
	*result.Record, error) {
	return f.add(p, func(log string) (*result.Record, series.All, error) {
		return o.measured(ctx, f, engines, p, gap, log)
	})
}

// measured measures one run.
func (o *Options) measured(ctx context.Context, f *folder, engines *measure.Engines, p Planned, gap time.Duration,
	log string) (*result.Record, series.All, error) {
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.Timeout, measure.ErrTimeout)
		defer cancel()
	}
	out, err := measure.Run(ctx, measure.Options{Engine: o.Study.Engine(p.Experiment.Backend),
		Experiment: p.Experiment, Cycle: p.Cycle, Backend: o.Backends[p.Experiment.Backend],
		Meters: o.Meters, Missing: o.Missing, Warnings: machineWarnings(o.Snapshot), Store: o.Store,
		Cards:     host.CardWarnings(o.Snapshot),
		Client:    o.Client,
		Threads:   host.CPUThreads(o.Snapshot),
		Baselines: o.Baselines, Profiles: o.Profiles, Engines: engines, Program: host.CurrentBuild().Name(),
		LogPath: log, Expected: o.Expected, Limited: o.Timeout > 0, Emit: o.Emit, Clock: o.Clock,
	})
	f.describe(out.Loaded)
	out.Record.Timing.GapS, out.Record.Timing.TookS = gap.Seconds(), f.took()
	if timeout, ok := errors.AsType[*TimeoutError](err); ok && out.Record.Failure != nil {
		out.Record.Failure.Message, out.Record.Failure.Next = timeout.Error(), timeout.NextStep()
	}
	return out.Record, out.Series, err
}
