package merge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/llenergymeasure/llem/internal/campaign"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/nodes"
	"github.com/llenergymeasure/llem/internal/shard"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/studies"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// source is a folder to merge.
type source struct {
	dir   string
	study *study.Study
	shard shard.Shard
	// merged is what an earlier merge recorded, if the folder is the result of one.
	merged *shard.Merged
	// parts are the snapshots of the machines on which a process worked alone.
	parts []*host.Snapshot
	runs  []*run
	// tries are the checksums of earlier tries of runs.
	tries map[store.RunKey][]string
	// lock keeps other processes from writing while the folder is read.
	lock *os.File
}

// run is a run of a folder.
type run struct {
	from *source
	key  store.RunKey
	// row is the run in brief, and sum the checksum of its manifest.
	row result.Row
	sum string
	// origin is sum, or what it was before an earlier merge marked the run.
	origin string
	// backend is the name of its engine.
	backend string
	// line is its line in the journal, if there is one.
	line store.Entry
	at   time.Time
	// machine executed it.
	machine *machine
	// marks are reasons to exclude it from means.
	marks []string
	bytes int64
}

// folder is the folder of the run.
func (r *run) folder() string {
	return filepath.Join(r.from.dir, filepath.FromSlash(result.RunPath(r.key.ID, r.key.Cycle)))
}

// openAll opens and verifies all folders.
func openAll(ctx context.Context, dirs []string, target string) ([]*source, error) {
	if len(dirs) < 2 {
		return nil, mistake("give all folders of the study: llem merge DIR1 DIR2 -o DIR",
			"%s given, want at least two", digits.Count(len(dirs), "folder"))
	}
	var sources []*source
	var damage []store.Problem
	for _, dir := range dirs {
		if err := unlike(sources, dir, target); err != nil {
			return sources, err
		}
		s := &source{dir: dir}
		sources = append(sources, s)
		err := s.open(ctx)
		if bad, ok := errors.AsType[*store.DamageError](err); ok {
			for _, p := range bad.Problems {
				p.File = dir + "/" + p.File
				damage = append(damage, p)
			}
			continue
		}
		if err != nil {
			return sources, err
		}
	}
	if len(damage) > 0 {
		return sources, &store.DamageError{Dir: "the folders to merge", Problems: damage}
	}
	return sources, nil
}

// unlike returns an error for a folder that is not one to merge.
func unlike(sources []*source, dir, target string) error {
	const next = "give the folders that `llem run` printed"
	if why := disk.NoFolder(dir); why != "" {
		return mistake(next, "%s", why)
	}
	if !campaign.IsStudy(dir) {
		if inside := studies.Inside(dir); len(inside) > 0 {
			return mistake("give the studies, such as "+shell.Path(inside[0]),
				"%s holds studies and is not one itself", dir)
		}
		return mistake(next, "%s is not the folder of a study: it has no %s", dir, store.StudyFile)
	}
	now, err := os.Stat(dir)
	if err != nil {
		return err
	}
	for _, s := range sources {
		if was, err := os.Stat(s.dir); err == nil && os.SameFile(was, now) {
			return mistake("give each folder once", "%s and %s are the same folder", s.dir, dir)
		}
	}
	abs, err := filepath.EvalSymlinks(dir)
	if err == nil {
		abs, err = filepath.Abs(abs)
	}
	if err != nil {
		return err
	}
	if strings.HasPrefix(target+"/", abs+"/") {
		return mistake("name a folder outside with -o",
			"the new folder %s is inside of %s, which a merge does not change",
			target, dir)
	}
	return nil
}

// open verifies the folder and reads its runs. Damage is a [*store.DamageError].
func (s *source) open(ctx context.Context) error {
	if err := s.hold(); err != nil {
		return err
	}
	if err := store.VerifyStudy(s.dir, false); err != nil {
		return err
	}
	var err error
	if s.study, err = campaign.Frozen(s.dir, nil); err != nil {
		return err
	}
	if s.shard, err = shard.Read(s.dir); err != nil {
		return err
	}
	if s.merged, err = shard.ReadMerged(s.dir); err != nil {
		return err
	}
	for n := 1; ; n++ {
		part, err := nodes.Part(s.dir, n)
		if errors.Is(err, fs.ErrNotExist) && n > 1 {
			break
		}
		if err != nil {
			return &Refusal{Msg: fmt.Sprintf("cannot read the description of the machine, %s: %v",
				filepath.Join(s.dir, nodes.EnvPart(n)), err), Cause: err,
				Next: "restore it from a copy: without it, a different machine cannot be detected"}
		}
		s.parts = append(s.parts, part)
	}
	return s.read(ctx)
}

