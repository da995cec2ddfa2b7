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

	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/result"
)

// RowOf returns a record in brief.
func RowOf(r *result.Record) result.Row {
	row := result.Row{ID: r.ID, Cycle: r.Cycle, Status: r.Status, Values: result.ValuesOf(r),
		Provenance: r.Energy.Provenance,
		DType:      r.Backend.DType, MemoryMethod: r.Memory.Method, ProcessMethod: r.Memory.ProcessMethod,
		Version: r.Backend.Version, Device: deviceOf(r),
		Worker: r.Worker, WorkloadHash: r.WorkloadHash, OutputHash: outputHash(r), TookS: r.Timing.TookS,
		Missing: r.Missing()}
	if r.Failure != nil {
		row.Class, row.Message = r.Failure.Class, r.Failure.Message
	}
	if r.Status == result.OK && r.Energy.TotalJ == nil {
		row.Reason = r.Energy.Reason
	}
	row.Warnings = r.Warnings.Codes()
	return row
}

// deviceOf names the counted devices, each kind once, otherwise the device that ran the model.
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

// Records returns an iterator over the finished runs of a study's folder in the order of execution. For a
// repeated run, the last try counts.
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

// Rows returns the finished runs of a study's folder in brief, from their lines in the journal. What the
// journal lacks is read from the runs: a line of an earlier version has no values, and a crash may have
// prevented a run's line.
func Rows(dir string) ([]result.Row, error) {
	f, err := lookAt(dir)
	if err != nil {
		return nil, err
	}
	rows := f.rows()
	return rows, damaged(dir, f.problems)
}

// found is the content of a study's folder.
type found struct {
	dir string
	// runs are the existing runs, in the order of the journal, then the runs that it lacks.
	runs []foundRun
	// problems are lines without a run, and unusable records; lost are their runs.
	problems []Problem
	lost     map[RunKey]bool
	// noJournal reports whether there are runs without a journal; unchecked counts runs without a manifest.
	noJournal bool
	unchecked int
	// lines are the lines of the journals.
	lines []Entry
}

// foundRun is an existing run.
type foundRun struct {
	Entry
	// believed reports whether the entry is the journal's line for this try.
	believed bool
	// rec is the record, if it was read.
	rec *result.Record
}

// rows returns the runs in brief. Runs that cannot be read become problems.
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
			row := RowOf(rec)
			if r.believed && r.Worker != "" { // a merged run has the name of its worker in its line
				row.Worker = r.Worker
			}
			rows = append(rows, row)
		}
		return !ok
	})
	return rows
}

// record reads the record of a run; an error becomes a problem.
func (f *found) record(r foundRun) (*result.Record, bool) {
	rec, err := result.ReadRun(f.dir, r.ID, r.Cycle)
	if err != nil {
		f.problems = append(f.problems, unusable(r.Entry, err))
		f.lost[RunKey{r.ID, r.Cycle}] = true
	}
	return rec, err == nil
}

// read reads the records of all runs, and compares them with their checksums and lines.
func (f *found) read() {
	kept := f.runs[:0]
	for _, r := range f.runs {
		problems, unchecked := r.verify(f.dir)
		f.problems = append(f.problems, problems...)
		if unchecked && r.At.IsZero() { // without a line, which counts the others
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
			f.problems = append(f.problems, Problem{JournalFile, "does not match the numbers of " + r.Run + "/" +
				result.RecordFile, journalNext(f.dir)})
		}
		kept = append(kept, r)
	}
	f.runs = kept
}

// verify compares the record of a run with its checksum.
func (r foundRun) verify(dir string) (problems []Problem, unchecked bool) {
	sum := r.Manifest
	if !r.believed {
		sum = "" // the line belongs to an earlier try
	}
	return verify(filepath.Join(dir, filepath.FromSlash(r.Run)), r.Run, sum, result.RecordFile)
}

// unusable returns the problem of a record that cannot be read.
func unusable(e Entry, err error) Problem {
	return Problem{e.Run + "/" + result.RecordFile, "cannot be used: " + err.Error(), restore}
}

// sameNumbers reports whether a line has the outcome and the numbers of its run. A line of an earlier version
// lacks some or all of them.
func (e Entry) sameNumbers(own result.Row) bool {
	if e.Status != own.Status || e.ID != own.ID || e.Cycle != own.Cycle {
		return false
	}
	return e.Values.Within(own.Values)
}

// lookAt compares the journal with the folders of runs.
func lookAt(dir string) (*found, error) {
	// The journals are read first: workers rename a run into place before they write its line.
	journal, err := ReadJournal(dir)
	f := &found{dir: dir, lost: map[RunKey]bool{}, noJournal: errors.Is(err, fs.ErrNotExist)}
	if err != nil && !f.noJournal {
		return nil, err
	}
	there, again, runsErr := runFolders(dir)
	if runsErr != nil {
		return nil, runsErr
	}
	if f.noJournal && len(there) == 0 {
		return nil, err
	}
	mayLack := 1
	if names, err := journals(dir); err == nil {
		mayLack = len(names)
	}
	f.lines = journal
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
				continue // a crash between the two renames of its second try
			}
			f.problems = append(f.problems, Problem{e.Run, "is missing, but listed in " + JournalFile + "",
				"restore the folder from a copy, or repeat the run: llem run --resume=" + shell.Path(dir)})
			f.lost[key] = true
			continue
		}
		delete(there, key)
		f.runs = append(f.runs, foundRun{Entry: e, believed: !again[key]})
		if e.Manifest == "" {
			f.unchecked++
		}
	}
	if n := len(there); n > mayLack && !f.noJournal {
		f.problems = append(f.problems,
			Problem{JournalFile, fmt.Sprintf("lacks the lines of %d existing runs: a "+
				"crash loses one at most", n), journalNext(dir)})
	}
	for _, key := range sortedKeys(there) {
		f.runs = append(f.runs, foundRun{Entry: Entry{Row: result.Row{ID: key.ID, Cycle: key.Cycle},
			Run: result.RunPath(key.ID, key.Cycle)}})
	}
	return f, nil
}

// runFolders lists the runs with a folder, and the runs with the folder of an earlier try.
func runFolders(dir string) (there, again map[RunKey]bool, err error) {
	entries, err := os.ReadDir(filepath.Join(dir, result.RunsDir))
	if err != nil {
		return nil, nil, fmt.Errorf("read the runs folder: %w", err)
	}
	there, again = make(map[RunKey]bool, len(entries)), map[RunKey]bool{}
	for _, entry := range entries {
		name := entry.Name()
		if key, ok := KeyOf(name); ok {
			there[key] = true
		} else if run, _, tried := strings.Cut(name, ".try"); tried {
			if key, ok := KeyOf(run); ok {
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
