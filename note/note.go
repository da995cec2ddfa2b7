// Package note defines the two ways in which llem reports problems: a [Note] is a doubt about a number, a
// machine or a study; a [Failure] is the reason why something was not done. Both have a message for the user
// and a next step. Programs tell them apart by their [Code] or [Class], listed in docs/codes.md.
//
// Other packages embed a Note or a Failure and add a field: a position in a file, a device, a sensor, a test.
// The JSON object then has the keys of both.
//
// The verb for raising a doubt is warn: [List.Warn].
package note

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Code is the kind of a note. Codes are part of the result format: scripts select on them, so they never
// change.
type Code string

// Note is a doubt, or a fact that readers of a result or a plan should know.
type Note struct {
	// Code is one of the codes in docs/codes.md.
	Code Code `json:"code"`
	// Message is one sentence that includes the relevant values.
	Message string `json:"message"`
	// Next is the next step for the user; empty if there is nothing to do.
	Next string `json:"next,omitempty"`
}

// List has notes in the order in which they were raised.
type List []Note

// Warn raises a doubt.
func (l *List) Warn(code Code, message string) { *l = append(*l, Note{Code: code, Message: message}) }

// Warnf raises a doubt with a formatted message.
func (l *List) Warnf(code Code, format string, args ...any) {
	l.Warn(code, fmt.Sprintf(format, args...))
}

// Messages returns the messages of the notes.
func (l List) Messages() []string {
	var out []string
	for _, n := range l {
		out = append(out, n.Message)
	}
	return out
}

// Codes returns the distinct codes of the notes, in the order of the list.
func (l List) Codes() []Code {
	var out []Code
	for _, n := range l {
		if !slices.Contains(out, n.Code) {
			out = append(out, n.Code)
		}
	}
	return out
}

// Find returns the first note with a code.
func (l List) Find(code Code) (Note, bool) {
	if i := slices.IndexFunc(l, func(n Note) bool { return n.Code == code }); i >= 0 {
		return l[i], true
	}
	return Note{}, false
}

// earlier has the keys that earlier versions wrote instead of message and next.
type earlier struct {
	Reason string `json:"reason"`
	Text   string `json:"text"`
	Hint   string `json:"hint"`
	Fix    string `json:"fix"`
}

// ReadEarlier fills an empty message or next step from the keys of earlier versions in the same JSON object:
// reason or text for the message, hint or fix for the next step. Types that embed a Note and had these keys
// call it in UnmarshalJSON.
func (n *Note) ReadEarlier(object []byte) error {
	var old earlier
	if n.Message != "" && n.Next != "" {
		return nil
	}
	if err := json.Unmarshal(object, &old); err != nil {
		return err
	}
	n.Message, n.Next = or(n.Message, old.Reason, old.Text), or(n.Next, old.Hint, old.Fix)
	return nil
}

// or returns the first non-empty text.
func or(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}
