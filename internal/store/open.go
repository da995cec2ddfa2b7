package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/llenergymeasure/llem/result"
)

// Opened is the result of a study as it was found.
type Opened struct {
	*result.StudyResult
	// Rebuilt reports that there was no summary, so that the result was made from the runs.
	Rebuilt bool
	// Unchecked is how many runs were stored by an earlier version, without a manifest.
	Unchecked int
}

// Open reads the result of a study from its folder, and compares what it uses with the runs: their lines in
// the journal, and for a study of up to 200 runs their records with their sums. With a [*DamageError] there is a
// result, too, as far as it can be read.
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
	// What is there says what is wrong.
	if info, statErr := os.Stat(dir); statErr != nil || !info.IsDir() {
		return nil, fmt.Errorf("%w: there is no folder %s", err, dir)
	}
	rebuilt, rebuildErr := rebuild(dir)
	if rebuilt != nil {
		return rebuilt, rebuildErr
	}
	if _, bad := errors.AsType[*DamageError](rebuildErr); bad {
		return nil, rebuildErr
	}
	if _, statErr := os.Stat(filepath.Join(dir, JournalFile)); statErr == nil {
		return nil, fmt.Errorf("%w: the study is still running or was killed; finished runs lie in %s, which make no "+
			"summary: %w", err, filepath.Join(dir, result.RunsDir), rebuildErr)
	}
	if inside, _ := filepath.Glob(filepath.Join(dir, "*", result.SummaryFile)); len(inside) > 0 {
		return nil, fmt.Errorf("%w: this folder holds studies; give one of them, such as %s", err,
			filepath.Dir(inside[len(inside)-1]))
	}
	return nil, fmt.Errorf("%w: this is not the folder of a study", err)
}

// fresh makes the result of a study again whose means hold what is not comparable (see [result.StudyResult.Stale]);
// the means of the runs themselves do not.
func fresh(dir string, s *result.StudyResult) (*Opened, error) {
	rebuilt, err := rebuild(dir)
	if rebuilt == nil {
		return nil, fmt.Errorf(
			"the summary of %s was made by an earlier llem, whose means hold runs that did other work than they "+
				"were asked for, or response times as times to the first token, and it "+
				"cannot be made again from %s: %w", dir, filepath.Join(dir, result.RunsDir), err)
	}
	rebuilt.Finished, rebuilt.Ended, rebuilt.Rebuilt = s.Finished, s.Ended, false
	return rebuilt, err
}

// errNoRun: nothing has finished.
var errNoRun = errors.New("no run has finished")

// rebuild makes the result of a study that was killed before its summary was
// written, from its finished runs.
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

// noJournal is a folder with runs and without a journal.
func noJournal(dir string) Problem {
	return Problem{JournalFile, "is missing, and runs are there",
		"`llem run --resume=" + dir + "` writes it again from " +
			"the runs"}
}
