package merge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/campaign"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/nodes"
	"github.com/llenergymeasure/llem/internal/shard"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// building is a new folder beside its final place, under a hidden name.
type building struct {
	path string
	// lock is held while the folder is built: what is not locked was left by a merge that was killed.
	lock *os.File
}

// leftover returns the pattern of the names of folders that are built for a target.
func leftover(target string) string { return "." + filepath.Base(target) + ".merge-" }

// begin creates a folder beside the target, and removes what killed merges have left there.
func begin(target string) (*building, error) {
	parent := filepath.Dir(target)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, disk.Problem("make the folder", parent, err)
	}
	sweep(parent, leftover(target))
	path, err := os.MkdirTemp(parent, leftover(target)+"*")
	if err != nil {
		return nil, disk.Problem("make the folder", parent, err)
	}
	b := &building{path: path}
	err = os.Chmod(path, 0o755)
	if err == nil {
		b.lock, err = os.Open(path)
	}
	if err == nil {
		_ = unix.Flock(int(b.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) // without locks nothing is removed
		err = os.Mkdir(filepath.Join(path, result.RunsDir), 0o755)
	}
	if err != nil {
		return nil, errors.Join(disk.Problem("make the folder", path, err), b.remove())
	}
	return b, nil
}

// sweep removes the folders of merges that were killed.
func sweep(parent, prefix string) {
	entries, _ := os.ReadDir(parent)
	for _, e := range entries {
		path := filepath.Join(parent, e.Name())
		if !e.IsDir() || len(e.Name()) <= len(prefix) || e.Name()[:len(prefix)] != prefix {
			continue
		}
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(path)
		}
		_ = f.Close()
	}
}

// remove removes an unfinished folder.
func (b *building) remove() error {
	if b.lock != nil {
		_ = b.lock.Close()
	}
	return os.RemoveAll(b.path)
}

// build writes the new folder, and returns the result of the study.
func (j *joined) build(ctx context.Context, target string, now time.Time) (_ *result.StudyResult, err error) {
	b, err := begin(target)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.remove())
		}
	}()
	if err := j.fits(b.path); err != nil {
		return nil, err
	}
	marked, err := j.copyRuns(ctx, b.path)
	if err == nil {
		err = j.copyAsides(ctx, b.path)
	}
	if err != nil {
		return nil, err
	}
	if err := errors.Join(j.journals(b.path), j.describe(b.path)); err != nil {
		return nil, err
	}
	res, err := j.summarize(b.path, target, marked, now)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return res, b.finish(j.sources[0].dir, target)
}

// fits returns an error if the disk has no room for the runs.
func (j *joined) fits(path string) error {
	var bytes int64
	for _, r := range j.runs {
		bytes += r.bytes
	}
	for _, a := range j.asides {
		bytes += a.bytes
	}
	if err := disk.CheckSpace(path, bytes); err != nil {
		return &Refusal{Msg: "no room for the merged study: " + err.Error(), Cause: err,
			Next: "free some space, or name a folder on a larger disk with -o"}
	}
	return nil
}

// copyRuns copies the runs, and verifies the copies. It returns the former checksums of runs that were marked.
func (j *joined) copyRuns(ctx context.Context, path string) (marked map[string]string, err error) {
	errs := make([]error, len(j.runs))
	each(ctx, len(j.runs), func(i int) { errs[i] = j.runs[i].copyTo(path) })
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	marked = map[string]string{}
	for _, r := range j.runs {
		if r.sum != r.origin {
			marked[r.path()] = r.origin
		}
	}
	failed := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	if failed >= 0 {
		return nil, errs[failed]
	}
	return marked, nil
}

// copyTo copies the run into another folder.
func (r *run) copyTo(dir string) error {
	to := filepath.Join(dir, filepath.FromSlash(r.path()))
	if err := os.Mkdir(to, 0o755); err != nil {
		return disk.Problem("make the run's folder", to, err)
	}
	if err := copyVerified(r.folder(), to, r.sum); err != nil || len(r.marks) == 0 {
		return err
	}
	rec, err := change(to, func(rec *result.Record) {
		for _, why := range r.marks {
			rec.Warn(codes.MachineMixed, why)
		}
	}, &r.sum)
	if err != nil {
		return err
	}
	worker := r.row.Worker
	r.row = store.RowOf(rec)
	r.row.Worker = worker
	return nil
}

// change changes the record of a copied run and its manifest, whose checksum goes to sum.
func change(folder string, do func(*result.Record), sum *string) (*result.Record, error) {
	file := filepath.Join(folder, result.RecordFile)
	rec, err := result.ReadRecord(file)
	if err != nil {
		return nil, err
	}
	do(rec)
	err = disk.WriteFile(file, func(w io.Writer) error { return disk.EncodeJSON(w, rec) })
	if err != nil {
		return nil, err
	}
	*sum, err = store.WriteManifest(folder)
	return rec, err
}

