// Package recheck computes the numbers of a study again from its raw files, and compares them and the files with what
// is stored: for `llem report --recompute`, and for what `llem site` publishes.
package recheck

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/join"
	"github.com/llenergymeasure/llem/internal/running"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/studies"
	"github.com/llenergymeasure/llem/result"
)

// NoRunError is a folder without a finished run.
type NoRunError struct{ dir string }

// Error names the folder.
func (e *NoRunError) Error() string { return e.dir + " contains no finished run" }

// NextStep returns what to give instead.
func (e *NoRunError) NextStep() string {
	if now := running.Now(e.dir); now != "" {
		return now + ": wait until a run has finished"
	}
	if inside := studies.Inside(e.dir); len(inside) > 0 {
		return "it holds studies: give one of them, such as " + shell.Path(inside[0])
	}
	return "give the folder that `llem run` printed, or one of the folders in its " + result.RunsDir
}

// Folder checks every run of a study and the files beside the runs, or one run. Runs of an earlier version without
// checksums are unchecked.
func Folder(dir string) (all []join.Recomputed, unchecked int, err error) {
	runs, err := runsIn(dir)
	if err != nil {
		return nil, 0, err
	}
	manifests, _ := store.Manifests(dir) // a journal that cannot be read is reported below
	for _, run := range runs {
		problems, none := store.VerifyRun(run, manifests[filepath.Base(run)])
		r := recomputed(run, problems)
		if none && r.Error == "" {
			unchecked++
		}
		all = append(all, r)
	}
	if runs[0] != dir {
		all = append(append(all, besideRuns(dir)...), staleSummary(dir)...)
	}
	return all, unchecked, nil
}

// Bare reports whether a run cannot be computed again because its raw files were left out, and nothing is known to have
// changed.
func Bare(r join.Recomputed) bool { return r.NoSeries && len(r.Files) == 0 }

// Bad returns how many outcomes do not match.
func Bad(all []join.Recomputed) (n int) {
	for _, r := range all {
		if r.Error != "" || len(r.Differ) > 0 || len(r.Files) > 0 {
			n++
		}
	}
	return n
}

// recomputed computes the numbers of a run again, with what is wrong with its files. Damaged series are not read:
// a bit of a Parquet file can ask for more memory than there is.
func recomputed(run string, problems []store.Problem) join.Recomputed {
	var r join.Recomputed
	bad := slices.IndexFunc(problems, func(p store.Problem) bool {
		_, err := os.Stat(filepath.Join(filepath.Dir(run), filepath.FromSlash(p.File)))
		return err == nil && (strings.HasSuffix(p.File, ".parquet") || strings.HasSuffix(p.File, store.ManifestFile))
	})
	gone := withoutSeries(run)
	switch {
	case bad < 0 && len(gone) > 0:
		r = join.Recomputed{Run: filepath.Base(run), Status: string(result.OK), Differ: []join.Difference{},
			NoSeries: true, Error: "its series are not there: " + strings.Join(gone, ", "),
			Next: "copy the folder of the run with its .parquet files; without them the numbers cannot be checked"}
	case bad < 0:
		r = join.Recompute(run)
	default:
		r = join.Recomputed{Run: filepath.Base(run), Differ: []join.Difference{},
			Error: filepath.Base(problems[bad].File) + " has changed since it was written",
			Next: "restore the file from a copy of the folder; without it the numbers cannot be checked, " +
				"only measured again"}
	}
	for _, p := range problems {
		r.Files = append(r.Files, p.File+" "+p.What)
		r.Next = cmp.Or(r.Next, p.Next)
	}
	return r
}

