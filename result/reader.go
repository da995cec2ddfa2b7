package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ReadRecord reads the result.json of one run.
func ReadRecord(path string) (*Record, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read result: %w", err)
	}
	var r Record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("read result %s: %w", path, err)
	}
	if r.SchemaVersion != SchemaVersion {
		return nil, fmt.Errorf("result %s has schema version %d; this llem reads version %d", path, r.SchemaVersion,
			SchemaVersion)
	}
	r.Energy.Provenance = r.Energy.Provenance.Of(r.Backend.Name)
	return &r, nil
}

// ReadRun reads the record of one run of a study.
func ReadRun(dir, id string, cycle int) (*Record, error) {
	return ReadRecord(filepath.Join(dir, filepath.FromSlash(runPath(id, cycle)), RecordFile))
}

// Records yields the finished runs of a study's folder in the order in which they were
// made, one at a time. Of a run that was made again, the last try counts.
func Records(dir string) func(yield func(*Record, error) bool) {
	return func(yield func(*Record, error) bool) {
		keys, err := finishedRuns(dir)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, k := range keys {
			if !yield(ReadRun(dir, k.ID, k.Cycle)) {
				return
			}
		}
	}
}

// finishedRuns lists the finished runs of a folder.
func finishedRuns(dir string) ([]RunKey, error) {
	var out []RunKey
	err := eachRun(dir, func(e Entry, _ bool) error {
		out = append(out, RunKey{e.ID, e.Cycle})
		return nil
	})
	return out, err
}

// Rows are the finished runs of a study's folder in brief, as their lines in the journal
// have it. What the journal does not say is read from the runs themselves: a line of an
// earlier version has no values, and a crash may have kept a run's line from being
// written.
func Rows(dir string) ([]Row, error) {
	var out []Row
	err := eachRun(dir, func(e Entry, believed bool) error {
		if believed && e.Values != nil {
			out = append(out, e.Row)
			return nil
		}
		rec, err := ReadRun(dir, e.ID, e.Cycle)
		if err != nil {
			return err
		}
		out = append(out, RowOf(rec))
		return nil
	})
	return out, err
}

// eachRun visits the runs that are there, in the order of the journal, then those that
// it lacks. Believed says that the entry is what the journal says of this very try.
func eachRun(dir string, visit func(e Entry, believed bool) error) error {
	there, again, err := runFolders(dir)
	if err != nil {
		return err
	}
	journal, err := ReadJournal(dir)
	if err != nil && (!errors.Is(err, fs.ErrNotExist) || len(there) == 0) {
		return err
	}
	last := make(map[string]int, len(journal))
	for i, e := range journal {
		last[e.Run] = i
	}
	for i, e := range journal {
		if last[e.Run] != i {
			continue
		}
		key := RunKey{e.ID, e.Cycle}
		if !there[key] {
			if again[key] {
				continue // a crash fell between the two renames of its second try
			}
			return fmt.Errorf("read result: the journal names %s, and there is no such folder in %s: %w", e.Run, dir,
				fs.ErrNotExist)
		}
		delete(there, key)
		if err := visit(e, !again[key]); err != nil {
			return err
		}
	}
	for _, key := range sortedKeys(there) {
		if err := visit(Entry{Row: Row{ID: key.ID, Cycle: key.Cycle}}, false); err != nil {
			return err
		}
	}
	return nil
}

// runFolders lists the runs whose folder is there, and those of which an earlier try is.
func runFolders(dir string) (there, again map[RunKey]bool, err error) {
	f, err := os.Open(filepath.Join(dir, RunsDir))
	if err != nil {
		return nil, nil, fmt.Errorf("look at the runs: %w", err)
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, nil, fmt.Errorf("look at the runs: %w", err)
	}
	there, again = make(map[RunKey]bool, len(names)), map[RunKey]bool{}
	for _, name := range names {
		if key, ok := keyOf(name); ok {
			there[key] = true
		} else if run, _, tried := strings.Cut(name, ".try"); tried {
			if key, ok := keyOf(run); ok {
				again[key] = true
			}
		}
	}
	return there, again, nil
}
