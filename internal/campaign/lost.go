package campaign

import (
	"errors"
	"syscall"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/note"
)

// vanished returns a failure if the folder of the study is no longer there: it was removed or renamed, or its disk is
// not mounted.
func (f *folder) vanished() error {
	if IsStudy(f.path()) {
		return nil
	}
	return note.Failf(codes.ClassWriteFailed,
		"bring the folder back, then continue: "+f.again()+"; runs in it that had "+
			"finished count", "the folder of the study has vanished, or cannot be read: %s", f.path())
}

// again is the command with which a worker continues.
func (f *folder) again() string { return "llem run --worker --resume=" + shell.Path(f.path()) }

// explain classifies the error with which a worker ends: its disk is full, or its folder has vanished.
func (f *folder) explain(err error) error {
	if err == nil {
		return nil
	}
	if gone := f.vanished(); gone != nil {
		return gone
	}
	full, ok := errors.AsType[*disk.FileError](err)
	if !ok || !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return err
	}
	return &note.Failure{Class: codes.ClassDiskFull,
		Message: "the disk of the study is full, so this worker leaves its " +
			"run to others", Next: "free some space, then continue: " + f.again(), Err: full}
}
