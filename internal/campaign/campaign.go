// Package campaign runs the experiments of a study in order and writes what they
// give. Runs are independent: one that fails is a row with its failure, and the
// next one starts.
package campaign

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
	// SelfTest, if set, is written beside the results as doctor.json.
	SelfTest any
	// Snapshot describes the machine; it is completed with what engines report.
	Snapshot *host.Snapshot
	// Timeout bounds one run; 0 is no bound.
	Timeout time.Duration
	// FailFast ends the study with the first run that fails.
	FailFast bool
	Emit     func(event.Event)
}

// Planned is one run to make.
type Planned struct {
	Experiment study.Experiment
	Cycle      int
}

// Order lists the runs of a study in the order in which they are made.
func Order(s *study.Study) []Planned {
	n, cycles := len(s.Experiments), s.Execution.Cycles
	out := make([]Planned, 0, n*cycles)
	if s.Execution.Order == "sequential" {
		for _, e := range s.Experiments {
			for c := range cycles {
				out = append(out, Planned{e, c + 1})
			}
		}
		return out
	}
	for c := range cycles {
		for _, i := range cycleOrder(s.Execution, n, c) {
			out = append(out, Planned{s.Experiments[i], c + 1})
		}
	}
	return out
}

// cycleOrder is the order of n experiments in one cycle, counted from 0.
func cycleOrder(x study.Execution, n, cycle int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	switch {
	case x.Order == "shuffle":
		rng := rand.New(rand.NewPCG(x.Seed, uint64(cycle)))
		rng.Shuffle(n, func(i, j int) { order[i], order[j] = order[j], order[i] })
	case x.Order == "reverse" && cycle%2 == 1:
		for i := range order {
			order[i] = n - 1 - i
		}
	}
	return order
}

// Run makes all runs. The result holds those that were made, also after an error;
// the error is that of the context, or of writing.
func Run(ctx context.Context, o Options) (*result.StudyResult, error) {
	dir, err := result.Create(o.Results, folderName(o.Study), time.Now())
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	text, err := o.Study.YAML()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(dir.WriteText(result.StudyFile, text), dir.WriteJSON(result.EnvFile, o.Snapshot)); err != nil {
		return nil, err
	}
	if o.SelfTest != nil {
		if err := dir.WriteJSON(result.DoctorFile, o.SelfTest); err != nil {
			return nil, err
		}
	}
	plan := Order(o.Study)
	o.emit(event.StudyStarted{Name: o.Study.Name, Runs: len(plan), Dir: dir.Path()})
	runErr := o.runAll(ctx, dir, plan)
	return o.finish(dir, runErr)
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

// errFailFast ends a study early.
var errFailFast = errors.New("stopped at the first failed run")

func (o *Options) runAll(ctx context.Context, dir *result.Dir, plan []Planned) error {
	for i, p := range plan {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		start := time.Now()
		o.emit(event.RunStarted{Index: i + 1, Total: len(plan), ID: p.Experiment.ID(), Label: p.Experiment.Label(), Cycle: p.Cycle})
		rec, err := o.runOne(ctx, dir, p)
		if rec != nil {
			done := event.RunFinished{Index: i + 1, Total: len(plan), ID: rec.ID, Status: string(rec.Status), Took: time.Since(start)}
			if rec.Failure != nil {
				done.Message = rec.Failure.Message
			}
			o.emit(done)
		}
		if err != nil {
			return err
		}
		if rec.Status == result.Failed && o.FailFast {
			return errFailFast
		}
	}
	return nil
}

// runOne measures one run and commits it. An interrupted run is committed too:
// what happened is on record, and it is not counted as done.
func (o *Options) runOne(ctx context.Context, dir *result.Dir, p Planned) (*result.Record, error) {
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
		Meters: o.Meters, Missing: o.Missing, Warnings: doubts(o.Snapshot), Store: o.Store, Threads: host.CPUThreads(o.Snapshot),
		Baselines: o.Baselines, Profiles: o.Profiles,
		LogPath: run.LogPath(), Emit: o.Emit,
	})
	o.describe(out.Loaded)
	if err := run.Commit(out.Record, out.Series); err != nil {
		return nil, errors.Join(err, run.Abort(), runErr)
	}
	return out.Record, runErr
}

// doubts are the remarks on the machine, such as that it was busy.
func doubts(s *host.Snapshot) []result.Warning {
	var out []result.Warning
	for _, w := range host.Warnings(s) {
		out = append(out, result.Warning{Code: w.Code, Message: w.Message})
	}
	return out
}

// describe completes the snapshot with what an engine said of itself.
func (o *Options) describe(l backend.Loaded) {
	if python := l.Versions["python"]; python != "" {
		o.Snapshot.Merge(host.WorkerReport{PythonVersion: python, Packages: l.Versions,
			CUDARuntime: l.Versions["cuda"], CuDNN: l.Versions["cudnn"], CUDASource: "torch"})
	}
}

// finish writes the summary from what is on disk.
func (o *Options) finish(dir *result.Dir, runErr error) (*result.StudyResult, error) {
	summary, err := result.NewStudyResult(dir.Path(), o.Study, time.Now())
	if err != nil {
		return nil, errors.Join(runErr, fmt.Errorf("rebuild the summary: %w", err))
	}
	err = errors.Join(dir.WriteJSON(result.EnvFile, o.Snapshot), dir.WriteJSON(result.SummaryFile, summary))
	o.emit(event.StudyFinished{Dir: dir.Path(), OK: summary.OK, Failed: summary.Failed})
	if errors.Is(runErr, errFailFast) {
		runErr = nil // the failed run itself says what happened
	}
	return summary, errors.Join(runErr, err)
}
