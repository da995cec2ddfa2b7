package campaign

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/announce"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/nodes"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/tick"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
	"github.com/llenergymeasure/llem/study"
)

// folder writes what a study leaves on disk: its frozen inputs, the snapshots of its machines, the journal
// with the runs, and the summary. No other code of this package writes results.
type folder struct {
	study    *study.Study
	snapshot *host.Snapshot
	clock    tick.Clock
	dir      *store.Dir
	// made are the finished runs of earlier processes.
	made map[store.RunKey]store.Entry
	// part counts the processes that have worked on the study; counted is the time up to which records
	// include the study's time.
	part    int
	counted time.Time
	// worker is set if other workers execute the study, too.
	worker *working
}

// openFolder creates the study's folder, or opens the folder of a resumed study.
func openFolder(o *Options) (*folder, error) {
	f := &folder{study: o.Study, snapshot: o.Snapshot, clock: o.Clock, part: 1}
	f.snapshot.Node = o.node()
	var err error
	if o.Resume == "" {
		err = f.create(o)
	} else if err = o.sameShard(o.Resume); err == nil {
		err = f.reopen(o.Resume)
	}
	f.counted = f.clock.Time()
	return f, err
}

// create creates a new folder.
func (f *folder) create(o *Options) error {
	var err error
	if f.dir, err = store.Create(o.Results, o.Shard.Folder(NameOf(f.study)), f.clock.Time()); err != nil {
		return err
	}
	if err := f.begin(o); err != nil {
		return errors.Join(err, f.dir.Close())
	}
	return nil
}

// begin writes the files of a new folder.
func (f *folder) begin(o *Options) error {
	in, err := inputsOf(f.study)
	if err != nil {
		return err
	}
	// The study is written last: a folder without it cannot be resumed.
	err = errors.Join(f.dir.WriteJSON(store.EnvFile, f.snapshot), f.dir.WriteJSON(inputsFile, in))
	if err == nil && o.Estimate {
		err = f.dir.WriteJSON(optionsFile, startOptions{Estimate: true})
	}
	if err == nil && o.SelfTest != nil {
		err = f.dir.WriteJSON(store.DoctorFile, o.SelfTest)
	}
	if err == nil && !o.Shard.Whole() {
		err = f.beginShard(o.Shard)
	}
	if err == nil {
		err = f.dir.WriteStudy(f.study)
	}
	return err
}

// reopen opens the folder of a resumed study, if its files and GPUs have not changed.
func (f *folder) reopen(path string) error {
	for f.part = 1; ; f.part++ {
		if _, err := os.Stat(filepath.Join(path, nodes.EnvPart(f.part))); err != nil {
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
	if err := f.dir.WriteJSON(nodes.EnvPart(f.part), f.snapshot); err != nil {
		return errors.Join(err, f.dir.Close())
	}
	return nil
}

// sameExperiments returns an error if the study lacks experiments of its journal: a study of an earlier
// version has no checksum and may have been truncated.
func (f *folder) sameExperiments() error {
	ids := make(map[string]bool, len(f.study.Experiments))
	for _, e := range f.study.Experiments {
		ids[e.ID()] = true
	}
	for key := range f.made {
		if !ids[key.ID] {
			return &ResumeError{Msg: fmt.Sprintf("%s in %s has a run of the experiment %s, which is not in "+
				"%s: one of "+
				"them was truncated or changed", store.JournalFile, f.path(), key.ID, store.StudyFile),
				Next: "restore the file from a copy, or start the study again without --resume"}
		}
	}
	return nil
}

// NameOf returns the name of the study's folder without its time.
func NameOf(s *study.Study) string { return announce.NameOf(s) }

// path returns the path of the folder.
func (f *folder) path() string { return f.dir.Path() }

// close releases the folder's lock.
func (f *folder) close() { f.dir.Close() }

// spent returns the time that earlier processes worked on the study.
func (f *folder) spent() time.Duration {
	var seconds float64
	for _, e := range f.made {
		if f.worker == nil || e.Worker == f.worker.Name() { // each worker has the whole time
			seconds += e.TookS
		}
	}
	return digits.Duration(seconds)
}

// wasMade reports whether a run of an earlier process counts as finished.
func (f *folder) wasMade(key store.RunKey, retryFailed bool) bool {
	e, ok := f.made[key]
	if !ok {
		return false
	}
	switch e.Status {
	case result.OK:
		return true
	case result.Failed:
		if f.worker != nil { // another worker may have repeated it
			retryFailed = retryFailed && f.worker.failed[key] == e.Manifest
		}
		return e.Made() && !retryFailed
	}
	return false
}

// add creates the folder of a run, measures it and commits it. An error of the measurement is returned with
// the record, which is then also on disk.
func (f *folder) add(p Planned, measure func(log string) (*result.Record, series.All, error)) (*result.Record,
	error) {
	run, err := f.dir.Begin(p.Experiment.ID(), p.Cycle)
	if err != nil {
		return nil, err
	}
	rec, series, runErr := measure(run.LogPath())
	_, limit := errors.AsType[*TimeoutError](runErr)
	if rec.Status == result.Interrupted && rec.Failure != nil && !limit {
		rec.Failure.Next = "continue with `llem run --resume=" + shell.Quote(f.path()) + "`"
	}
	commit := func() error { return run.Commit(rec, series) }
	if f.worker != nil {
		err = f.publish(run, rec, commit, func() error { return run.Discard(rec, series) })
	} else {
		err = commit()
	}
	if err != nil {
		return nil, errors.Join(err, run.Abort(), runErr)
	}
	return rec, runErr
}

// took returns the time since its last call, by which the study's time has grown.
func (f *folder) took() float64 {
	before := f.counted
	f.counted = f.clock.Time()
	return f.counted.Sub(before).Seconds()
}

// describe completes the snapshot with facts from an engine.
func (f *folder) describe(l backend.Loaded) {
	if python := l.Versions["python"]; python != "" {
		f.snapshot.Merge(host.WorkerReport{PythonVersion: python, Packages: l.Versions,
			CUDARuntime: l.Versions["cuda"], CuDNN: l.Versions["cudnn"], CUDASource: "torch"})
	}
}

// summarize writes the summary from the files on disk.
func (f *folder) summarize(ctx context.Context, runErr error) (*result.StudyResult, error) {
	interrupted := ctx.Err() != nil
	if f.worker != nil {
		return f.conclude(ctx, runErr, interrupted)
	}
	summary, err := store.Summarize(f.path(), f.study, f.clock.Time())
	if summary == nil {
		return nil, errors.Join(f.dir.Check(), fmt.Errorf("rebuild the summary: %w", err))
	}
	// A file that was removed while the study ran explains more than a missing file.
	if damage := f.dir.Check(); damage != nil {
		err = damage
	}
	summary.Ended = ended(summary, errors.Join(runErr, err), interrupted)
	for _, n := range f.dir.Repairs() {
		summary.Caveats.Warn(n.Code, n.Message)
	}
	return summary, errors.Join(err, f.dir.WriteJSON(nodes.EnvPart(f.part), f.snapshot), f.dir.WriteSummary(summary))
}
