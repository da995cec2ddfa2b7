package campaign

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/announce"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/measure"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
	"github.com/llenergymeasure/llem/study"
)

// schedule is the state of a running study.
type schedule struct {
	*Options
	folder   *folder
	announce announce.Study
	// engines reuses engines from run to run; nil if every run has its own.
	engines *measure.Engines
	// deadline is the end of the study's time; zero without a limit.
	deadline time.Time
	total    int
	index    int
	// failures counts consecutive failed runs; reasons has the latest messages.
	failures map[engineKey]int
	reasons  map[engineKey]string
	// values are the values of the metric of execution.until, by experiment.
	values map[string][]float64
	// found is the machine's state before the first run; ran reports whether there was one.
	found map[string]rest
	ran   bool
}

// engineKey identifies what fails together: a model on a backend.
type engineKey struct{ backend, model string }

func keyOf(e study.Experiment) engineKey { return engineKey{e.Backend, e.Model} }

func newSchedule(o *Options, f *folder) *schedule {
	s := &schedule{Options: o, folder: f, announce: announce.New(o.Study), failures: map[engineKey]int{},
		reasons: map[engineKey]string{},
		values:  map[string][]float64{}}
	for _, e := range f.made {
		s.noteValue(e.Row)
	}
	if limit := time.Duration(o.Study.Execution.StudyTimeout); limit > 0 {
		s.deadline = f.counted.Add(limit - f.spent())
	}
	return s
}

// noteValue records a run's value of the metric of execution.until.
func (s *schedule) noteValue(r result.Row) {
	if v, ok := r.Values.Get(s.Study.Execution.Until.Metric); ok && r.Comparable() {
		s.values[r.ID] = append(s.values[r.ID], v)
	}
}

// warn warns at the start of what the study cannot reach.
func (s *schedule) warn() {
	x := s.Study.Execution
	if text := store.Unbalanced(x, len(s.Study.Experiments)); text != "" {
		s.emit(event.Note{Code: codes.LatinSquareUnbalanced, Message: text})
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
		s.emit(event.Note{Code: codes.PrecisionUnknown,
			Message: fmt.Sprintf(
				"execution.until needs %s, which is not measured on this machine for %d of %d experiments: "+
					"they run %d "+
					"times only",
				x.Until.Metric, without, len(s.Study.Experiments), x.Cycles)})
	}
}

// runAll executes the planned runs, and then further cycles until the wanted precision is reached.
func (s *schedule) runAll(ctx context.Context, plan []Planned) error {
	if s.Study.Execution.Gap.Mode == terms.GapByCondition && !s.NoGaps && len(s.Meters) > 0 {
		s.emit(event.PhaseStarted{Phase: event.Rest, Detail: "measure the machine at rest"})
		found, err := s.atRest(ctx)
		if err != nil {
			return err
		}
		s.found = found
	}
	if s.folder.worker != nil {
		return s.workAll(ctx, plan)
	}
	err := s.leaveAbsent(plan)
	if err == nil {
		err = s.shardCanary(ctx, plan)
	}
	if err != nil {
		return err
	}
	for _, p := range plan {
		if s.absent(p.Experiment) != nil {
			continue
		}
		if err := s.runNext(ctx, p); err != nil {
			return err
		}
	}
	x := s.Study.Execution
	for cycle := x.Cycles + 1; cycle <= s.mostCycles(); cycle++ {
		open := sideBySide(s.Study, s.imprecise())
		if len(open) == 0 {
			return nil
		}
		s.total += len(open)
		for _, i := range cycleOrder(x, len(open), cycle-1) {
			if err := s.runNext(ctx, Planned{open[i], cycle}); err != nil {
				return err
			}
		}
	}
	return nil
}

// runNext executes one run, unless it has finished or is skipped.
func (s *schedule) runNext(ctx context.Context, p Planned) error {
	s.index++
	key := store.RunKey{ID: p.Experiment.ID(), Cycle: p.Cycle}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case s.folder.wasMade(key, s.RetryFailed):
		return nil
	case s.tripped(p.Experiment):
		return s.leaveOut(p)
	}
	return s.runLimited(ctx, p)
}

// runLimited executes one run within the study's limit, which also applies to pauses and to the current run.
func (s *schedule) runLimited(ctx context.Context, p Planned) error {
	return s.limited(ctx, func(ctx context.Context) error { return s.runAfterPause(ctx, p, keyOfRun(p)) })
}

