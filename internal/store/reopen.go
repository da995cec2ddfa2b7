package store

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// RunKey identifies one run of a study.
type RunKey struct {
	// ID of the experiment.
	ID string
	// Cycle counts its runs, from 1.
	Cycle int
}

// Reopen opens the folder of a study to resume it. It removes an incomplete line of the journal and adds a
// finished run that a crash kept out of the journal. It returns the newest entry of every run. Each record is
// compared with its checksum: a changed record is a [*DamageError].
func Reopen(path string) (*Dir, map[RunKey]Entry, error) {
	_, missing := os.Stat(filepath.Join(path, JournalFile))
	journal, err := disk.OpenFile(filepath.Join(path, JournalFile), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644,
		disk.MaxList)
	if err != nil {
		return nil, nil, disk.Problem("open the journal", path, err)
	}
	d := &Dir{path: path, journal: journal, made: map[RunKey]Entry{}}
	if err := d.reconcile(missing != nil); err != nil {
		return nil, nil, errors.Join(err, disk.CloseFolder(journal))
	}
	return d, maps.Clone(d.made), nil
}

// Repairs returns what was repaired or could not be checked when the folder was reopened.
func (d *Dir) Repairs() note.List { return d.repairs }

// load locks the own journal and reads what all journals and the finished runs have.
func (d *Dir) load(noJournal bool) error {
	if err := disk.LockFolder(d.journal); err != nil {
		return err
	}
	if err := d.cutTorn(); err != nil {
		return err
	}
	entries, err := ReadJournal(d.path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		d.made[RunKey{e.ID, e.Cycle}] = e
	}
	return d.enterFinished(noJournal)
}

func (d *Dir) reconcile(noJournal bool) error {
	if err := d.load(noJournal); err != nil {
		return err
	}
	if err := d.sweep(); err != nil {
		return err
	}
	// The summary is from an earlier part. It is rebuilt at the end of this part, or from the runs.
	if err := os.Remove(filepath.Join(d.path, result.SummaryFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return disk.Problem("remove the summary of the previous part", d.path, err)
	}
	return nil
}

// temporary matches the temporary names of files in the folder.
var temporary = regexp.MustCompile(`^\.[a-z0-9-]+\.(json|yaml|sha256)-([0-9]+|[A-Z2-7]{10})$`)

// sweep removes the unfinished files of a killed process: no other process writes here.
func (d *Dir) sweep() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return disk.Problem("read the study's folder", d.path, err)
	}
	partial, err := filepath.Glob(filepath.Join(d.path, result.RunsDir, "*"+Partial))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Type().IsRegular() && temporary.MatchString(e.Name()) {
			partial = append(partial, filepath.Join(d.path, e.Name()))
		}
	}
	for _, path := range partial {
		if err := os.RemoveAll(path); err != nil {
			return disk.Problem("remove the files of a killed process", path, err)
		}
	}
	return nil
}

// enterFinished compares the folders with the journal. A run is renamed into place before its line is
// written, so the line may be missing; a folder may be missing although its line exists, if a crash happened
// between the two renames of a repeated run. Only records are decoded whose latest try the journal may lack,
// or that nothing else verifies.
func (d *Dir) enterFinished(noJournal bool) error {
	there, again, err := runFolders(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		d.gone(slices.Collect(maps.Keys(d.made)), nil)
		return disk.Problem("make the runs folder", d.path, os.Mkdir(filepath.Join(d.path, result.RunsDir), 0o755))
	}
	if err != nil {
		return err
	}
	if noJournal && len(there) > 0 {
		d.repairs.Warnf(codes.JournalGone, "%s was missing: it was rebuilt from the records of %d runs",
			JournalFile,
			len(there))
	}
	keys := sortedKeys(there)
	var lost []RunKey
	looks := d.lookAtAll(keys, again)
	var problems []Problem
	unchecked := 0
	for _, l := range looks {
		problems = append(problems, l.problems...)
		if l.unchecked {
			unchecked++
		}
	}
	if err := damaged(d.path, problems); err != nil {
		return err
	}
	entered := 0
	for i, key := range keys {
		switch l := looks[i]; {
		case l.gone:
			lost = append(lost, key)
		case l.rec != nil:
			d.made[key] = entryOf(l.rec, l.manifest)
			if l.enter && (d.worker == "" || d.worker == l.rec.Worker) { // a worker enters its own
				entered++
				if err := d.appendJournal(l.rec, l.manifest); err != nil {
					return err
				}
			}
		}
	}
	if entered > 1 && !noJournal { // a crash loses one
		d.repairs.Warnf(codes.JournalGone, "%s lacked the lines of %d runs: they were rebuilt from their records",
			JournalFile, entered)
	}
	if unchecked > 0 {
		d.repairs.Warnf(codes.FilesUnchecked,
			"%d runs were stored by an earlier version, without %s: changes of their "+
				"files cannot be detected", unchecked, ManifestFile)
	}
	for key := range d.made {
		if !there[key] {
			lost = append(lost, key)
		}
	}
	d.gone(lost, again)
	return nil
}

