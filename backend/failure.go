package backend

import (
	"errors"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// AsFailure finds the failure in err, or wraps err as an engine error.
func AsFailure(err error) *note.Failure {
	if f, ok := errors.AsType[*note.Failure](err); ok {
		return f
	}
	return &note.Failure{Class: codes.ClassEngine, Message: err.Error()}
}
