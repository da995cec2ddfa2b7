package campaign

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/tick"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
	"github.com/llenergymeasure/llem/study"
)

// folder owns what a study leaves on disk: its frozen inputs, the snapshots of its
// machines, the journal with the runs, and the summary. Nothing else here writes results.
type folder struct {
	study    *study.Study
	snapshot *host.Snapshot
	clock    tick.Clock
	dir      *store.Dir
	// made are the runs of earlier processes.
	made map[store.RunKey]store.Entry
	// part counts the processes that have worked on the study, and counted is up to when
	// its time stands in the records.
	part    int
	counted time.Time
}

// openFolder makes the study's folder, or opens the one of a study that is resumed.
func openFolder(o *Options) (*folder, error) {
	f := &folder{study: o.Study, snapshot: o.Snapshot, clock: o.Clock, part: 1}
	var err error
	if o.Resume != "" {
		err = f.reopen(o.Resume)
	} else {
		err = f.create(o.Results, o.SelfTest)
	}
	f.counted = f.clock.Time()
	return f, err
}

// create makes a new folder.
func (f *folder) create(results string, selfTest any) error {
	in, err := inputsOf(f.study)
	if err != nil {
		return err
	}
	if f.dir, err = store.Create(results, nameOf(f.study), f.clock.Time()); err != nil {
		return err
	}
	// The study comes last: a folder without it cannot be resumed.
	err = errors.Join(f.dir.WriteJSON(store.EnvFile, f.snapshot), f.dir.WriteJSON(inputsFile, in))
	if err == nil && selfTest != nil {
		err = f.dir.WriteJSON(store.DoctorFile, selfTest)
	}
	if err == nil {
		err = f.dir.WriteStudy(f.study)
	}
	if err != nil {
		return errors.Join(err, f.dir.Close())
	}
	return nil
}

// reopen resumes a study, if its files and its GPUs are the ones that it began with.
func (f *folder) reopen(path string) error {
	for f.part = 1; ; f.part++ {
		if _, err := os.Stat(filepath.Join(path, store.EnvPart(f.part))); err != nil {
			break
		}
	}
	err := store.VerifyStudy(path, false)
	if err == nil {
		if err := errors.Join(sameInputs(path), sameMachine(path, f.snapshot)); err != nil {
			return err
		}
		f.dir, f.made, err = store.Reopen(path)
	}
	if damage, ok := errors.AsType[*store.DamageError](err); ok {
		return &ResumeError{Msg: damage.Error(), Next: damage.NextStep()}
	}
	if err != nil {
		return err
	}
	if err := f.sameExperiments(); err != nil {
		return errors.Join(err, f.dir.Close())
	}
	if err := f.dir.WriteJSON(store.EnvPart(f.part), f.snapshot); err != nil {
		return errors.Join(err, f.dir.Close())
	}
	return nil
}

// sameExperiments refuses a study that lacks experiments of its own journal: one of an earlier version, which has
// no sum, may have been cut.
func (f *folder) sameExperiments() error {
	ids := make(map[string]bool, len(f.study.Experiments))
	for _, e := range f.study.Experiments {
		ids[e.ID()] = true
	}
	for key := range f.made {
		if !ids[key.ID] {
			return &ResumeError{Msg: fmt.Sprintf("%s in %s names a run of the experiment %s, which is not in "+
				"%s: one of "+
				"them was cut or changed", store.JournalFile, f.path(), key.ID, store.StudyFile),
				Next: "restore the file from a copy, or start the study again without --resume"}
		}
	}
	return nil
}

// nameOf names the folder after the study, or after its model.
func nameOf(s *study.Study) string {
	if s.Name != "" {
		return s.Name
	}
	return s.Experiments[0].Model
}

// path of the folder.
func (f *folder) path() string { return f.dir.Path() }

// close lets other processes write.
func (f *folder) close() { f.dir.Close() }

// spent is the time that earlier processes worked on the study.
func (f *folder) spent() time.Duration {
	var seconds float64
	for _, e := range f.made {
		seconds += e.TookS
	}
	return digits.Duration(seconds)
}

// wasMade reports whether a run of an earlier process counts.
func (f *folder) wasMade(key store.RunKey, retryFailed bool) bool {
	e, ok := f.made[key]
	if !ok {
		return false
	}
	switch e.Status {
	case result.OK:
		return true
	case result.Failed:
		return e.Made() && !retryFailed
	}
	return false
}

// add makes the folder of a run, has it measured and commits it. The error of the
// measurement is returned beside the record, which is then on disk, too.
func (f *folder) add(p Planned, measure func(log string) (*result.Record, series.All, error)) (*result.Record,
	error) {
	run, err := f.dir.Begin(p.Experiment.ID(), p.Cycle)
	if err != nil {
		return nil, err
	}
	rec, series, runErr := measure(run.LogPath())
	if err := run.Commit(rec, series); err != nil {
		return nil, errors.Join(err, run.Abort(), runErr)
	}
	return rec, runErr
}

// took is the time since it was last asked for: what the study's time has grown by.
func (f *folder) took() float64 {
	before := f.counted
	f.counted = f.clock.Time()
	return f.counted.Sub(before).Seconds()
}

// describe completes the snapshot with what an engine said of itself.
func (f *folder) describe(l backend.Loaded) {
	if python := l.Versions["python"]; python != "" {
		f.snapshot.Merge(host.WorkerReport{PythonVersion: python, Packages: l.Versions,
			CUDARuntime: l.Versions["cuda"], CuDNN: l.Versions["cudnn"], CUDASource: "torch"})
	}
}

// summarize writes the summary from what is on disk.
func (f *folder) summarize(runErr error, interrupted bool) (*result.StudyResult, error) {
	summary, err := store.Summarize(f.path(), f.study, f.clock.Time())
	if summary == nil {
		return nil, errors.Join(f.dir.Check(), fmt.Errorf("rebuild the summary: %w", err))
	}
	// What was taken away while the study ran says more than that it is not there.
	if damage := f.dir.Check(); damage != nil {
		err = damage
	}
	summary.Ended = ended(summary, errors.Join(runErr, err), interrupted)
	for _, n := range f.dir.Repairs() {
		summary.Caveats.Warn(n.Code, n.Message)
	}
	return summary, errors.Join(err, f.dir.WriteJSON(store.EnvPart(f.part), f.snapshot), f.dir.WriteSummary(summary))
}