// withoutSeries returns the names of a run's series if all of them are missing: people leave them out to save space.
func withoutSeries(dir string) (gone []string) {
	rec, err := result.ReadRecord(filepath.Join(dir, result.RecordFile))
	if err != nil || rec.Status != result.OK {
		return nil
	}
	for _, name := range rec.Files {
		if !strings.HasSuffix(name, ".parquet") {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		gone = append(gone, name)
	}
	slices.Sort(gone)
	return gone
}

// besideRuns reports what is wrong with the files beside the runs.
func besideRuns(dir string) (out []join.Recomputed) {
	damage, _ := errors.AsType[*store.DamageError](store.VerifyStudy(dir, true))
	if damage == nil {
		return nil
	}
	for _, p := range damage.Problems {
		out = append(out, join.Recomputed{Run: p.File, Differ: []join.Difference{}, Error: "it " + p.What,
			Next: p.Next})
	}
	return out
}

// superseded is why a summary of an earlier version is not compared.
const superseded = "an earlier llem wrote it, whose means include runs with unequal work or count response times as " +
	"times to the first token; reports do not use it and compute it again from the runs"

// staleSummary reports a summary that does not match the runs beside it: the report
// prints the summary.
func staleSummary(dir string) []join.Recomputed {
	summary, err := result.ReadStudy(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	stale := join.Recomputed{Run: result.SummaryFile, Differ: []join.Difference{},
		Next: "delete " + filepath.Join(dir, result.SummaryFile) + ": `llem report` then reads the runs themselves"}
	if err != nil {
		stale.Error = err.Error()
		return []join.Recomputed{stale}
	}
	if summary.Stale() {
		stale.Skipped, stale.Next = superseded, ""
		return append([]join.Recomputed{stale}, staleJournal(dir)...)
	}
	return append(differing(stale, differences(dir, summary)), staleJournal(dir)...)
}

// staleJournal reports lines of the journal that do not match the runs: summaries
// are computed from these lines.
func staleJournal(dir string) []join.Recomputed {
	stale := join.Recomputed{Run: store.JournalFile, Differ: []join.Difference{},
		Next: "move " + filepath.Join(dir, store.JournalFile) + " and " + result.SummaryFile +
			" away: `llem report` then reads the runs themselves"}
	rows, err := store.Rows(dir)
	if _, journalErr := store.ReadJournal(dir); err == nil && !errors.Is(journalErr, fs.ErrNotExist) {
		err = journalErr
	}
	if err != nil {
		stale.Error = err.Error()
		return []join.Recomputed{stale}
	}
	var differ []string
	for _, r := range rows {
		own, err := result.ReadRun(dir, r.ID, r.Cycle)
		if err != nil || !SameRow(r, store.RowOf(own)) {
			differ = append(differ, nameOf(r.ID, r.Cycle))
		}
	}
	return differing(stale, differ)
}

// SameRow compares a line of the journal with the row of its run. A line of an earlier version may lack values.
func SameRow(line, own result.Row) bool {
	if line.Values.Within(own.Values) {
		line.Values = own.Values
	}
	if sameMissing(line.Missing, own.Missing) {
		line.Missing = own.Missing
	}
	line.Version, line.Device = cmp.Or(line.Version, own.Version), cmp.Or(line.Device, own.Device)
	own.Worker = line.Worker // a merge names the machines of runs that have no worker
	return sameJSON(line, own)
}

// sameMissing reports whether a line names the same metrics as missing. The wording of the reasons depends
// on the version that wrote the line, and lines of an earlier version lack metrics that this version added.
func sameMissing(line, own []result.Missing) bool {
	return !slices.ContainsFunc(line, func(m result.Missing) bool {
		return !slices.ContainsFunc(own, func(o result.Missing) bool { return o.Of == m.Of })
	})
}

// differing returns an outcome that names the given runs, or nil if there are none.
func differing(stale join.Recomputed, runs []string) []join.Recomputed {
	if len(runs) == 0 {
		return nil
	}
	more := ""
	if len(runs) > mostNamed {
		more = fmt.Sprintf(" and %d more", len(runs)-mostNamed)
		runs = runs[:mostNamed]
	}
	stale.Error = "it does not match the runs: " + strings.Join(runs, ", ") + more
	return []join.Recomputed{stale}
}

// mostNamed is the maximum number of runs that an outcome names.
const mostNamed = 20

func nameOf(id string, cycle int) string { return fmt.Sprintf("%s-c%d", id, cycle) }

// differences returns the runs whose values differ from the summary.
func differences(dir string, summary *result.StudyResult) []string {
	var out []string
	for i, r := range summary.Rows {
		own, err := result.ReadRun(dir, r.ID, r.Cycle)
		same := err == nil && own.Status == r.Status
		for _, m := range result.Metrics() {
			if v, ok := r.Values.Get(m.Name); ok && same {
				w, there := m.Value(own)
				same = there && v == w
			}
		}
		if i < len(summary.Runs) && same {
			same = sameJSON(summary.Runs[i], own)
		}
		if !same {
			out = append(out, nameOf(r.ID, r.Cycle))
		}
	}
	for _, r := range summary.Runs[min(len(summary.Rows), len(summary.Runs)):] { // of an earlier version
		if own, err := result.ReadRun(dir, r.ID, r.Cycle); err != nil || !sameJSON(r, own) {
			out = append(out, nameOf(r.ID, r.Cycle))
		}
	}
	return out
}

func sameJSON(a, b any) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}

// runsIn returns the run folders of a study, from its journal and from disk, or the
// folder itself if it is a run.
func runsIn(dir string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(dir, result.RecordFile)); err == nil {
		return []string{dir}, nil
	}
	seen := map[string]bool{}
	var runs []string
	add := func(run string) {
		if name := filepath.Base(run); !seen[name] && !strings.HasSuffix(name, store.Partial) {
			seen[name] = true
			runs = append(runs, run)
		}
	}
	entries, err := store.ReadJournal(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		add(filepath.Join(dir, filepath.FromSlash(e.Run)))
	}
	found, err := filepath.Glob(filepath.Join(dir, result.RunsDir, "*", result.RecordFile))
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		add(filepath.Dir(f))
	}
	if len(runs) == 0 {
		return nil, &NoRunError{dir}
	}
	return runs, nil
}
