package store

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/result"
)

// RowOf is a record in brief.
func RowOf(r *result.Record) result.Row {
	row := result.Row{ID: r.ID, Cycle: r.Cycle, Status: r.Status, Values: result.ValuesOf(r),
		Provenance: r.Energy.Provenance,
		DType:      r.Backend.DType, MemoryMethod: r.Memory.Method, ProcessMethod: r.Memory.ProcessMethod,
		Version: r.Backend.Version, Device: deviceOf(r),
		WorkloadHash: r.WorkloadHash, OutputHash: outputHash(r), TookS: r.Timing.TookS, Missing: r.Missing()}
	if r.Failure != nil {
		row.Class, row.Message = r.Failure.Class, r.Failure.Message
	}
	if r.Status == result.OK && r.Energy.TotalJ == nil {
		row.Reason = r.Energy.Reason
	}
	row.Warnings = r.Warnings.Codes()
	return row
}

// deviceOf names the devices whose energy is counted, each kind once, or else what the model ran on.
func deviceOf(r *result.Record) string {
	count := map[string]int{}
	for _, d := range r.Energy.Devices {
		if d.Counted && d.Name != "" {
			count[d.Name]++
		}
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(count)) {
		if n := count[name]; n > 1 {
			name = fmt.Sprintf("%d × %s", n, name)
		}
		parts = append(parts, name)
	}
	if len(parts) == 0 {
		return r.Backend.Device
	}
	return strings.Join(parts, ", ")
}

// Records yields the finished runs of a study's folder in the order in which they were
// made, one at a time. Of a run that was made again, the last try counts.
func Records(dir string) func(yield func(*result.Record, error) bool) {
	return func(yield func(*result.Record, error) bool) {
		f, err := lookAt(dir)
		if err == nil {
			err = damaged(dir, f.problems)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		for _, r := range f.runs {
			if !yield(result.ReadRun(dir, r.ID, r.Cycle)) {
				return
			}
		}
	}
}

// Rows are the finished runs of a study's folder in brief, as their lines in the journal
// have it. What the journal does not say is read from the runs themselves: a line of an
// earlier version has no values, and a crash may have kept a run's line from being
// written.
func Rows(dir string) ([]result.Row, error) {
	f, err := lookAt(dir)
	if err != nil {
		return nil, err
	}
	rows := f.rows()
	return rows, damaged(dir, f.problems)
}

// found is what the folder of a study holds.
type found struct {
	dir string
	// runs are there, in the order of the journal, then those that it lacks.
	runs []foundRun
	// problems are lines without a run, and records that cannot be used; lost are their runs.
	problems []Problem
	lost     map[RunKey]bool
	// noJournal reports runs without a journal; unchecked counts runs without a manifest.
	noJournal bool
	unchecked int
}

// foundRun is a run that is there.
type foundRun struct {
	Entry
	// believed reports that the entry is what the journal says of this very try.
	believed bool
	// rec is the record, where it was read.
	rec *result.Record
}

// rows are the runs in brief. Those that cannot be read are problems.
func (f *found) rows() []result.Row {
	rows := make([]result.Row, 0, len(f.runs))
	f.runs = slices.DeleteFunc(f.runs, func(r foundRun) bool {
		if r.believed && r.Values.Known() && !r.Values.Earlier() && r.rec == nil {
			rows = append(rows, r.Row)
			return false
		}
		rec, ok := r.rec, true
		if rec == nil {
			rec, ok = f.record(r)
		}
		if ok {
			rows = append(rows, RowOf(rec))
		}
		return !ok
	})
	return rows
}

// record reads the record of a run; what cannot be read is a problem.
func (f *found) record(r foundRun) (*result.Record, bool) {
	rec, err := result.ReadRun(f.dir, r.ID, r.Cycle)
	if err != nil {
		f.problems = append(f.problems, unusable(r.Entry, err))
		f.lost[RunKey{r.ID, r.Cycle}] = true
	}
	return rec, err == nil
}

// read reads the records of all runs, and compares them with their sums and with their lines.
func (f *found) read() {
	kept := f.runs[:0]
	for _, r := range f.runs {
		problems, unchecked := r.verify(f.dir)
		f.problems = append(f.problems, problems...)
		if unchecked && r.At.IsZero() { // without a line, by which the others are counted
			f.unchecked++
		}
		rec, err := result.ReadRun(f.dir, r.ID, r.Cycle)
		if err != nil {
			if len(problems) == 0 {
				f.problems = append(f.problems, unusable(r.Entry, err))
			}
			f.lost[RunKey{r.ID, r.Cycle}] = true
			continue
		}
		if r.rec = rec; r.believed && !r.sameNumbers(RowOf(rec)) {
			f.problems = append(f.problems, Problem{JournalFile, "does not have the numbers of " + r.Run + "/" +
				result.RecordFile, journalNext(f.dir)})
		}
		kept = append(kept, r)
	}
	f.runs = kept
}

// verify compares the record of a run with its sum.
func (r foundRun) verify(dir string) (problems []Problem, unchecked bool) {
	sum := r.Manifest
	if !r.believed {
		sum = "" // the line is that of an earlier try
	}
	return verify(filepath.Join(dir, filepath.FromSlash(r.Run)), r.Run, sum, result.RecordFile)
}

// unusable is a record that cannot be read.
func unusable(e Entry, err error) Problem {
	return Problem{e.Run + "/" + result.RecordFile, "cannot be used: " + err.Error(), restore}
}

// sameNumbers reports whether the outcome and the numbers of a line are those of its run. A line of an earlier
// version lacks some, or all.
func (e Entry) sameNumbers(own result.Row) bool {
	if e.Status != own.Status || e.ID != own.ID || e.Cycle != own.Cycle {
		return false
	}
	return e.Values.Within(own.Values)
}

// lookAt compares the journal with the folders of runs.
func lookAt(dir string) (*found, error) {
	there, again, err := runFolders(dir)
	if err != nil {
		return nil, err
	}
	f := &found{dir: dir, lost: map[RunKey]bool{}}
	journal, err := ReadJournal(dir)
	if f.noJournal = errors.Is(err, fs.ErrNotExist); err != nil && (!f.noJournal || len(there) == 0) {
		return nil, err
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
			f.problems = append(f.problems, Problem{e.Run, "is missing: " + JournalFile + " names it",
				"restore the folder from a copy, or make the run again: llem run --resume=" + dir})
			f.lost[key] = true
			continue
		}
		delete(there, key)
		f.runs = append(f.runs, foundRun{Entry: e, believed: !again[key]})
		if e.Manifest == "" {
			f.unchecked++
		}
	}
	if n := len(there); n > 1 && !f.noJournal {
		f.problems = append(f.problems,
			Problem{JournalFile, fmt.Sprintf("lacks the lines of %d runs that are there: a "+
				"crash costs one at most", n), journalNext(dir)})
	}
	for _, key := range sortedKeys(there) {
		f.runs = append(f.runs, foundRun{Entry: Entry{Row: result.Row{ID: key.ID, Cycle: key.Cycle},
			Run: result.RunPath(key.ID, key.Cycle)}})
	}
	return f, nil
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

func outputHash(r *result.Record) string {
	if r.Tokens == nil {
		return ""
	}
	return r.Tokens.OutputHash
}
