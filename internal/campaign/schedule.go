package campaign

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/stats"
	"github.com/llenergymeasure/llem/study"
)

// errFailFast ends a study early.
var errFailFast = errors.New("stopped at the first failed run")

// TimeoutError says that the study's time was up before all runs were made.
type TimeoutError struct{ Limit time.Duration }

// Error names the limit.
func (e *TimeoutError) Error() string {
	return fmt.Sprintf("the study's time limit of %v is reached; runs are left", e.Limit)
}

// Hint says what to do.
func (e *TimeoutError) Hint() string { return "go on with `llem run --resume`" }

// ClassLeftOut is the failure class of a run that was not made because its backend
// kept failing.
const ClassLeftOut = "left_out"

// schedule is the state of a study that runs.
type schedule struct {
	*Options
	dir   *result.Dir
	made  map[result.RunKey]result.Entry
	began time.Time
	total int
	index int
	// failures counts runs in a row that failed, by backend; reason is the last one's.
	failures map[string]int
	reason   string
	// found is how the first run found the machine; ran says that there was one.
	found map[string]rest
	ran   bool
}

// all makes the planned runs, and then as many cycles more as the wanted precision
// takes.
func (s *schedule) all(ctx context.Context, plan []Planned) error {
	if s.Study.Execution.Gap.Mode == study.GapByCondition && !s.NoGaps && len(s.Meters) > 0 {
		s.emit(event.PhaseStarted{Phase: event.Rest, Detail: "how the machine is at rest"})
		found, err := s.look(ctx)
		if err != nil {
			return err
		}
		s.found = found
	}
	for _, p := range plan {
		if err := s.next(ctx, p); err != nil {
			return err
		}
	}
	x := s.Study.Execution
	for cycle := x.Cycles + 1; cycle <= x.Until.MaxCycles; cycle++ {
		loose, err := s.loose()
		if err != nil || len(loose) == 0 {
			return err
		}
		s.total += len(loose)
		for _, i := range cycleOrder(x, len(loose), cycle-1) {
			if err := s.next(ctx, Planned{loose[i], cycle}); err != nil {
				return err
			}
		}
	}
	return nil
}

// next makes one run, unless it has been made or is left out.
func (s *schedule) next(ctx context.Context, p Planned) error {
	s.index++
	key := result.RunKey{ID: p.Experiment.ID(), Cycle: p.Cycle}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case s.wasMade(key):
		return nil
	case s.Study.Execution.StudyTimeout > 0 && time.Since(s.began) > time.Duration(s.Study.Execution.StudyTimeout):
		return &TimeoutError{time.Duration(s.Study.Execution.StudyTimeout)}
	case s.open(p.Experiment.Backend):
		return s.leaveOut(p)
	}
	found, err := s.before(p.Experiment)
	if err != nil {
		return err
	}
	var pause time.Duration
	if s.ran {
		if pause, err = s.gap(ctx, found); err != nil {
			return err
		}
	}
	s.ran = true
	start := time.Now()
	s.emit(event.RunStarted{Index: s.index, Total: s.total, ID: key.ID, Label: p.Experiment.Label(), Cycle: p.Cycle})
	rec, err := s.runOne(ctx, s.dir, p, pause)
	if rec != nil {
		s.done(p, rec, time.Since(start))
	}
	if err != nil {
		return err
	}
	if rec.Status == result.Failed && s.FailFast {
		return errFailFast
	}
	return nil
}

// before ends the engine of the last run unless it serves the next one, and says what
// rest is until then: that of the machine as it was found, or with the engine loaded.
func (s *schedule) before(next study.Experiment) (map[string]rest, error) {
	if !s.engines.Serves(next, len(s.Meters) > 0) {
		return s.found, s.engines.Close()
	}
	loaded := map[string]rest{}
	for id, w := range s.engines.Resting() {
		if _, ok := s.found[id]; ok {
			loaded[id] = rest{watts: w, celsius: math.NaN()} // warmer than the bare machine
		}
	}
	return loaded, nil
}

// done takes note of a finished run.
func (s *schedule) done(p Planned, rec *result.Record, took time.Duration) {
	finished := s.finished(rec)
	finished.Index, finished.Total, finished.Took = s.index, s.total, took
	switch rec.Status {
	case result.OK:
		s.failures[p.Experiment.Backend] = 0
	case result.Failed:
		s.failures[p.Experiment.Backend]++
		s.reason = rec.Failure.Message
	}
	s.emit(finished)
}

// wasMade says whether a run of an earlier process counts.
func (s *schedule) wasMade(key result.RunKey) bool {
	e, ok := s.made[key]
	if !ok {
		return false
	}
	switch e.Status {
	case result.OK:
		return true
	case result.Failed:
		return !s.RetryFailed && e.Class != ClassLeftOut
	}
	return false
}

// open says whether a backend has failed so often in a row that its other runs are
// left out.
func (s *schedule) open(backend string) bool {
	most := s.Study.Execution.MaxFailures
	return most > 0 && s.failures[backend] >= most
}

// leaveOut enters a run that is not made.
func (s *schedule) leaveOut(p Planned) error {
	run, err := s.dir.Begin(p.Experiment.ID(), p.Cycle)
	if err != nil {
		return err
	}
	rec := &result.Record{SchemaVersion: result.SchemaVersion, ID: p.Experiment.ID(), Cycle: p.Cycle, Status: result.Failed, Config: p.Experiment,
		Backend: result.Backend{Name: p.Experiment.Backend},
		Failure: &result.Failure{Class: ClassLeftOut, Message: fmt.Sprintf("left out: %d runs of %s in a row had failed, the last with: %s",
			s.Study.Execution.MaxFailures, p.Experiment.Backend, s.reason), Hint: "mend what made them fail and go on with --resume"},
		Energy:   result.Energy{Provenance: result.None, Reason: "the run was not made", Sources: []string{}, Devices: []result.Device{}},
		Warnings: []result.Warning{}, Files: map[string]string{}}
	if err := run.Commit(rec, result.Series{}); err != nil {
		return errors.Join(err, run.Abort())
	}
	finished := s.finished(rec)
	finished.Index, finished.Total = s.index, s.total
	s.emit(finished)
	return nil
}

// loose are the experiments whose metric is not known well enough.
func (s *schedule) loose() ([]study.Experiment, error) {
	until := s.Study.Execution.Until
	metric, err := result.Metric(until.Metric)
	if err != nil {
		return nil, err
	}
	values := map[string][]float64{}
	for rec, err := range result.Records(s.dir.Path()) {
		if err != nil {
			return nil, err
		}
		if v, ok := metric.Value(rec); ok {
			values[rec.ID] = append(values[rec.ID], v)
		}
	}
	var out []study.Experiment
	for _, e := range s.Study.Experiments {
		v := values[e.ID()]
		if len(v) == 0 {
			continue // it fails, or has no such number: more runs would not help
		}
		if half, err := stats.RelativeHalfWidth(v); err != nil || half > until.RelativeHalfWidth {
			out = append(out, e)
		}
	}
	return out, nil
}
