package server

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

const (
	// busyFor is how long a server may hold what it did for the last requests, and busyEvery how often it is asked.
	busyFor, busyEvery = 10 * time.Second, 50 * time.Millisecond
)

// lacks are the answers of a server that does not know the path.
var lacks = map[int]bool{http.StatusNotFound: true, http.StatusMethodNotAllowed: true, http.StatusNotImplemented: true}

// forget empties the prefix cache, if the study enables it: a run does not depend on the ones before it.
func (s *Session) forget(ctx context.Context) error {
	if s.launch.Cache.Path == "" {
		return nil
	}
	for end := clock.Mono() + int64(busyFor); ; {
		answer, err := s.ask(ctx, http.MethodPost, s.launch.Cache.Path, []byte{})
		refused, ok := errors.AsType[*refusedError](err)
		switch {
		case err == nil && !bytes.Contains(bytes.ReplaceAll(answer, []byte(" "), nil), []byte(`"success":false`)):
			return nil
		case err != nil && !ok || ctx.Err() != nil:
			return s.failed(ctx, err, "emptying its prefix cache")
		case ok && lacks[refused.status] || clock.Mono() > end:
			return &note.Failure{Class: codes.ClassVersion, Err: err, LogTail: s.child.LogTail(),
				Message: s.engine.Name() +
					" did not empty its prefix cache: the run would depend on the ones before it",
				Next: "leave " + s.launch.Cache.Key + " out, or use another version of " + s.engine.Name()}
		}
		select {
		case <-time.After(busyEvery):
		case <-ctx.Done():
		}
	}
}
