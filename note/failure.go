package note

import (
	"encoding/json"
	"fmt"
)

// Class is the kind of a failure. Classes are part of the result format: scripts select on them, so they
// never change.
type Class string

// Failure is the reason why something was not done: a run without a result, an engine that did not start, a
// model that could not be read. As an error it has a cause. In JSON there is no cause, and the message is
// complete (see [Failure.Whole]).
type Failure struct {
	// Class is one of the classes in docs/codes.md.
	Class Class `json:"class"`
	// Message describes what failed.
	Message string `json:"message"`
	// Next is the next step for the user.
	Next string `json:"next"`
	// LogTail has the last lines of the engine's log, if there is one.
	LogTail string `json:"log_tail"`
	// Err is the cause, if it is worth unwrapping.
	Err error `json:"-"`
}

// Failf returns a failure with a formatted message.
func Failf(class Class, next, format string, args ...any) *Failure {
	return &Failure{Class: class, Next: next, Message: fmt.Sprintf(format, args...)}
}

// Error returns the message and the cause. The next step is printed separately.
func (f *Failure) Error() string {
	if f.Err != nil {
		return f.Message + ": " + f.Err.Error()
	}
	return f.Message
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// NextStep returns the next step for the user. Other error types have this method too, so that code that
// prints an error can print the next step.
func (f *Failure) NextStep() string { return f.Next }

// Whole returns the failure as it is stored, with the cause in the message.
func (f *Failure) Whole() *Failure {
	return &Failure{Class: f.Class, Message: f.Error(), Next: f.Next, LogTail: f.LogTail}
}

// UnmarshalJSON also accepts failures of earlier versions, which have the key hint.
func (f *Failure) UnmarshalJSON(text []byte) error {
	type plain Failure
	if err := json.Unmarshal(text, (*plain)(f)); err != nil {
		return err
	}
	n := Note{Message: f.Message, Next: f.Next}
	if err := n.ReadEarlier(text); err != nil {
		return err
	}
	f.Next = n.Next
	return nil
}
