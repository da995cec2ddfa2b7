package backend

import (
	"errors"
	"fmt"
)

// Class is the kind of a failure. Classes are part of the result format: scripts
// select on them.
type Class string

// Failure classes.
const (
	ClassOOMGPU           Class = "oom_gpu"
	ClassOOMHost          Class = "oom_host"
	ClassKVTooSmall       Class = "kv_too_small"
	ClassModelNotFound    Class = "model_not_found"
	ClassGated            Class = "gated_auth"
	ClassOffline          Class = "offline"
	ClassUnsupportedModel Class = "unsupported_model"
	ClassUnsupportedDType Class = "unsupported_dtype_quant"
	ClassVersion          Class = "version_mismatch"
	ClassNoDevice         Class = "no_device"
	ClassIllegal          Class = "illegal_instruction"
	ClassPortInUse        Class = "port_in_use"
	ClassNCCL             Class = "nccl"
	ClassGraphCompile     Class = "graph_compile"
	ClassStartTimeout     Class = "start_timeout"
	ClassNotInstalled     Class = "not_installed"
	ClassImage            Class = "image_not_found"
	ClassCorruptModel     Class = "corrupt_model"
	ClassDiskFull         Class = "disk_full"
	ClassProtocol         Class = "protocol"
	ClassCrashed          Class = "crashed"
	ClassHung             Class = "hung"
	ClassEngine           Class = "engine_error"
	ClassClock            Class = "clock_mismatch"
	ClassConfig           Class = "config"
	ClassInterrupted      Class = "interrupted"
	ClassTimeout          Class = "timeout"
)

// Failure is an error that a user can act on.
type Failure struct {
	Class   Class
	Message string // what happened, to what
	Hint    string // what to do next
	LogTail string // the last lines of the engine's log
	Err     error  // the cause, if there is one worth unwrapping
}

// Error joins message and cause. The hint is shown apart.
func (f *Failure) Error() string {
	if f.Err != nil {
		return f.Message + ": " + f.Err.Error()
	}
	return f.Message
}

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Failf makes a failure with a formatted message.
func Failf(class Class, hint, format string, args ...any) *Failure {
	return &Failure{Class: class, Hint: hint, Message: fmt.Sprintf(format, args...)}
}

// AsFailure finds the failure in err, or wraps err as an engine error.
func AsFailure(err error) *Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	return &Failure{Class: ClassEngine, Message: err.Error(), Err: nil}
}
