// Package named finds what users name on a command line: a study by its folder, a run by its folder or as DIR:ID-c2,
// and a configuration with its runs as DIR:ID. Mistakes are explained with the names that there are.
package named

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/foreign"
	"github.com/llenergymeasure/llem/internal/running"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// Mistake is a name of nothing, with the next step.
type Mistake struct{ What, Next string }

// Error returns what is wrong.
func (e *Mistake) Error() string { return e.What }

// NextStep returns what to name instead.
func (e *Mistake) NextStep() string { return e.Next }

// IsUsage marks a mistake of the command line.
func (e *Mistake) IsUsage() {}

// Study reads a study's results. It rebuilds the results of a killed study from its finished runs and tells that,
// in whole sentences. For a damaged folder it returns both a result and an error.
func Study(dir string, tell func(string)) (*result.StudyResult, error) {
	if foreign.IsImported(dir) {
		return nil, &Mistake{dir + " holds numbers that llem did not measure: it is not a study",
			"`llem report " + shell.Path(dir) + "` prints them, and llem compare sets them beside a configuration"}
	}
	_, missing := os.Stat(filepath.Join(dir, result.SummaryFile))
	found, err := store.Open(dir)
	_, damaged := errors.AsType[*store.DamageError](err)
	switch {
	case found == nil && damaged:
		return nil, err
	case found == nil && missing == nil:
		return nil, &damagedError{err, filepath.Join(dir, result.SummaryFile)}
	case found == nil && disk.NoFolder(dir) != "":
		return nil, &Mistake{disk.NoFolder(dir), folderOfRun}
	case found == nil:
		return nil, &Mistake{err.Error(), nextOf(err)}
	}
	now := ""
	if !found.Complete {
		now = running.Now(dir)
	}
	switch {
	case now != "":
		tell(fmt.Sprintf("%s: these are the %d of %d runs that have finished so far", now, len(found.Rows),
			found.Planned))
	case found.Rebuilt:
		tell(fmt.Sprintf("%s is missing (the study still runs or was killed): rebuilt from %d of %d runs in %s",
			result.SummaryFile, len(found.Rows), found.Planned, result.RunsDir))
	}
	if found.Unchecked > 0 {
		tell(Unchecked(found.Unchecked))
	}
	return found.StudyResult, err
}

// Unchecked is the sentence about n runs without checksums.
func Unchecked(n int) string {
	return fmt.Sprintf("%s of an earlier version cannot be checked for changed files: no %s", digits.Count(n, "run"),
		store.ManifestFile)
}

// folderOfRun is the next step of those who named another folder.
const folderOfRun = "give the folder that `llem run` printed"

// nextOf returns the next step that an error carries, or the usual one.
func nextOf(err error) string {
	if e, ok := errors.AsType[interface {
		error
		NextStep() string
	}](err); ok && e.NextStep() != "" {
		return e.NextStep()
	}
	return folderOfRun
}

// damagedError reports that a summary cannot be read; it can be rebuilt from the runs.
type damagedError struct {
	err  error
	path string
}

// Error returns the cause.
func (e *damagedError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *damagedError) Unwrap() error { return e.err }

// NextStep returns how to continue without the summary.
func (e *damagedError) NextStep() string {
	return "delete " + e.path + ": the report is then built from the runs"
}

// Split returns the folder and the id of FOLDER:ID; a folder that exists has no id.
func Split(arg string) (dir, id string) {
	if _, err := os.Stat(arg); err != nil {
		if i := strings.LastIndexByte(arg, ':'); i >= 0 {
			return arg[:i], arg[i+1:]
		}
	}
	return arg, ""
}
