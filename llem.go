package llem

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine/workers"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/campaign"
	"github.com/llenergymeasure/llem/internal/guardian"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/machine"
	"github.com/llenergymeasure/llem/internal/measure"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/plan"
	"github.com/llenergymeasure/llem/internal/self"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// Options of a study's run. The zero value measures with the sensors of this
// machine and writes to ./results.
type Options struct {
	// Results is the folder below which each study gets its own; empty is ./results.
	Results string
	// Python is the interpreter for Python engines; empty looks for one.
	Python string
	// Estimate allows a modelled CPU power where no CPU sensor can be read. Such
	// results are labelled.
	Estimate bool
	// Timeout bounds one run; 0 is no bound.
	Timeout time.Duration
	// FailFast ends the study with the first run that fails.
	FailFast bool
	// Resume is the folder of an earlier start of the study. Finished runs are skipped;
	// those that failed are repeated if RetryFailed is set.
	Resume string
	// RetryFailed repeats failed runs of the study that is resumed.
	RetryFailed bool
	// NoGaps leaves the pauses between runs out.
	NoGaps bool
	// Backends start the engines whose names they have, in place of this module's way: a
	// build of the caller's own, or an engine that study.Options.Engines describes.
	Backends []backend.Backend
	// Meters are power sensors of the caller's own, read beside those of this machine.
	// A device that the caller's meter has must not have the ID of another one. Run
	// does not close them.
	Meters []power.Meter
	// Observe receives what happens; it must return quickly and is called from
	// several goroutines.
	Observe func(event.Event)
}

// LoadFile reads a study file. Settings override what it says. The error is
// [study.Errors] if file or settings contain mistakes: all of them, with positions.
func LoadFile(path string, settings ...study.Setting) (*study.Study, error) {
	return study.Load(study.Options{Path: path, Settings: settings, Stored: model.AutoDType})
}

// PlannedRun is one run of a study.
type PlannedRun struct {
	// Experiment is the configuration that is measured.
	Experiment study.Experiment
	// Cycle counts the runs of one experiment, from 1.
	Cycle int
}

// Plan lists the runs of a study in the order in which Run makes them.
func Plan(s *study.Study) []PlannedRun {
	runs := campaign.Order(s)
	out := make([]PlannedRun, len(runs))
	for i, r := range runs {
		out[i] = PlannedRun(r)
	}
	return out
}

// Run makes all runs of the study. A run that fails is part of the result; the
// error is the context's, one of writing, or one of a study that cannot start.
func Run(ctx context.Context, s *study.Study, o Options) (*result.StudyResult, error) {
	if err := self.Check(); err != nil {
		return nil, err
	}
	if o.Resume != "" {
		var err error
		if s, err = campaign.Frozen(o.Resume, s); err != nil {
			return nil, err
		}
	}
	needs := machine.NeedsOf(s)
	if err := errors.Join(needs.Available(machine.Backends(needs.Known, o.Python), o.Backends...),
		campaign.Preflight(s)); err != nil {
		return nil, err
	}
	cache, err := model.DefaultCacheDir()
	if err != nil {
		return nil, err
	}
	m, err := machine.Open(ctx, machine.Options{Needs: needs, Python: o.Python, Estimate: o.Estimate,
		Backends: o.Backends, Meters: o.Meters})
	if err != nil {
		return nil, err
	}
	defer m.Close()
	// A simulated GPU behind the real sensor code is locked like a real one.
	if needs.GPU || needs.Simulated {
		release, err := campaign.LockGPUs(campaign.LockDir(), m.Meters)
		if err != nil {
			return nil, err
		}
		defer release()
	}
	snapshot, err := machine.Snapshot(ctx, m.Meters, needs.Known)
	if err != nil {
		return nil, err
	}
	for _, w := range host.Warnings(snapshot) {
		o.observe(event.Note(w))
	}
	known, selfTest := machine.Profiles(m.Meters, cache)
	if o.Timeout == 0 {
		o.Timeout = time.Duration(s.Execution.RunTimeout)
	}
	if o.Results == "" {
		o.Results = "results"
	}
	expected, err := plan.For(s, m.Meters, snapshot)
	if err != nil {
		return nil, err
	}
	return campaign.Run(ctx, campaign.Options{
		Study: s, Backends: m.Backends, Meters: m.Meters, Missing: m.Missing,
		Store: model.Store{Dir: cache}, Results: o.Results, Snapshot: snapshot,
		Baselines: &measure.Baselines{Path: filepath.Join(cache, "baselines.json")},
		Profiles:  known, SelfTest: selfTest,
		Timeout: o.Timeout, Expected: expected.Longest, FailFast: o.FailFast, Emit: o.observe,
		Resume: o.Resume, RetryFailed: o.RetryFailed, NoGaps: o.NoGaps,
	})
}

func (o Options) observe(e event.Event) {
	if o.Observe != nil {
		o.Observe(e)
	}
}

// WorkerMain runs an engine and exits if this process was started as a worker;
// otherwise it returns at once. Call it first thing in main: a program that does
// not would become its own engine, which [Run], [DryRun] and [Doctor] refuse. Its
// engines have no guardian either: where the program is killed, their first process dies
// with it, and what that has started may live on.
func WorkerMain() {
	if len(os.Args) < 3 || os.Args[1] != "worker" {
		guardian.HandsOver()
		return
	}
	serve := workers.Find(os.Args[2], os.Getenv)
	if os.Args[2] == guardian.Name {
		serve = guardian.Main
	}
	if serve == nil {
		return
	}
	if err := serve(); err != nil {
		fmt.Fprintf(os.Stderr, "%s worker: %v\n", filepath.Base(os.Args[0]), err)
		os.Exit(1)
	}
	os.Exit(0)
}
