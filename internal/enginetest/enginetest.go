// Package enginetest is what the tests of server engines share: their backend with a stub of
// package servertest in place of the engine's program.
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

// Stub puts a stub in place of the program of b.
func Stub(b server.Backend, s servertest.Stubbed) server.Backend {
	b.Command, b.Options = &s.Command, server.Options{StartTimeout: s.Start, StallTimeout: s.Stall,
		StopTimeout: 2 * time.Second, Poll: 20 * time.Millisecond, Streams: s.Streams}
	return b
}

// Conformance runs the suite of every backend on one with a stub in place of its program.
// Tokens is what the stub makes of a text, or nil, and template what it makes of a
// conversation, or nil.
func Conformance(t *testing.T, dialect string, stub func(servertest.Stubbed) backend.Backend, spec backend.Spec,
	tokens func(string) []int32, template func(chat.Conversation) []int32) {
	t.Helper()
	b := stub(servertest.Stubbed{Command: servertest.Command(t, dialect, servertest.None), Start: 20 * time.Second,
		Stall: 3 * time.Second})
	backendtest.Run(t, backendtest.Suite{Backend: b, Spec: spec, Tokens: tokens, Template: template, Parallel: true})
}

// Refused checks that a conversation which the stub's template does not take is a failure of what was asked for, in the
// words of the server, and that the server can go on.
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
		t.Errorf("a role that the template does not take: %v", err)
	}
	if _, err := session.Tokenize(t.Context(), []string{"a"}); err != nil {
		t.Errorf("tokenize after that: %v", err)
	}
}
