package llem

import (
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// Open reads the result of a study from its folder. The result of a study that is still running or was killed
// is built from its finished runs. Open compares the files with their recorded checksums: for a damaged
// folder it returns an error that names the files, and as much of the result as can be read.
func Open(dir string) (*result.StudyResult, error) {
	opened, err := store.Open(dir)
	if opened == nil {
		return nil, err
	}
	return opened.StudyResult, err
}
