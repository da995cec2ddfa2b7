package llem

import (
	"cmp"
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
	"github.com/llenergymeasure/llem/internal/clientaudit"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/extent"
	"github.com/llenergymeasure/llem/internal/gpulock"
	"github.com/llenergymeasure/llem/internal/guardian"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/machine"
	"github.com/llenergymeasure/llem/internal/measure"
	"github.com/llenergymeasure/llem/internal/metronome"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/plan"
	"github.com/llenergymeasure/llem/internal/self"
	"github.com/llenergymeasure/llem/internal/shard"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// Options are the options of [Run]. The zero value measures with the sensors of this machine and writes to
// ./results.
type Options struct {
	// Results is the folder in which each study gets a folder; empty means ./results.
	Results string
	// Python is the interpreter for Python engines; if empty, one is looked for.
	Python string
	// Estimate allows estimating CPU power if no CPU sensor can be read. Such results are marked.
	Estimate bool
	// Timeout bounds one run; 0 means no limit.
	Timeout time.Duration
	// FailFast ends the study at the first run that fails.
	FailFast bool
	// Resume is the folder of an earlier study to continue. Finished runs are skipped; failed runs are
	// repeated if RetryFailed is set.
	Resume string
	// Worker, if set, makes this process one of several, on any machines, that execute the study in one folder: Resume,
	// otherwise Results itself. It is a name that no other worker of the study has.
	Worker string
	// AllowMixed lets a worker join although its machine differs from the study's first machine. Its runs are marked
	// and excluded from the means.
	AllowMixed bool
	// Shard, as "2/4", executes only one of several parts of the study, in a folder of its own; empty means the whole
	// study, or the part in the folder Resume.
	Shard string
	// Node names the machine, as its cluster does; only a hash of it is kept. Empty means the name of the host and its
	// boot, which in a container is not the machine.
	Node string
	// RetryFailed repeats the failed runs of a resumed study.
	RetryFailed bool
	// NoGaps skips the pauses between runs.
	NoGaps bool
	// Backends are additional or replacement engines, by name: a custom build of a known engine, or an engine
	// that study.Options.Engines describes.
	Backends []backend.Backend
	// Meters are custom power sensors, read together with the sensors of this machine. Their device IDs must
	// be unique. Run does not close them.
	Meters []power.Meter
	// Observe receives events. It must return quickly and is called from several goroutines.
	Observe func(event.Event)
}

// LoadFile reads a study file. The settings override keys of the file. If the file or the settings contain
// mistakes, the error is [study.Errors], which lists all of them with positions.
func LoadFile(path string, settings ...study.Setting) (*study.Study, error) {
	return study.Load(study.Options{Path: path, Settings: settings, Stored: model.AutoDType})
}

// PlannedRun is one run of a study.
type PlannedRun struct {
	// Experiment is the configuration to measure.
	Experiment study.Experiment
	// Cycle counts the runs of one experiment, from 1.
	Cycle int
}

// Plan lists the runs of a study in the order of execution.
func Plan(s *study.Study) []PlannedRun {
	runs := campaign.Order(s)
	out := make([]PlannedRun, len(runs))
	for i, r := range runs {
		out[i] = PlannedRun(r)
	}
	return out
}

// Run executes all runs of the study. A failed run is part of the result. The error is the cause of ctx, a
// write error, or the reason why the study cannot start.
func Run(ctx context.Context, s *study.Study, o Options) (*result.StudyResult, error) {
	if err := self.Check(); err != nil {
		return nil, err
	}
	if o.Resume != "" {
		var err error
		if s, err = campaign.Frozen(o.Resume, s); err != nil {
			return nil, err
		}
		estimated, err := campaign.Estimating(o.Resume, o.Estimate)
		if err != nil {
			return nil, err
		}
		if estimated && !o.Estimate {
			o.Estimate = true
			o.observe(event.Note{Code: codes.NoSensor,
				Message: "the study was started with --estimate: without a sensor, the CPU's power is modelled again"})
		}
	}
	part, err := shard.Parse(o.Shard)
	if err == nil && !part.Whole() {
		err = part.Check(s)
	}
	if err != nil {
		return nil, err
	}
	needs, files := machine.NeedsOf(s), &extent.Files{}
	if err := errors.Join(needs.Available(machine.Backends(needs.Known, o.Python), o.Backends...),
		campaign.Preflight(s, files), o.tooLong(s, part, files)); err != nil {
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
	absent, err := plan.Absent(ctx, s, m.Backends, o.FailFast)
	if _, missing := errors.AsType[study.Errors](err); err != nil && (!missing || o.Resume == "") {
		return nil, err
	}
	o.unmetered(needs, m.Meters)
	// A simulated GPU uses the real sensor code, so it is locked like a real GPU.
	if needs.GPU || needs.Simulated {
		release, err := gpulock.Lock(gpulock.Dir(), m.Meters,
			gpulock.Holder{Worker: o.Worker, Shares: campaign.SharesGPUs(s)})
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
	var worker *campaign.Worker
	if o.Worker != "" {
		worker = &campaign.Worker{Dir: cmp.Or(o.Resume, o.Results), Name: o.Worker, AllowMixed: o.AllowMixed}
	}
	expected, err := plan.For(s, m.Meters, snapshot, files)
	if err != nil {
		return nil, err
	}
	return campaign.Run(ctx, campaign.Options{
		Study: s, Backends: m.Backends, Meters: m.Meters, Missing: m.Missing,
		Store: model.Store{Dir: cache}, Results: o.Results, Snapshot: snapshot,
		Baselines: &measure.Baselines{Path: filepath.Join(cache, "baselines.json")},
		Profiles:  known, SelfTest: selfTest,
		Absent: absent, FailFast: o.FailFast, Emit: o.observe,
		Estimate: o.Estimate, Timeout: o.Timeout, Expected: expected.Longest, Planned: expected.Duration(s),
		Client: o.audit(ctx, needs),
		Resume: o.Resume, Worker: worker, Shard: part, RetryFailed: o.RetryFailed, NoGaps: o.NoGaps, Node: o.Node,
	})
}

// tooLong returns the schedules of a study that its limits do not leave time for. A study that is resumed, or that
// several workers share, may have enough.
func (o Options) tooLong(s *study.Study, part shard.Shard, files *extent.Files) error {
	limit := cmp.Or(o.Timeout, time.Duration(s.Execution.RunTimeout))
	runs := func(i int) int { return part.Cycles(s, i) }
	if o.Resume != "" || o.Worker != "" {
		runs = nil
	}
	return extent.Err(files.Beyond(s, limit, runs))
}

// unmetered warns before the first run if no run will have energy.
func (o Options) unmetered(needs machine.Needs, meters []power.Meter) {
	if needs.Simulated || !needs.Power ||
		machine.Metered(meters, func(power.Meter, power.Device) bool { return true }) {
		return
	}
	o.observe(event.Note{Code: codes.NoSensor,
		Message: "no power sensor can be read: energy will be null; --estimate models the CPU's power"})
}

// audit measures how exact the client is if the study has servers; nil if it has none, or on an error.
func (o Options) audit(ctx context.Context, needs machine.Needs) *load.Client {
	if !needs.Server {
		return nil
	}
	c, err := clientaudit.Run(ctx, clientaudit.Options{})
	if err != nil && ctx.Err() == nil {
		o.observe(event.Note{Code: codes.ClientAudit, Message: err.Error()})
	}
	return c
}

func (o Options) observe(e event.Event) {
	if o.Observe != nil {
		o.Observe(e)
	}
}

// WorkerMain runs an engine and exits if this process was started as a worker; otherwise it returns at once.
// Call it first in main. A program that does not would start itself as an engine, so [Run], [DryRun] and
// [Doctor] return an error; its engines also have no guardian, so that their child processes may survive if
// the program is killed.
func WorkerMain() {
	if len(os.Args) < 3 || os.Args[1] != "worker" {
		guardian.HandsOver()
		return
	}
	serve := workers.Find(os.Args[2], os.Getenv)
	switch os.Args[2] {
	case guardian.Name:
		serve = guardian.Main
	case metronome.Name:
		serve = func() error { return metronome.Main(os.Args[3:]) }
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
