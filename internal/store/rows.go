package store

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/llenergymeasure/llem/result"
)

// RowOf is a record in brief.
func RowOf(r *result.Record) result.Row {
	row := result.Row{ID: r.ID, Cycle: r.Cycle, Status: r.Status, Values: valuesOf(r), Provenance: r.Energy.Provenance,
		DType: r.Backend.DType, MemoryMethod: r.Memory.Method, ProcessMethod: r.Memory.ProcessMethod,
		WorkloadHash: r.WorkloadHash, TookS: r.Timing.TookS}
	if r.Failure != nil {
		row.Class, row.Message = r.Failure.Class, r.Failure.Message
	}
	if r.Status == result.OK && r.Energy.TotalJ == nil {
		row.Reason = r.Energy.Reason
	}
	row.Warnings = r.Warnings.Codes()
	return row
}

// valuesOf are the metrics of a record.
func valuesOf(r *result.Record) result.Values {
	metrics := result.Metrics()
	v := make(result.Values, len(metrics))
	for i, m := range metrics {
		x, ok := m.Value(r)
		if !ok {
			x = math.NaN()
		}
		v[i] = x
	}
	return v
}

// Records yields the finished runs of a study's folder in the order in which they were
// made, one at a time. Of a run that was made again, the last try counts.
func Records(dir string) func(yield func(*result.Record, error) bool) {
	return func(yield func(*result.Record, error) bool) {
		keys, err := finishedRuns(dir)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, k := range keys {
			if !yield(result.ReadRun(dir, k.ID, k.Cycle)) {
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
func Rows(dir string) ([]result.Row, error) {
	var out []result.Row
	err := eachRun(dir, func(e Entry, believed bool) error {
		if believed && e.Values != nil {
			out = append(out, e.Row)
			return nil
		}
		rec, err := result.ReadRun(dir, e.ID, e.Cycle)
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
		if err := visit(Entry{Row: result.Row{ID: key.ID, Cycle: key.Cycle}}, false); err != nil {
			return err
		}
	}
	return nil
}

// runFolders lists the runs whose folder is there, and those of which an earlier try is.
func runFolders(dir string) (there, again map[RunKey]bool, err error) {
	entries, err := os.ReadDir(filepath.Join(dir, result.RunsDir))
	if err != nil {
		return nil, nil, fmt.Errorf("look at the runs: %w", err)
	}
	there, again = make(map[RunKey]bool, len(entries)), map[RunKey]bool{}
	for _, entry := range entries {
		name := entry.Name()
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
