// Package note holds the two ways in which llem tells a user that something is not as it should
// be: a [Note] is a doubt about a number, a machine or a study, and a [Failure] is the reason
// why something was not done. Both have a message and the next step, and are told apart by
// programs by a [Code] or a [Class], which docs/codes.md explains.
//
// Other packages embed a Note or a Failure where they add one thing to it: a position in a file,
// a device, a sensor, a test. The JSON keys are then those of the note and of what was added.
//
// The word for raising a doubt is warn: [List.Warn].
package note

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Code tells one kind of note from another. Codes are part of the format of results: scripts
// select on them, and they do not change.
type Code string

// Note is one doubt, or one fact that a reader of a result or a plan should know.
type Note struct {
	// Code tells kinds of notes apart; one of those in docs/codes.md.
	Code Code `json:"code"`
	// Message is one sentence, with the values that it is about.
	Message string `json:"message"`
	// Next is what to do about it; empty where nothing is to be done.
	Next string `json:"next,omitempty"`
}

// List is notes in the order in which they were raised.
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

// Codes returns the codes of the notes, each once, in the order of the list.
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

// earlier are the keys that earlier versions wrote instead of message and next.
type earlier struct {
	Reason string `json:"reason"`
	Text   string `json:"text"`
	Hint   string `json:"hint"`
	Fix    string `json:"fix"`
}

// ReadEarlier fills what the note lacks from the keys of earlier versions in the same JSON
// object: reason and text for the message, hint and fix for the next step. A type that embeds
// a Note and had these keys calls it in its UnmarshalJSON.
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

// or returns the first text that is not empty.
func or(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}
