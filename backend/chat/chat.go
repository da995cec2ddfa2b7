// Package chat defines conversations that an engine formats with its model's chat template, and the interface of
// sessions and engines that can do so.
//
// A chat template is the text around the turns of a conversation that a model was trained with. It belongs to the
// model, and engines read it differently. Therefore the engine applies its own, and llem counts the tokens that
// the engine returns.
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

// Conversation is a list of turns; the last one is the user's.
type Conversation []Message

// Templater is a backend.Session or a backend.Engine that can apply its model's chat template.
type Templater interface {
	// Template returns the token ids of each conversation in the model's chat template, up to where the model's answer
	// begins. A model without a template is a failure; no other template takes its place.
	Template(ctx context.Context, conversations []Conversation) ([][]int32, error)
}

// Unable returns the failure of an engine that is not a Templater.
func Unable(engine string) *note.Failure {
	return note.Failf(codes.ClassConfig, "use workload.chat_template: none, or another backend",
		"%s has no way to put a prompt into the chat template of its model", engine)
}