// hold refuses a folder that is written to, and keeps it from being written to until close.
func (s *source) hold() error {
	if err := campaign.LiveWorkers(s.dir); err != nil {
		if live, ok := errors.AsType[*campaign.WorkersError](err); ok {
			return &Refusal{Msg: live.Error(), Cause: err,
				Next: "wait until they have finished, or end them, and merge then"}
		}
		return err
	}
	f, err := disk.Open(filepath.Join(s.dir, store.JournalFile), disk.MaxList)
	if err != nil {
		return nil //nolint:nilerr // whoever reads the journal explains it
	}
	s.lock = f
	if _, held := errors.AsType[*disk.LockedError](disk.LockFolder(f)); held {
		return &Refusal{Msg: "a process is executing the study in " + s.dir,
			Next: "wait until it has finished, or end it with Ctrl-C, and merge then"}
	}
	return nil
}

func (s *source) close() {
	if s.lock != nil {
		s.lock.Close()
	}
}

// read reads and verifies the runs.
func (s *source) read(ctx context.Context) error {
	journal, err := store.ReadJournal(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	lines := make(map[store.RunKey]store.Entry, len(journal))
	for _, e := range journal {
		lines[store.RunKey{ID: e.ID, Cycle: e.Cycle}] = e
	}
	if s.tries, err = triesOf(s.dir); err != nil {
		return err
	}
	for rec, err := range store.Records(s.dir) {
		switch {
		case err != nil && errors.Is(err, fs.ErrNotExist) && len(s.runs) == 0 && len(lines) == 0:
			return nil // nothing was executed
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		r := &run{from: s, key: store.RunKey{ID: rec.ID, Cycle: rec.Cycle}, row: store.RowOf(rec),
			backend: rec.Config.Backend}
		if e, ok := lines[r.key]; ok {
			r.line, r.at, r.row.Worker = e, e.At, cmp.Or(e.Worker, r.row.Worker)
			if len(s.tries[r.key]) == 0 { // else the line may be of an earlier try, after a crash
				r.sum = e.Manifest
			}
		}
		s.runs = append(s.runs, r)
	}
	return s.verify(ctx)
}

// verify verifies the files of all runs by their manifests.
func (s *source) verify(ctx context.Context) error {
	problems := make([][]store.Problem, len(s.runs))
	errs := make([]error, len(s.runs))
	each(ctx, len(s.runs), func(i int) {
		r := s.runs[i]
		found, unchecked := store.VerifyRun(r.folder(), r.sum)
		if unchecked {
			found = []store.Problem{{File: filepath.Base(r.folder()) + "/" + store.ManifestFile,
				What: "is missing: an earlier version of llem stored the run, and its files cannot be verified",
				Next: "merge it with a version that stores no checksums, or leave the folder out"}}
		}
		if problems[i] = found; len(found) == 0 {
			errs[i] = r.measure()
		}
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var all []store.Problem
	for _, found := range problems {
		for _, p := range found {
			p.File = result.RunsDir + "/" + p.File
			all = append(all, p)
		}
	}
	if len(all) > 0 {
		return &store.DamageError{Dir: s.dir, Problems: all}
	}
	return errors.Join(errs...)
}

// measure reads the checksum of the manifest, its time and the size of the run.
func (r *run) measure() error {
	path := filepath.Join(r.folder(), store.ManifestFile)
	text, err := disk.ReadFile(path, disk.MaxSmall)
	if err != nil {
		return err
	}
	r.sum = disk.Sum(text)
	r.origin = r.from.merged.Origin(result.RunPath(r.key.ID, r.key.Cycle), r.sum)
	if info, err := os.Stat(path); r.at.IsZero() && err == nil {
		r.at = info.ModTime().UTC()
	}
	for _, name := range append(filesOf(text), store.ManifestFile) {
		info, err := os.Stat(filepath.Join(r.folder(), name))
		if err != nil {
			return err
		}
		r.bytes += info.Size()
	}
	return nil
}

// filesOf lists the files of a manifest that was verified.
func filesOf(manifest []byte) (names []string) {
	for line := range strings.Lines(string(manifest)) {
		if f := strings.Fields(line); len(f) == 2 {
			names = append(names, f[1])
		}
	}
	return names
}

// triesOf returns the checksums of the manifests of earlier tries: runs/ID-cN.try1 and so on.
func triesOf(dir string) (map[store.RunKey][]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, result.RunsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the runs folder: %w", err)
	}
	out := map[store.RunKey][]string{}
	for _, e := range entries {
		name, _, again := strings.Cut(e.Name(), ".try")
		key, ok := store.KeyOf(name)
		if !again || !ok {
			continue
		}
		text, err := disk.ReadFile(filepath.Join(dir, result.RunsDir, e.Name(), store.ManifestFile), disk.MaxSmall)
		if err != nil {
			text = nil // the try is known, and equal to nothing
		}
		out[key] = append(out[key], disk.Sum(text))
	}
	return out, nil
}

// each calls a function with every number below n, on all processors, until ctx ends.
func each(ctx context.Context, n int, do func(int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	all.Wait()
}
