package campaign

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/nodes"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/result"
)

// CanaryError is the error if the canary of a worker failed: the worker executes no run.
type CanaryError struct {
	// Worker is its name, and Msg why the canary failed.
	Worker, Msg string
	// Next is the next step for the user.
	Next string
}

// Error returns why the canary failed.
func (e *CanaryError) Error() string {
	return fmt.Sprintf("the canary of the worker %s failed, so it leaves the study to the others: %s", e.Worker, e.Msg)
}

// NextStep returns the next step for the user.
func (e *CanaryError) NextStep() string {
	if e.Next != "" {
		return e.Next
	}
	return "repair this machine and start the worker again, or exclude the machine"
}

// canary executes the canary of this worker before its first run: the first experiment once more, whose result is in
// no mean. Every worker executes the same one, so that their spread is the spread of the machines, and a machine that
// cannot execute it spoils no run.
func (s *schedule) canary(ctx context.Context) error {
	if due, err := s.canaryDue(); !due || err != nil {
		return err
	}
	p := Planned{s.Study.Experiments[0], 1}
	s.emit(event.PhaseStarted{Phase: event.Rest, Detail: "canary: " + s.announce.Names.Label(p.Experiment) +
		", which every worker measures before its first run"})
	var rec *result.Record
	err := s.limited(ctx, func(ctx context.Context) (err error) {
		rec, err = s.measureCanary(ctx, p, s.folder.worker.Name())
		return err
	})
	if err != nil {
		return err
	}
	s.ran, s.folder.worker.canaryDone = true, true
	if rec.Status != result.Failed {
		return nil
	}
	e := &CanaryError{Worker: s.folder.worker.Name(), Msg: rec.Failure.Message, Next: rec.Failure.Next}
	if s.failsElsewhere(p) {
		s.emit(event.Note{Code: codes.CanaryFailed, Message: "the canary fails on other workers too, so the " +
			"configuration is the cause, not this machine: " + e.Msg})
		return nil
	}
	return e
}

// shardCanary executes the canary of a shard that one process executes alone, before its first run: the other shards
// are on other machines, and their canaries are compared in the merged study. Nobody else would execute the runs of the
// shard, so that a canary that fails is told, and no reason to leave them.
func (s *schedule) shardCanary(ctx context.Context, plan []Planned) error {
	name := s.Shard.Worker()
	if s.Shard.Whole() || s.Study.Execution.Canary == terms.CanaryNever {
		return nil
	}
	p := Planned{s.Study.Experiments[0], 1}
	rec := nodes.CanaryOf(s.folder.path(), name)
	open := func(p Planned) bool { return !s.folder.wasMade(keyOfRun(p), s.RetryFailed) }
	if rec != nil && rec.Status == result.OK || !slices.ContainsFunc(plan, open) || s.absent(p.Experiment) != nil {
		return nil
	}
	s.emit(event.PhaseStarted{Phase: event.Rest, Detail: "canary: " + s.announce.Names.Label(p.Experiment) +
		", which every shard measures before its first run"})
	err := s.limited(ctx, func(ctx context.Context) (err error) {
		rec, err = s.measureCanary(ctx, p, name)
		return err
	})
	if err != nil {
		return err
	}
	if s.ran = true; rec.Status == result.Failed {
		s.emit(event.Note{Code: codes.CanaryFailed, Message: "the canary of " + s.Shard.String() + " failed: " +
			rec.Failure.Message})
	}
	return nil
}

// measureCanary measures the canary of a worker or a shard and keeps it, unless it is interrupted.
func (s *schedule) measureCanary(ctx context.Context, p Planned, name string) (*result.Record, error) {
	run, err := s.folder.dir.BeginCanary(name)
	if err != nil {
		return nil, err
	}
	rec, series, err := s.measured(ctx, s.folder, s.engines, p, 0, run.LogPath())
	if err == nil {
		err = run.CommitCanary(rec, series)
	}
	if err != nil {
		return nil, errors.Join(err, run.Abort())
	}
	return rec, nil
}

// failsElsewhere reports whether the canary has failed on another worker, and has succeeded nowhere. Then the first
// worker on which it failed is gone, but the other ones execute what they can.
func (s *schedule) failsElsewhere(p Planned) bool {
	for key, e := range s.folder.made {
		if key.ID == p.Experiment.ID() && e.Status == result.OK {
			return false
		}
	}
	failed := false
	for name := range s.folder.worker.nodes {
		rec := nodes.CanaryOf(s.folder.path(), name)
		if rec == nil || name == s.folder.worker.Name() || rec.ID != p.Experiment.ID() {
			continue
		}
		if rec.Status == result.OK {
			return false
		}
		failed = true
	}
	return failed
}

// canaryDue reports whether this worker has yet to execute its canary. By default, it has once the workers of a study
// are on several machines: the first worker executes it when a worker on another machine has joined.
func (s *schedule) canaryDue() (bool, error) {
	w := s.folder.worker
	if w.canaryDone || s.Study.Execution.Canary == terms.CanaryNever {
		return false, nil
	}
	several, err := s.folder.severalMachines()
	if err != nil || !several && s.Study.Execution.Canary != terms.CanaryAlways {
		return false, err
	}
	// A worker that is started again under its name has executed it, unless it is on another machine now.
	rec := nodes.CanaryOf(s.folder.path(), w.Name())
	w.canaryDone = rec != nil && rec.Status == result.OK && w.rejoined
	return !w.canaryDone, nil
}

// severalMachines reports whether workers on several machines have joined the study.
func (f *folder) severalMachines() (bool, error) {
	entries, err := os.ReadDir(filepath.Join(f.path(), nodes.WorkersDir))
	if err != nil {
		return false, fmt.Errorf("read the workers of the study: %w", err)
	}
	here, several := f.worker.options.node(), false
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		if _, known := f.worker.nodes[name]; !known {
			f.worker.nodes[name] = nodes.NodeOf(f.path(), name)
		}
		node := f.worker.nodes[name]
		several = several || node != "" && node != here
	}
	return several, nil
}
