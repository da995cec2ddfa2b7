package llem

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/llenergymeasure/llem/internal/campaign"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// Open reads the result of a study from its folder.
func Open(dir string) (*result.StudyResult, error) {
	s, err := result.ReadStudy(dir)
	if err == nil && s.Stale() {
		// Its means hold runs that are not comparable; those of the runs themselves do not.
		if rebuilt, rebuildErr := rebuild(dir); rebuildErr == nil {
			rebuilt.Finished, rebuilt.Ended = s.Finished, s.Ended
			return rebuilt, nil
		}
		return nil, fmt.Errorf(
			"the summary of %s was made by an earlier llem, whose means hold runs that did other work than they "+
				"were asked for, and it cannot be made again from %s", dir, filepath.Join(dir, result.RunsDir))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	// What is there says what is wrong.
	if info, statErr := os.Stat(dir); statErr != nil || !info.IsDir() {
		return nil, fmt.Errorf("%w: there is no folder %s", err, dir)
	}
	if rebuilt, rebuildErr := rebuild(dir); rebuildErr == nil {
		return rebuilt, nil
	}
	if _, statErr := os.Stat(filepath.Join(dir, store.JournalFile)); statErr == nil {
		return nil, fmt.Errorf("%w: the study is still running or was killed; finished runs lie in %s", err,
			filepath.Join(dir, result.RunsDir))
	}
	if inside, _ := filepath.Glob(filepath.Join(dir, "*", result.SummaryFile)); len(inside) > 0 {
		return nil, fmt.Errorf("%w: this folder holds studies; give one of them, such as %s", err,
			filepath.Dir(inside[len(inside)-1]))
	}
	return nil, fmt.Errorf("%w: this is not the folder of a study", err)
}

// rebuild makes the result of a study that was killed before its summary was
// written, from its finished runs.
func rebuild(dir string) (*result.StudyResult, error) {
	path := filepath.Join(dir, store.StudyFile)
	s, err := study.ReadFrozen(path)
	if err != nil { // of another version, perhaps: its plan does
		s, err = campaign.ReadPlan(path)
	}
	if err != nil {
		return nil, err
	}
	r, err := store.Summarize(dir, s, time.Now())
	if err == nil && len(r.Rows) == 0 {
		return nil, errors.New("no run has finished")
	}
	return r, err
}