// copyVerified copies the files of a run to a folder that is there, and verifies the copy; sum is the checksum of the
// manifest, or empty if it is not known.
func copyVerified(from, to, sum string) error {
	text, err := disk.ReadFile(filepath.Join(from, store.ManifestFile), disk.MaxSmall)
	if err != nil {
		return err
	}
	for _, name := range append(filesOf(text), store.ManifestFile) {
		if err := copyFile(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	problems, _ := store.VerifyRun(to, sum)
	if len(problems) == 0 {
		return nil
	}
	for i := range problems {
		problems[i].File = filepath.Dir(from) + "/" + problems[i].File
	}
	return &store.DamageError{Dir: "the folders to merge", Problems: problems}
}

// copyCanary copies the canary of a worker, or of a shard that one process executed, if there is one.
func (m *machine) copyCanary(path string) error {
	of := m.worker
	if of == "" && !m.from.shard.Whole() {
		of = m.from.shard.Worker()
	}
	from, to := filepath.Join(m.from.dir, nodes.CanaryDir, of), filepath.Join(path, nodes.CanaryDir, m.name)
	if _, err := os.Stat(filepath.Join(from, store.ManifestFile)); of == "" || err != nil {
		return nil //nolint:nilerr // there is none, or its folder is not finished
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return disk.Problem("make the canary's folder", to, err)
	}
	if err := copyVerified(from, to, ""); err != nil || m.name == of {
		return err
	}
	var sum string
	_, err := change(to, func(rec *result.Record) { rec.Worker = m.name }, &sum)
	return err
}

// copyFile copies a file that does not exist yet.
func copyFile(from, to string) error {
	in, err := disk.Open(from, disk.Unbounded)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := disk.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644, disk.Unbounded)
	if err != nil {
		return disk.Problem("copy", to, err)
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		return disk.Problem("copy", to, err)
	}
	return nil
}

// journals writes a journal for each worker, and one for runs of unknown machines.
func (j *joined) journals(path string) error {
	runs := map[string][]*run{"": nil}
	for _, r := range j.runs {
		runs[r.row.Worker] = append(runs[r.row.Worker], r)
	}
	for worker, own := range runs {
		inOrder(own)
		file := filepath.Join(path, store.JournalOf(worker))
		err := disk.WriteFile(file, func(w io.Writer) error {
			for _, r := range own {
				e := r.line // with what only the line knows
				e.Row, e.Run, e.At, e.Manifest = r.row, r.path(), r.at, r.sum
				line, err := e.Line()
				if err != nil {
					return err
				}
				if _, err := w.Write(line); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// describe writes the descriptions of the machines, and copies what the folders have beside their runs.
func (j *joined) describe(path string) error {
	written := map[string]bool{}
	for _, m := range j.machines {
		if m.name == "" || written[m.name] {
			continue
		}
		written[m.name] = true
		w := nodes.Worker{Worker: m.name, Node: m.node, Differences: m.differs, Machine: m.snapshot}
		if err := errors.Join(w.Write(path), m.copyCanary(path)); err != nil {
			return err
		}
	}
	names := append([]string{store.DoctorFile}, campaign.StartFiles()...)
	for n := range j.sources[0].parts {
		names = append(names, nodes.EnvPart(n+1))
	}
	for _, name := range names {
		if err := j.copyFirst(name, path); err != nil {
			return err
		}
	}
	return nil
}

// copyFirst copies a file from the first folder that has it.
func (j *joined) copyFirst(name, path string) error {
	for _, s := range j.sources {
		err := copyFile(filepath.Join(s.dir, name), filepath.Join(path, name))
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// summarize writes the summary. It opens the folder as a study that is resumed, which verifies it once more.
func (j *joined) summarize(path, target string, marked map[string]string, now time.Time) (*result.StudyResult, error) {
	d, _, err := store.Reopen(path)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if err := d.WriteJSON(shard.MergedFile, j.record(marked)); err != nil {
		return nil, err
	}
	res, err := store.Summarize(path, j.sources[0].study, now)
	if err != nil {
		return nil, fmt.Errorf("summarize the merged study: %w", err)
	}
	res.Dir = target
	return res, d.WriteSummary(res)
}

// finish adds the study, which makes the folder the folder of a study, and gives it its name.
func (b *building) finish(first, target string) error {
	if err := copyFile(filepath.Join(first, store.StudyFile), filepath.Join(b.path, store.StudyFile)); err != nil {
		return err
	}
	if err := syncAll(b.lock); err != nil {
		return disk.Problem("write", b.path, err)
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) { // an empty folder
		return mistake("name a new folder with -o", "%s is not empty any more: %v", target, err)
	}
	if err := os.Rename(b.path, target); err != nil {
		return disk.Problem("finish the merged folder", target, err)
	}
	err := disk.SyncDir(filepath.Dir(target))
	return errors.Join(err, b.lock.Close())
}
