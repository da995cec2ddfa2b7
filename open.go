package llem

import (
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// Open reads the result of a study from its folder; that of one that still runs, or was killed, is made from the
// runs that have finished. What it reads is compared with what was written: of a folder that is damaged it returns
// an error that names the files, and the result as far as it can be read.
func Open(dir string) (*result.StudyResult, error) {
	opened, err := store.Open(dir)
	if opened == nil {
		return nil, err
	}
	return opened.StudyResult, err
}
