package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/result"
)

// RunKey names one run of a study.
type RunKey struct {
	// ID of the experiment.
	ID string
	// Cycle counts its runs, from 1.
	Cycle int
}

// Reopen opens the folder of a study to go on with it. A line of the journal that a
// crash has torn is cut off, and a finished run that a crash kept out of the journal is
// entered. It returns the newest entry of every run.
func Reopen(path string) (*Dir, map[RunKey]Entry, error) {
	journal, err := disk.OpenFile(filepath.Join(path, JournalFile), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644,
		disk.MaxList)
	if err != nil {
		return nil, nil, disk.Problem("open the journal", path, err)
	}
	d := &Dir{path, journal}
	made, err := d.reconcile()
	if err != nil {
		return nil, nil, errors.Join(err, journal.Close())
	}
	return d, made, nil
}

func (d *Dir) reconcile() (map[RunKey]Entry, error) {
	if err := disk.LockFolder(d.journal); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(d.journal)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	if whole := bytes.LastIndexByte(text, '\n') + 1; whole < len(text) {
		if err := d.journal.Truncate(int64(whole)); err != nil {
			return nil, disk.Problem("cut the torn end off the journal", d.path, err)
		}
	}
	entries, err := parseJournal(d.journal.Name(), bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	made := map[RunKey]Entry{}
	for _, e := range entries {
		made[RunKey{e.ID, e.Cycle}] = e
	}
	return made, d.enterFinished(made)
}

// enterFinished compares the folders with the journal: a run was renamed into place
// before its line was written, and the line may be missing; a folder may be missing
// whose line is there, if a crash fell between the two renames of a repeated run. Of
// the records, only those are read of which the journal may not know the last try, or
// has no values.
func (d *Dir) enterFinished(made map[RunKey]Entry) error {
	there, again, err := runFolders(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		clear(made)
		return disk.Problem("make the runs folder", d.path, os.Mkdir(filepath.Join(d.path, result.RunsDir), 0o755))
	}
	if err != nil {
		return err
	}
	for _, key := range sortedKeys(there) {
		e, entered := made[key]
		if entered && !again[key] && e.Values != nil {
			// A record is synced before its folder gets its name: it is there unless
			// somebody took it away.
			if _, err := os.Stat(filepath.Join(d.path, filepath.FromSlash(result.RunPath(key.ID, key.Cycle)),
				result.RecordFile)); err != nil {
				delete(made, key)
			}
			continue
		}
		rec, err := result.ReadRun(d.path, key.ID, key.Cycle)
		if err != nil || rec.ID != key.ID || rec.Cycle != key.Cycle {
			delete(made, key)
			continue
		}
		if !entered || e.Status != rec.Status {
			if err := d.appendJournal(rec); err != nil {
				return err
			}
		}
		made[key] = entryOf(rec)
	}
	for key := range made {
		if !there[key] {
			delete(made, key)
		}
	}
	return nil
}

// sortedKeys orders runs by id and cycle.
func sortedKeys(keys map[RunKey]bool) []RunKey {
	return slices.SortedFunc(maps.Keys(keys), func(a, b RunKey) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Cycle, b.Cycle))
	})
}

// keyOf reads the name of a finished run's folder: ID-cCYCLE.
func keyOf(name string) (RunKey, bool) {
	id, cycle, ok := strings.Cut(name, "-c")
	n, err := strconv.Atoi(cycle)
	return RunKey{id, n}, ok && err == nil && n > 0
}

// setAside renames an earlier try of a run: nothing that was measured is lost.
func setAside(final string) error {
	for i := 1; ; i++ {
		old := fmt.Sprintf("%s.try%d", final, i)
		if _, err := os.Lstat(old); errors.Is(err, fs.ErrNotExist) {
			err := os.Rename(final, old)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
	}
}
