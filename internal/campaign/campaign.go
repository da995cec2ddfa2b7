// Package campaign runs the experiments of a study in order and writes what they
// give. Runs are independent: one that fails is a row with its failure, and the
// next one starts.
package campaign

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/llenergymeasure/llem/backend"
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

	// engines keeps an engine from run to run; nil if every run is to have its own.
	engines *measure.Engines
	// part counts the processes that have worked on the study, and counted is up to when
	// its time stands in the records.
	part    int
	counted time.Time
}

// Run makes all runs that have not been made. The result holds those that were made,
// also after an error; the error is that of the context, or of writing.
func Run(ctx context.Context, o Options) (*result.StudyResult, error) {
	dir, made, err := o.open()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	s := newSchedule(&o, dir, made)
	plan := Order(o.Study)
	s.total = len(plan)
	if o.Study.Execution.Restart != study.RestartAlways {
		o.engines = &measure.Engines{}
	}
	o.emit(s.opening(plan))
	s.remarks()
	runErr := s.all(ctx, plan)
	runErr = errors.Join(runErr, o.engines.Close())
	return o.finish(dir, runErr, ctx.Err() != nil)
}

// open makes the study's folder, or opens that of a study to go on with.
func (o *Options) open() (*result.Dir, map[result.RunKey]result.Entry, error) {
	if o.Resume != "" {
		return o.reopen()
	}
	o.part = 1
	in, err := inputsOf(o.Study)
	if err != nil {
		return nil, nil, err
	}
	dir, err := result.Create(o.Results, folderName(o.Study), time.Now())
	if err != nil {
		return nil, nil, err
	}
	// The study comes last: a folder without it is none to go on with.
	text, err := o.Study.YAML()
	if err == nil {
		err = errors.Join(dir.WriteJSON(result.EnvFile, o.Snapshot), dir.WriteJSON(inputsFile, in))
	}
	if err == nil && o.SelfTest != nil {
		err = dir.WriteJSON(result.DoctorFile, o.SelfTest)
	}
	if err == nil {
		err = dir.WriteText(result.StudyFile, text)
	}
	if err != nil {
		return nil, nil, errors.Join(err, dir.Close())
	}
	return dir, map[result.RunKey]result.Entry{}, nil
}

// reopen goes on with a study, if its files and its GPUs are those that it began with.
func (o *Options) reopen() (*result.Dir, map[result.RunKey]result.Entry, error) {
	if err := errors.Join(sameInputs(o.Resume), o.sameMachine()); err != nil {
		return nil, nil, err
	}
	dir, made, err := result.Reopen(o.Resume)
	if err != nil {
		return nil, nil, err
	}
	if err := dir.WriteJSON(result.EnvPart(o.part), o.Snapshot); err != nil {
		return nil, nil, errors.Join(err, dir.Close())
	}
	return dir, made, nil
}

// folderName names the folder after the study, or after its model.
func folderName(s *study.Study) string {
	if s.Name != "" {
		return s.Name
	}
	return s.Experiments[0].Model
}

func (o *Options) emit(e event.Event) {
	if o.Emit != nil {
		o.Emit(e)
	}
}

// runOne measures one run and commits it. An interrupted run is committed too:
// what happened is on record, and it is not counted as done.
func (o *Options) runOne(ctx context.Context, dir *result.Dir, p Planned, gap time.Duration) (*result.Record, error) {
	run, err := dir.Begin(p.Experiment.ID(), p.Cycle)
	if err != nil {
		return nil, err
	}
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.Timeout, measure.ErrTimeout)
		defer cancel()
	}
	out, runErr := measure.Run(ctx, measure.Options{
		Experiment: p.Experiment, Cycle: p.Cycle, Backend: o.Backends[p.Experiment.Backend],
		Meters: o.Meters, Missing: o.Missing, Warnings: host.Warnings(o.Snapshot), Store: o.Store,
		Threads:   host.CPUThreads(o.Snapshot),
		Baselines: o.Baselines, Profiles: o.Profiles, Engines: o.engines, Program: host.CurrentBuild().Name(),
		LogPath: run.LogPath(), Emit: o.Emit,
	})
	o.describe(out.Loaded)
	out.Record.Timing.GapS = gap.Seconds()
	now := time.Now()
	out.Record.Timing.TookS, o.counted = now.Sub(o.counted).Seconds(), now
	if timeout, ok := errors.AsType[*TimeoutError](runErr); ok && out.Record.Failure != nil {
		out.Record.Failure.Message, out.Record.Failure.Next = timeout.Error(), timeout.Hint()
	}
	if err := run.Commit(out.Record, out.Series); err != nil {
		return nil, errors.Join(err, run.Abort(), runErr)
	}
	return out.Record, runErr
}

// describe completes the snapshot with what an engine said of itself.
func (o *Options) describe(l backend.Loaded) {
	if python := l.Versions["python"]; python != "" {
		o.Snapshot.Merge(host.WorkerReport{PythonVersion: python, Packages: l.Versions,
			CUDARuntime: l.Versions["cuda"], CuDNN: l.Versions["cudnn"], CUDASource: "torch"})
	}
}

// finish writes the summary from what is on disk.
func (o *Options) finish(dir *result.Dir, runErr error, interrupted bool) (*result.StudyResult, error) {
	summary, err := result.NewStudyResult(dir.Path(), o.Study, time.Now())
	if err != nil {
		return nil, errors.Join(runErr, fmt.Errorf("rebuild the summary: %w", err))
	}
	summary.Ended = ended(summary, runErr, interrupted)
	err = errors.Join(dir.WriteJSON(result.EnvPart(o.part), o.Snapshot), dir.WriteSummary(summary))
	o.emit(event.StudyFinished{Dir: dir.Path(), OK: summary.OK, Failed: summary.Failed})
	if errors.Is(runErr, errFailFast) {
		runErr = nil // the failed run itself says what happened
	}
	return summary, errors.Join(runErr, err)
}

// ended says why no more runs were made.
func ended(s *result.StudyResult, err error, interrupted bool) result.Ended {
	_, timeout := errors.AsType[*TimeoutError](err)
	switch {
	case timeout:
		return result.EndTimeout
	case errors.Is(err, errFailFast):
		return result.EndFailFast
	case interrupted && err != nil:
		return result.EndInterrupted
	case err != nil:
		return result.EndError
	case s.Complete:
		return result.EndComplete
	}
	return result.EndFailures
}
