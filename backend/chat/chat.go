// Package chat has the conversations that an engine puts into the chat template of its
// model, and the interface of sessions and engines that can.
//
// A chat template is the text that a model was trained to find around the turns of a
// conversation. It belongs to the model, and engines differ in how they read it: so the
// engine applies its own, and llem counts the tokens that it is given back.
package chat

import (
	"context"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Message is one turn of a conversation.
type Message struct {
	// Role is system, user or assistant, as chat templates name them.
	Role string `json:"role"`
	// Content is the text.
	Content string `json:"content"`
}

// Conversation is a list of turns, of which the last is the user's.
type Conversation []Message

// Templater is a backend.Session or a backend.Engine that knows the chat template of its
// model.
type Templater interface {
	// Template returns the token ids of each conversation in the chat template of the
	// model, up to where the model's answer begins. A model without a template is a
	// failure, never another model's template.
	Template(ctx context.Context, conversations []Conversation) ([][]int32, error)
}

// Unable is the failure of an engine that is no Templater.
func Unable(engine string) *note.Failure {
	return note.Failf(codes.ClassConfig, "use workload.chat_template: none, or another backend",
		"%s has no way to put a prompt into the chat template of its model", engine)
}
