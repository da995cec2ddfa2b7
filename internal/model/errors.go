package model

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// The failure classes that this package gives to an [Error]. They are the same
// words as in result.json's failure.class.
const (
	ClassNotFound         = "model_not_found"
	ClassGated            = "gated_auth"
	ClassOffline          = "offline"
	ClassUnsupportedModel = "unsupported_model"
	ClassUnsupportedDType = "unsupported_dtype_quant"
	ClassDiskFull         = "disk_full"
	ClassCorrupt          = "corrupt_model"
	ClassPermission       = "permission_denied"
	ClassInterrupted      = "interrupted"
	ClassDownloadFailed   = "download_failed"
	ClassWriteFailed      = "write_failed"
)

// Error is a failure that a user can act on: what kind it is, what went wrong,
// and what to do next.
type Error struct {
	Class string // one of the Class constants
	Msg   string // what was being done, with what, and what happened
	Hint  string // what to do next; may be empty
	Err   error  // the cause; may be nil
}

// Error returns message, cause and hint in one line.
func (e *Error) Error() string {
	s := e.Msg
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Class returns the failure class of err, or "" when err carries none.
func Class(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return ""
}

// fail builds an [Error]; a nil cause is allowed.
func fail(class string, cause error, hint, format string, args ...any) *Error {
	return &Error{Class: class, Msg: fmt.Sprintf(format, args...), Hint: hint, Err: cause}
}

// writeError classifies a failure to write want bytes to path. An error that
// already has a class keeps it.
func writeError(path string, want int64, err error) error {
	var known *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fail(ClassInterrupted, err, "run it again to continue", "writing %s was interrupted", path)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fail(ClassDiskFull, err,
			"free that much space, or point LLEM_CACHE (HF_HOME for downloads) at a larger disk",
			"no space left to write %s, which needs %s", path, sizeText(want))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fail(ClassPermission, err,
			"point LLEM_CACHE (HF_HOME for downloads) at a folder you may write to", "cannot write %s", path)
	}
	return fail(ClassWriteFailed, err, "check the disk, or set LLEM_CACHE to another folder", "cannot write %s", path)
}

// sizeText prints a byte count with a decimal unit.
func sizeText(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n)/unit, 0
	for ; v >= unit && i < 4; i++ {
		v /= unit
	}
	return fmt.Sprintf("%.1f %cB", v, "kMGTP"[i])
}
