package campaign

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/stats"
	"github.com/llenergymeasure/llem/study"
)

// errFailFast ends a study early.
var errFailFast = errors.New("stopped at the first failed run")

// TimeoutError says that the study's time was up before all runs were made.
type TimeoutError struct {
	Limit time.Duration
	Dir   string
}

// Error names the limit.
func (e *TimeoutError) Error() string {
	return fmt.Sprintf("the study's time limit (execution.study_timeout, %v over all its parts) is reached; "+
		"runs are left", e.Limit)
}

// Hint says what to do.
func (e *TimeoutError) Hint() string {
	return fmt.Sprintf("go on with more time: llem run %s --resume=%s -s execution.study_timeout=%v",
		filepath.Join(e.Dir, result.StudyFile), e.Dir, study.Duration(2*e.Limit))
}

// schedule is the state of a study that runs.
type schedule struct {
	*Options
	dir  *result.Dir
	made map[result.RunKey]result.Entry
	// deadline is when the study's time is up; zero without a limit.
	deadline time.Time
	total    int
	index    int
	// failures counts runs in a row that failed; reasons are the last ones'.
	failures map[engineKey]int
	reasons  map[engineKey]string
	// values are those of the metric that decides on more cycles, by experiment.
	values map[string][]float64
	// found is how the first run found the machine; ran says that there was one.
	found map[string]rest
	ran   bool
}

// engineKey is what fails together: a model on a backend.
type engineKey struct{ backend, model string }

func keyOf(e study.Experiment) engineKey { return engineKey{e.Backend, e.Model} }

func newSchedule(o *Options, dir *result.Dir, made map[result.RunKey]result.Entry) *schedule {
	s := &schedule{Options: o, dir: dir, made: made, failures: map[engineKey]int{}, reasons: map[engineKey]string{},
		values: map[string][]float64{}}
	o.counted = time.Now()
	var before float64
	for _, e := range made {
		s.learn(e.Row)
		before += e.TookS
	}
	if limit := time.Duration(o.Study.Execution.StudyTimeout); limit > 0 {
		s.deadline = o.counted.Add(limit - time.Duration(before*float64(time.Second)))
	}
	return s
}

// learn notes the value that decides on more cycles.
func (s *schedule) learn(r result.Row) {
	if v, ok := r.Values.Get(s.Study.Execution.Until.Metric); ok && r.Comparable() {
		s.values[r.ID] = append(s.values[r.ID], v)
	}
}

// remarks says at the start what the study cannot give.
func (s *schedule) remarks() {
	x := s.Study.Execution
	if text := result.Unbalanced(x, len(s.Study.Experiments)); text != "" {
		s.emit(event.Note{Code: note.LatinSquareUnbalanced, Message: text})
	}
	if x.Until.MaxCycles == 0 || !strings.HasPrefix(x.Until.Metric, "energy.") {
		return
	}
	without := 0
	for _, e := range s.Study.Experiments {
		if e.Energy.Sources == "none" || len(s.Meters) == 0 {
			without++
		}
	}
	if without > 0 {
		s.emit(event.Note{Code: note.PrecisionUnknown,
			Message: fmt.Sprintf(
				"execution.until waits for %s, which is not measured here for %d of %d experiments: they run %d "+
					"times and no more",
				x.Until.Metric, without, len(s.Study.Experiments), x.Cycles)})
	}
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
		loose := s.loose()
		if len(loose) == 0 {
			return nil
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
	case s.open(p.Experiment):
		return s.leaveOut(p)
	}
	// The limit holds for pauses and for the run in flight, too.
	if !s.deadline.IsZero() {
		timeout := &TimeoutError{time.Duration(s.Study.Execution.StudyTimeout), s.dir.Path()}
		if time.Until(s.deadline) <= 0 {
			return timeout
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, s.deadline, timeout)
		defer cancel()
	}
	return s.make(ctx, p, key)
}

// make makes one run after its pause.
func (s *schedule) make(ctx context.Context, p Planned, key result.RunKey) error {
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
	finished := s.finished(result.RowOf(rec))
	finished.Index, finished.Total, finished.Took = s.index, s.total, took
	switch rec.Status {
	case result.OK:
		s.failures[keyOf(p.Experiment)] = 0
		s.learn(result.RowOf(rec))
	case result.Failed:
		s.failures[keyOf(p.Experiment)]++
		s.reasons[keyOf(p.Experiment)] = rec.Failure.Message
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
		return e.Made() && !s.RetryFailed
	}
	return false
}

// open says whether a model on a backend has failed so often in a row that its other
// runs are left out.
func (s *schedule) open(e study.Experiment) bool {
	most := s.Study.Execution.MaxFailures
	return most > 0 && s.failures[keyOf(e)] >= most
}

// leaveOut enters a run that is not made.
func (s *schedule) leaveOut(p Planned) error {
	run, err := s.dir.Begin(p.Experiment.ID(), p.Cycle)
	if err != nil {
		return err
	}
	rec := &result.Record{SchemaVersion: result.SchemaVersion, ID: p.Experiment.ID(), Cycle: p.Cycle,
		Status: result.Failed, Config: p.Experiment,
		Backend: result.Backend{Name: p.Experiment.Backend},
		Failure: &note.Failure{Class: note.ClassLeftOut,
			Message: fmt.Sprintf("left out: %d runs of %s with %s in a row had failed, the last with: %s",
				s.Study.Execution.MaxFailures, p.Experiment.Model, p.Experiment.Backend,
				s.reasons[keyOf(p.Experiment)]), Next: "mend what made them fail and go on with --resume"},
		Energy: result.Energy{Provenance: result.None, Reason: "the run was not made", Sources: []string{},
			Devices: []result.Device{}},
		Warnings: note.List{}, Files: map[string]string{}}
	if err := run.Commit(rec, result.Series{}); err != nil {
		return errors.Join(err, run.Abort())
	}
	finished := s.finished(result.RowOf(rec))
	finished.Index, finished.Total = s.index, s.total
	s.emit(finished)
	return nil
}

// loose are the experiments whose metric is not known well enough. Of those that fail,
// or have no such number, more runs would not help.
func (s *schedule) loose() []study.Experiment {
	var out []study.Experiment
	for _, e := range s.Study.Experiments {
		v := s.values[e.ID()]
		if len(v) == 0 {
			continue
		}
		if half, err := stats.RelativeHalfWidth(v); err != nil || half > s.Study.Execution.Until.RelativeHalfWidth {
			out = append(out, e)
		}
	}
	return out
}
