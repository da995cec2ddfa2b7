package backend

import (
	"errors"

	"github.com/llenergymeasure/llem/note"
)

// Class and Failure are those of package note.
type (
	Class   = note.Class
	Failure = note.Failure
)

// Failure classes of engines.
const (
	ClassOOMGPU           = note.ClassOOMGPU
	ClassOOMHost          = note.ClassOOMHost
	ClassKVTooSmall       = note.ClassKVTooSmall
	ClassModelNotFound    = note.ClassModelNotFound
	ClassGated            = note.ClassGated
	ClassOffline          = note.ClassOffline
	ClassUnsupportedModel = note.ClassUnsupportedModel
	ClassUnsupportedDType = note.ClassUnsupportedDType
	ClassVersion          = note.ClassVersion
	ClassNoDevice         = note.ClassNoDevice
	ClassIllegal          = note.ClassIllegal
	ClassPortInUse        = note.ClassPortInUse
	ClassNCCL             = note.ClassNCCL
	ClassGraphCompile     = note.ClassGraphCompile
	ClassStartTimeout     = note.ClassStartTimeout
	ClassNotInstalled     = note.ClassNotInstalled
	ClassImage            = note.ClassImage
	ClassCorruptModel     = note.ClassCorruptModel
	ClassDiskFull         = note.ClassDiskFull
	ClassProtocol         = note.ClassProtocol
	ClassCrashed          = note.ClassCrashed
	ClassHung             = note.ClassHung
	ClassEngine           = note.ClassEngine
	ClassClock            = note.ClassClock
	ClassConfig           = note.ClassConfig
	ClassInterrupted      = note.ClassInterrupted
	ClassTimeout          = note.ClassTimeout
)

// Failf returns a failure with a formatted message.
func Failf(class Class, next, format string, args ...any) *Failure {
	return note.Failf(class, next, format, args...)
}

// AsFailure finds the failure in err, or wraps err as an engine error.
func AsFailure(err error) *Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	return &Failure{Class: ClassEngine, Message: err.Error()}
}
