package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/running"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/studies"
	"github.com/llenergymeasure/llem/result"
)

// Opened is the result of a study as read from its folder.
type Opened struct {
	*result.StudyResult
	// Rebuilt reports whether the result was built from the runs, because there is no summary.
	Rebuilt bool
	// Unchecked is the number of runs of an earlier version, without a manifest.
	Unchecked int
}

// Open reads the result of a study from its folder, and compares it with the runs: their lines in the
// journal, and, for a study of up to 200 runs, their records with their checksums. With a [*DamageError], it
// also returns as much of the result as can be read.
func Open(dir string) (*Opened, error) {
	s, err := result.ReadStudy(dir)
	switch {
	case err == nil && s.Stale():
		return fresh(dir, s)
	case err == nil:
		return audited(dir, s)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	// The content of the folder explains the problem.
	if why := disk.NoFolder(dir); why != "" {
		return nil, fmt.Errorf("%w: %s", err, why)
	}
	rebuilt, rebuildErr := rebuild(dir)
	if rebuilt != nil {
		return rebuilt, rebuildErr
	}
	if _, bad := errors.AsType[*DamageError](rebuildErr); bad {
		return nil, rebuildErr
	}
	_, statErr := os.Stat(filepath.Join(dir, JournalFile))
	inside := studies.Inside(dir)
	why, next := "it is not the folder of a study", "give the folder that `llem run` printed"
	now := running.Now(dir)
	switch {
	case now != "":
		why, next = now+": "+rebuildErr.Error(), "wait until a run has finished, or watch it: `llem serve "+
			shell.Path(dir)+"`"
	case statErr == nil:
		why = "the study is still running or was killed, and gives no summary: " + rebuildErr.Error()
		next = "wait for it, or continue it: `llem run --resume=" + shell.Path(dir) + "`"
	case len(inside) > 0:
		why, next = "it holds studies", "give one of them, such as "+shell.Path(inside[0])
	}
	return nil, &disk.PathError{Msg: dir + " has no " + result.SummaryFile + ": " + why, Next: next, Err: err}
}

// fresh rebuilds a result whose means include runs that are not comparable (see [result.StudyResult.Stale]).
func fresh(dir string, s *result.StudyResult) (*Opened, error) {
	rebuilt, err := rebuild(dir)
	if rebuilt == nil {
		return nil, fmt.Errorf(
			"the summary of %s is from an earlier version of llem, whose means include runs that did other work than "+
				"requested, or response times as times to the first token, and it "+
				"cannot be rebuilt from %s: %w", dir, filepath.Join(dir, result.RunsDir), err)
	}
	rebuilt.Finished, rebuilt.Ended, rebuilt.Rebuilt = s.Finished, s.Ended, false
	return rebuilt, err
}

// errNoRun: no run has finished.
var errNoRun = errors.New("no run has finished")

// rebuild builds the result of a study that was killed before its summary was written, from its finished
// runs.
func rebuild(dir string) (*Opened, error) {
	s, problems, err := plan(dir)
	if err != nil {
		return nil, err
	}
	r, err := Summarize(dir, s, time.Now())
	damage, bad := errors.AsType[*DamageError](err)
	switch {
	case bad:
		problems = append(problems, damage.Problems...)
	case err != nil:
		return nil, err
	}
	if r == nil || len(r.Rows) == 0 {
		return nil, errors.Join(errNoRun, damaged(dir, problems))
	}
	f, err := lookAt(dir)
	if err != nil {
		return nil, err
	}
	if f.noJournal {
		problems = append(problems, noJournal(dir))
	}
	problems = append(problems, verifySums(dir, true)...)
	return &Opened{r, true, f.unchecked}, damaged(dir, problems)
}

// noJournal is the problem of a folder with runs but without a journal.
func noJournal(dir string) Problem {
	return Problem{JournalFile, "is missing, although there are runs",
		"`llem run --resume=" + shell.Path(dir) + "` rebuilds it from the runs"}
}
