package note

import (
	"encoding/json"
	"fmt"
)

// Class is the kind of a failure. Classes are part of the format of results: scripts select on
// them, and they do not change.
type Class string

// Failure is why something was not done: a run that has no result, an engine that cannot be
// started, a model that cannot be read. As an error it has a cause; in JSON the message of a
// failure is whole (see [Failure.Whole]) and there is no cause.
type Failure struct {
	// Class tells kinds of failures apart; one of those in docs/codes.md.
	Class Class `json:"class"`
	// Message is what happened, to what.
	Message string `json:"message"`
	// Next is what to do about it.
	Next string `json:"next"`
	// LogTail is the last lines of the engine's log, where there is one.
	LogTail string `json:"log_tail"`
	// Err is the cause, if there is one worth unwrapping.
	Err error `json:"-"`
}

// Failf returns a failure with a formatted message.
func Failf(class Class, next, format string, args ...any) *Failure {
	return &Failure{Class: class, Next: next, Message: fmt.Sprintf(format, args...)}
}

// Error joins message and cause. The next step is shown apart.
func (f *Failure) Error() string {
	if f.Err != nil {
		return f.Message + ": " + f.Err.Error()
	}
	return f.Message
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// NextStep returns what to do about the failure. Errors of other types have this method, too, so
// that whoever prints an error can print the next step beside it.
func (f *Failure) NextStep() string { return f.Next }

// Whole returns the failure as it is written: the cause is part of the message.
func (f *Failure) Whole() *Failure {
	return &Failure{Class: f.Class, Message: f.Error(), Next: f.Next, LogTail: f.LogTail}
}

// UnmarshalJSON reads a failure, also one that an earlier version wrote with the key hint.
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
