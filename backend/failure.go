package backend

import (
	"errors"

	"github.com/llenergymeasure/llem/note"
)

// Failf returns a failure with a formatted message.
func Failf(class note.Class, next, format string, args ...any) *note.Failure {
	return note.Failf(class, next, format, args...)
}

// AsFailure finds the failure in err, or wraps err as an engine error.
func AsFailure(err error) *note.Failure {
	if f, ok := errors.AsType[*note.Failure](err); ok {
		return f
	}
	return &note.Failure{Class: note.ClassEngine, Message: err.Error()}
}
