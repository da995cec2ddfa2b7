// Package fault is the failure that a user can act on: its class, what went
// wrong, and what to do next. Everything between the name of a model and the
// file that an engine opens fails with an [*Error].
package fault

import (
	"errors"
	"fmt"
)

// The failure classes of an [Error]. They are the same
// words as in result.json's failure.class.
const (
	NotFound         = "model_not_found"
	Gated            = "gated_auth"
	Offline          = "offline"
	UnsupportedModel = "unsupported_model"
	UnsupportedDType = "unsupported_dtype_quant"
	DiskFull         = "disk_full"
	Corrupt          = "corrupt_model"
	Permission       = "permission_denied"
	Interrupted      = "interrupted"
	DownloadFailed   = "download_failed"
	WriteFailed      = "write_failed"
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

// New builds an [Error]; a nil cause is allowed.
func New(class string, cause error, hint, format string, args ...any) *Error {
	return &Error{Class: class, Msg: fmt.Sprintf(format, args...), Hint: hint, Err: cause}
}
