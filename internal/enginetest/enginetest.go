// Package enginetest is what the tests of server engines share: their backend with a stub of package servertest as
// the engine's program.
package enginetest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/backendtest"
	"github.com/llenergymeasure/llem/backend/chat"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/server"
	"github.com/llenergymeasure/llem/internal/servertest"
	"github.com/llenergymeasure/llem/note"
)

// Stub replaces the program of b by a stub.
func Stub(b server.Backend, s servertest.Stubbed) server.Backend {
	b.Command, b.Options = &s.Command, server.Options{StartTimeout: s.Start, StallTimeout: s.Stall,
		StopTimeout: 2 * time.Second, Poll: 20 * time.Millisecond, Streams: s.Streams}
	return b
}

// Conformance runs the conformance suite on a backend with a stub as its program. tokens returns the stub's tokens
// of a text, template its tokens of a conversation; either may be nil.
func Conformance(t *testing.T, dialect string, stub func(servertest.Stubbed) backend.Backend, spec backend.Spec,
	tokens func(string) []int32, template func(chat.Conversation) []int32) {
	t.Helper()
	b := stub(servertest.Stubbed{Command: servertest.Command(t, dialect, servertest.None), Start: 20 * time.Second,
		Stall: 3 * time.Second})
	backendtest.Run(t, backendtest.Suite{Backend: b, Spec: spec, Tokens: tokens, Template: template, Parallel: true,
		Serves: true})
}

// Refused checks that a conversation which the stub's template refuses is a failure in the words of the server,
// and that the server still works afterwards.
func Refused(t *testing.T, b backend.Backend, spec backend.Spec) {
	t.Helper()
	session, err := b.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	_, err = session.(chat.Templater).Template(t.Context(), []chat.Conversation{{{Role: servertest.Refused}}})
	f, ok := errors.AsType[*note.Failure](err)
	if !ok || f.Class != codes.ClassConfig || !strings.Contains(f.Error(), "roles must alternate") ||
		!strings.Contains(f.Next, "chat_template: none") {
		t.Errorf("a role that the template refuses: %v", err)
	}
	if _, err := session.Tokenize(t.Context(), []string{"a"}); err != nil {
		t.Errorf("tokenize after that: %v", err)
	}
}
