package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/nodes"
	"github.com/llenergymeasure/llem/result"
)

// ClaimsDir has the claims of the workers of a study.
const ClaimsDir = "claims"

// JournalOf returns the name of a worker's journal; a process that works alone has an empty name.
func JournalOf(worker string) string {
	if worker == "" {
		return JournalFile
	}
	return "journal-" + worker + ".jsonl"
}

// Tail reads the journals of a study as they grow.
type Tail struct {
	dir string
	// read is how much of each journal was read, in bytes.
	read map[string]int64
}

// NewTail returns a tail that begins with the first lines.
func NewTail(dir string) *Tail { return &Tail{dir, map[string]int64{}} }

// Next returns the entries that were added, as [ReadJournal] does.
func (t *Tail) Next() ([]Entry, error) {
	names, err := journals(t.dir)
	if err != nil {
		return nil, err
	}
	var out []Entry
	for _, name := range names {
		f, err := disk.Open(filepath.Join(t.dir, name), disk.MaxList)
		if err != nil {
			return nil, fmt.Errorf("read journal: %w", err)
		}
		from := &counter{r: f}
		if _, err := f.Seek(t.read[name], io.SeekStart); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		for e, err := range entries(t.dir, name, from) {
			if err != nil {
				return nil, errors.Join(err, f.Close())
			}
			out = append(out, e)
		}
		t.read[name] += from.whole
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	if len(names) > 1 {
		slices.SortStableFunc(out, func(a, b Entry) int { return a.At.Compare(b.At) })
	}
	return out, nil
}

// counter counts the bytes up to the last line end.
type counter struct {
	r        io.Reader
	n, whole int64
}

// Read counts what is read.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if i := bytes.LastIndexByte(p[:n], '\n'); i >= 0 {
		c.whole = c.n + int64(i) + 1
	}
	c.n += int64(n)
	return n, err
}

// journals lists the names of a study's journals; fs.ErrNotExist if there is none.
func journals(dir string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(globbed(dir), JournalOf("*")))
	if err != nil {
		return nil, err
	}
	var names []string
	if _, err := os.Stat(filepath.Join(dir, JournalFile)); err == nil || len(found) == 0 {
		names = append(names, JournalFile)
	}
	for _, path := range found {
		names = append(names, filepath.Base(path))
	}
	return names, nil
}

// globbed escapes a path for a pattern.
func globbed(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// Found makes the folder of a study at a path, for several workers. Files that are there stay.
func Found(path string) (*Dir, error) {
	if err := os.MkdirAll(filepath.Join(path, result.RunsDir), 0o755); err != nil {
		return nil, disk.Problem("make the study's folder", path, err)
	}
	journal, err := disk.OpenFile(filepath.Join(path, JournalFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644,
		disk.MaxList)
	if err != nil {
		return nil, disk.Problem("open the journal", path, err)
	}
	return &Dir{path: path, journal: journal, made: map[RunKey]Entry{}}, nil
}

// Join opens the folder of a study for one of several workers, and returns the newest entry of every finished run.
// The worker has a journal of its own. Join repairs that journal, as [Reopen] does, and leaves the files of other
// workers alone. A process that works alone in the folder is a [*disk.LockedError].
func Join(path, worker string) (*Dir, map[RunKey]Entry, error) {
	if err := alone(path); err != nil {
		return nil, nil, err
	}
	journal, err := disk.OpenFile(filepath.Join(path, JournalOf(worker)), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644,
		disk.MaxList)
	if err != nil {
		return nil, nil, disk.Problem("open the journal", path, err)
	}
	d := &Dir{path: path, journal: journal, worker: worker, made: map[RunKey]Entry{}}
	if err := d.join(); err != nil {
		return nil, nil, errors.Join(err, disk.CloseFolder(journal))
	}
	known := d.made
	d.made = map[RunKey]Entry{} // its own, from now on
	return d, known, nil
}

func (d *Dir) join() error {
	if err := d.load(false); err != nil {
		return err
	}
	return d.Sweep(func(worker string) bool { return worker != d.worker })
}

// Sweep removes the unfinished runs of workers that are gone.
func (d *Dir) Sweep(live func(worker string) bool) error {
	left, err := filepath.Glob(filepath.Join(globbed(d.path), result.RunsDir, "*"+Partial))
	for _, path := range left {
		name := strings.TrimSuffix(filepath.Base(path), Partial)
		if _, worker, _ := strings.Cut(name, "."); !live(worker) {
			err = errors.Join(err, os.RemoveAll(path))
		}
	}
	return errors.Join(err, d.sweepCanaries(live))
}

// cutTorn removes an incomplete last line of the journal.
func (d *Dir) cutTorn() error {
	text, err := io.ReadAll(d.journal)
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	if whole := bytes.LastIndexByte(text, '\n') + 1; whole < len(text) {
		if err := d.journal.Truncate(int64(whole)); err != nil {
			return disk.Problem("cut the torn end off the journal", d.path, err)
		}
	}
	return nil
}

// alone returns an error if a process works alone in the folder.
func alone(path string) error {
	f, err := disk.OpenFile(filepath.Join(path, JournalFile), os.O_CREATE|os.O_RDWR, 0o644, disk.MaxList)
	if err != nil {
		return disk.Problem("open the journal", path, err)
	}
	return errors.Join(disk.CheckFolder(f), disk.CloseFolder(f))
}

// ErrTwice is the error of a run whose result does not count, because another worker has executed it.
var ErrTwice = errors.New("another worker has executed the run")

// publish renames the folder of a worker's run into place, if the run has no result yet: rename never replaces a
// folder with files.
func (r *Run) publish(final, sum string) error {
	err := os.Rename(r.path, final)
	if err == nil {
		return nil
	}
	if m, readErr := readManifest(final); readErr == nil && m.sum == sum {
		return nil // the reply to the first try was lost
	} else if errors.Is(err, fs.ErrExist) {
		return errors.Join(ErrTwice, r.discard(final))
	}
	return disk.Problem("finish the run's folder", final, err)
}

// discard keeps the folder of a run under a name that marks it as not counted.
func (r *Run) discard(final string) error {
	for i := 1; ; i++ {
		aside := fmt.Sprintf("%s%s%s-%d", final, nodes.Twice, r.dir.worker, i)
		if err := os.Rename(r.path, aside); err == nil || !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
}

// Retry renames an earlier result of a run out of the way, if it has the given checksum. Only the holder of the
// run's claim may do so.
func (d *Dir) Retry(key RunKey, manifest string) error {
	final := filepath.Join(d.path, filepath.FromSlash(result.RunPath(key.ID, key.Cycle)))
	if m, err := readManifest(final); err != nil || m.sum != manifest {
		return err
	}
	return setAside(final)
}

// Executed reads the result of a run of any worker, and the checksum of its manifest; nil if there is none.
func (d *Dir) Executed(key RunKey) (*Entry, error) {
	final := filepath.Join(d.path, filepath.FromSlash(result.RunPath(key.ID, key.Cycle)))
	m, err := readManifest(final)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, fmt.Errorf("read the run %s: %w", final, err)
	}
	rec, err := result.ReadRun(d.path, key.ID, key.Cycle)
	if err != nil {
		return nil, err
	}
	e := entryOf(rec, m.sum)
	return &e, nil
}

// RemoveSummary removes the summary of an earlier part of the study.
func (d *Dir) RemoveSummary() error {
	err := os.Remove(filepath.Join(d.path, result.SummaryFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return disk.Problem("remove the summary of the previous part", d.path, err)
	}
	return nil
}
