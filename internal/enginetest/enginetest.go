// Package enginetest is what the tests of server engines share: their backend with a stub of
// package servertest in place of the engine's program.
package enginetest

import (
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/backendtest"
	"github.com/llenergymeasure/llem/internal/server"
	"github.com/llenergymeasure/llem/internal/servertest"
)

// Stub puts a stub in place of the program of b.
func Stub(b server.Backend, s servertest.Stubbed) server.Backend {
	b.Command, b.Options = &s.Command, server.Options{StartTimeout: s.Start, StallTimeout: s.Stall,
		StopTimeout: 2 * time.Second, Poll: 20 * time.Millisecond, Streams: s.Streams}
	return b
}

// Conformance runs the suite of every backend on one with a stub in place of its program.
// Tokens is what the stub makes of a text, or nil.
func Conformance(t *testing.T, dialect string, stub func(servertest.Stubbed) backend.Backend, spec backend.Spec,
	tokens func(string) []int32) {
	t.Helper()
	b := stub(servertest.Stubbed{Command: servertest.Command(t, dialect, servertest.None), Start: 20 * time.Second,
		Stall: 3 * time.Second})
	backendtest.Run(t, backendtest.Suite{Backend: b, Spec: spec, Tokens: tokens, Parallel: true})
}