// gone removes runs whose folders or records are missing, so that they are repeated. For a run that was being
// repeated, a crash explains it; for any other, somebody deleted it.
func (d *Dir) gone(lost []RunKey, again map[RunKey]bool) {
	var names []string
	for _, key := range lost {
		if _, entered := d.made[key]; entered && !again[key] {
			names = append(names, result.RunPath(key.ID, key.Cycle))
		}
		delete(d.made, key)
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	more := ""
	if len(names) > mostNamed {
		more = fmt.Sprintf(" and %d more", len(names)-mostNamed)
		names = names[:mostNamed]
	}
	d.repairs.Warnf(codes.RunGone, "%s lists runs that are missing and will be repeated: %s%s", JournalFile,
		strings.Join(names, ", "), more)
}

// look is the state of a run.
type look struct {
	problems []Problem
	// gone reports whether there is no record, unchecked whether there is no manifest.
	gone, unchecked bool
	// rec is the record, if it must replace the line; enter reports whether the journal lacks it.
	rec      *result.Record
	enter    bool
	manifest string
}

// lookAtAll checks runs, several at a time: a large study has 100,000.
func (d *Dir) lookAtAll(keys []RunKey, again map[RunKey]bool) []look {
	out := make([]look, len(keys))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(keys); i = int(next.Add(1)) - 1 {
				out[i] = d.lookAtRun(keys[i], again[keys[i]])
			}
		})
	}
	workers.Wait()
	return out
}

func (d *Dir) lookAtRun(key RunKey, again bool) (l look) {
	e, entered := d.made[key]
	name := result.RunPath(key.ID, key.Cycle)
	run := foundRun{Entry: Entry{Row: e.Row, Run: name, Manifest: e.Manifest}, believed: entered && !again}
	if _, err := os.Stat(filepath.Join(d.path, filepath.FromSlash(name), result.RecordFile)); err != nil {
		l.gone = true
		return l
	}
	if l.problems, l.unchecked = run.verify(d.path); len(l.problems) > 0 {
		return l
	}
	if run.believed && e.Manifest != "" {
		return l
	}
	rec, err := result.ReadRun(d.path, key.ID, key.Cycle)
	switch {
	case err != nil || rec.ID != key.ID || rec.Cycle != key.Cycle:
		l.gone = true
		return l
	case run.believed && !e.sameNumbers(RowOf(rec)):
		l.problems = append(l.problems, Problem{JournalFile, "does not match the numbers of " + name + "/" +
			result.RecordFile, journalNext(d.path)})
	}
	l.rec = rec
	l.enter = !entered || e.Status != rec.Status || again && !e.sameNumbers(RowOf(rec))
	if m, err := readManifest(filepath.Join(d.path, filepath.FromSlash(name))); err == nil {
		l.manifest = m.sum
	}
	return l
}

// Check reports files that were removed or changed while the study ran: its journal, or a finished run.
func (d *Dir) Check() error {
	var problems []Problem
	now, err := os.Stat(d.journal.Name())
	own, ownErr := d.journal.Stat()
	entries, readErr := ReadJournal(d.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		problems = append(problems, Problem{JournalFile, "was deleted while the study ran", resumeNext(d.path)})
	case err != nil || ownErr != nil || !os.SameFile(now, own):
		problems = append(problems, Problem{JournalFile, "was replaced while the study ran", resumeNext(d.path)})
	case readErr != nil:
		return readErr
	default:
		lines := make(map[RunKey]bool, len(entries))
		for _, e := range entries {
			lines[RunKey{e.ID, e.Cycle}] = true
		}
		for key := range d.made {
			if !lines[key] {
				problems = append(problems,
					Problem{JournalFile, "has lost the line of " + result.RunPath(key.ID, key.Cycle),
						resumeNext(d.path)})
			}
		}
	}
	for key := range d.made {
		name := result.RunPath(key.ID, key.Cycle)
		if _, err := os.Stat(filepath.Join(d.path, filepath.FromSlash(name), result.RecordFile)); err != nil {
			problems = append(problems, Problem{name, "was finished but is missing", resumeNext(d.path)})
		}
	}
	slices.SortFunc(problems, func(a,
		b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.What, b.What))
	})
	return damaged(d.path, problems)
}

// resumeNext restores what can be restored and repeats the rest.
func resumeNext(dir string) string {
	return "complete the study: llem run --resume=" + shell.Path(dir)
}

// sortedKeys orders runs by id and cycle.
func sortedKeys(keys map[RunKey]bool) []RunKey {
	return slices.SortedFunc(maps.Keys(keys), func(a, b RunKey) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Cycle, b.Cycle))
	})
}

// KeyOf reads the name of a finished run's folder: ID-cCYCLE.
func KeyOf(name string) (RunKey, bool) {
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