// limited calls a function within the study's limit.
func (s *schedule) limited(ctx context.Context, do func(context.Context) error) error {
	if !s.deadline.IsZero() {
		timeout := &TimeoutError{time.Duration(s.Study.Execution.StudyTimeout), s.folder.path()}
		if !s.Clock.Time().Before(s.deadline) {
			return timeout
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, s.deadline, timeout)
		defer cancel()
	}
	return do(ctx)
}

// runAfterPause executes one run after its pause.
func (s *schedule) runAfterPause(ctx context.Context, p Planned, key store.RunKey) error {
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
	start := s.Clock.Time()
	s.emit(event.RunStarted{Index: s.index, Total: s.total, ID: key.ID, Label: s.announce.Names.Label(p.Experiment),
		Cycle: p.Cycle})
	rec, err := s.measure(ctx, s.folder, s.engines, p, pause)
	if rec != nil {
		s.done(p, rec, s.Clock.Time().Sub(start))
	}
	if err != nil {
		return err
	}
	if rec.Status == result.Failed && s.FailFast {
		return errFailFast
	}
	return nil
}

// before ends the engine of the last run unless the next one can reuse it, and returns the state of rest
// until then: the machine's first state, or the state with the engine loaded.
func (s *schedule) before(next study.Experiment) (map[string]rest, error) {
	if !s.engines.Serves(s.Study.Engine(next.Backend), next, len(s.Meters) > 0) {
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

// done records a finished run.
func (s *schedule) done(p Planned, rec *result.Record, took time.Duration) {
	finished := s.announce.Finished(store.RowOf(rec))
	finished.Index, finished.Total, finished.Took = s.index, s.total, took
	switch rec.Status {
	case result.OK:
		s.failures[keyOf(p.Experiment)] = 0
		if s.folder.worker == nil { // a worker reads its own journal, too
			s.noteValue(store.RowOf(rec))
		}
	case result.Failed:
		s.failures[keyOf(p.Experiment)]++
		s.reasons[keyOf(p.Experiment)] = rec.Failure.Message
	}
	s.emit(finished)
}

// tripped reports whether a model on a backend has failed so many consecutive times that its other runs are
// skipped, or its engine is not installed.
func (s *schedule) tripped(e study.Experiment) bool {
	if s.absent(e) != nil {
		return true
	}
	most := s.Study.Execution.MaxFailures
	return most > 0 && s.failures[keyOf(e)] >= most
}

// whyLeftOut is why a run is skipped.
func (s *schedule) whyLeftOut(p Planned) *note.Failure {
	if f := s.absent(p.Experiment); f != nil {
		return &note.Failure{Class: f.Class, Message: f.Error(), Next: f.Next}
	}
	return &note.Failure{Class: codes.ClassLeftOut,
		Message: fmt.Sprintf("left out: %d consecutive runs of %s with %s had failed, the last with: %s",
			s.Study.Execution.MaxFailures, p.Experiment.Model, p.Experiment.Backend,
			s.reasons[keyOf(p.Experiment)]), Next: "fix the cause of the failures and continue with --resume"}
}

// leaveOut records a skipped run.
func (s *schedule) leaveOut(p Planned) error {
	rec := &result.Record{SchemaVersion: result.SchemaVersion, ID: p.Experiment.ID(), Cycle: p.Cycle,
		Status: result.Failed, Config: p.Experiment,
		Backend: result.Backend{Name: p.Experiment.Backend},
		Failure: s.whyLeftOut(p),
		Energy: result.Energy{Provenance: result.None, Reason: "the run was skipped", Sources: []string{},
			Devices: []result.Device{}},
		Warnings: note.List{}, Files: map[string]string{}}
	_, err := s.folder.add(p, func(string) (*result.Record, series.All, error) { return rec, series.All{}, nil })
	if err != nil {
		return err
	}
	finished := s.announce.Finished(store.RowOf(rec))
	finished.Index, finished.Total = s.index, s.total
	s.emit(finished)
	return nil
}

// imprecise returns the experiments whose metric is not precise enough yet. Experiments whose runs fail or
// lack the number are excluded, because more runs would not help.
func (s *schedule) imprecise() []study.Experiment {
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
