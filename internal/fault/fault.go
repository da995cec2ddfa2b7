// Package fault is the failure between the name of a model and the file that an engine opens: a
// [note.Failure] whose text has the next step, for it is often part of another message.
package fault

import (
	"errors"
	"fmt"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Error is a failure to find, read or write a model.
type Error struct{ note.Failure }

// Error returns message, cause and next step in one line.
func (e *Error) Error() string {
	s := e.Failure.Error()
	if e.Next != "" {
		s += " (" + e.Next + ")"
	}
	return s
}

// Class returns the failure class of err, or "" when err carries none.
func Class(err error) note.Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	if e, ok := errors.AsType[*note.Failure](err); ok {
		return e.Class
	}
	return ""
}

// New builds an [Error]; a nil cause is allowed.
func New(class note.Class, cause error, next, format string, args ...any) *Error {
	return &Error{note.Failure{Class: class, Message: fmt.Sprintf(format, args...), Next: next, Err: cause}}
}

// As finds the failure in err, or wraps err as one of an engine.
func As(err error) *note.Failure {
	if f, ok := errors.AsType[*note.Failure](err); ok {
		return f
	}
	return &note.Failure{Class: codes.ClassEngine, Message: err.Error()}
}
