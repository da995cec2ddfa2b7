package server

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/clock"
)

// client streams a workload through a server.
type client struct {
	engine  Engine
	spec    backend.Spec
	address string
	// streams is the maximum number of requests in flight: a new one is sent as soon as one ends. 0 sends all at once.
	streams int
	// vital watches whether the engine makes progress.
	vital vital
	// vocab is the number of the model's token ids; 0 if unknown.
	vocab int
	// solo is the number of streams up to which connections wait for themselves; more are read by a loop.
	solo int
	loop *loop // of a run; nil if there is none
}

// dial opens a connection of a run.
func (c *client) dial(ctx context.Context) (*conn, error) {
	conn, err := dial(ctx, c.address)
	if err == nil && c.loop != nil {
		err = c.loop.adopt(conn)
	}
	return conn, err
}

// vital is the result of backend.Child.Vital.
type vital interface {
	Watch(parent context.Context) (ctx context.Context, end func())
	Heard(at int64)
}

// heard records that the engine has sent something.
func (c *client) heard(at int64) {
	if c.vital != nil {
		c.vital.Heard(at)
	}
}

// stream is one connection and the data read over it.
type stream struct {
	*client
	mu   sync.Mutex // guards conn against the end of the run
	conn *conn
	got  events
	// text is a request that has begun, of which sent bytes are written; nil before.
	text []byte
	sent int
	// shared counts tokens that came in one event with the token before.
	shared int
	// reconnects counts connections that were opened while a request waited for one.
	reconnects int
}

// atOnce returns the maximum number of requests of a workload that are in flight.
func (c *client) atOnce(w backend.Workload) int {
	most := len(w.Rounds()[0])
	if c.streams > 0 {
		most = min(most, c.streams)
	}
	return most
}

// run sends all requests, when they are due or round by round, and returns the outcome of each, in order. Connections
// are opened before the clock starts.
func (c *client) run(ctx context.Context, w backend.Workload) (*backend.Log, error) {
	bodies := make([]Request, len(w.Requests))
	continued := false
	for i, p := range w.Requests {
		if p.After != nil { // what it continues is not known yet
			continued = true
			continue
		}
		bodies[i] = c.engine.Request(c.spec, p, w.Asked(p))
	}
	log := &backend.Log{Requests: make([]backend.Request, len(w.Requests)), StepClock: "client"}
	for i, p := range w.Requests {
		log.Requests[i] = backend.Request{ID: p.ID, PromptTokens: len(p.Tokens),
			TokenNS: make([]int64, 0, w.Asked(p))}
	}
	ctx, unwatch := c.vital.Watch(ctx)
	defer unwatch()
	reader := *c
	if c.atOnce(w) > c.solo {
		if l, err := newLoop(c.heard); err == nil { // without one, connections wait for themselves
			reader.loop = l
			defer l.end()
		}
	}
	drive := reader.closed
	switch {
	case w.Open:
		drive = reader.open
	case continued:
		drive = reader.talk
	}
	if err := drive(ctx, w, bodies, log); err != nil {
		return nil, err
	}
	if err := context.Cause(ctx); err != nil {
		return log, err
	}
	return log, nil
}

// closed runs a workload as a closed loop: a request is sent when another has ended.
func (c *client) closed(ctx context.Context, w backend.Workload, bodies []Request, log *backend.Log) error {
	rounds, n := w.Rounds(), c.atOnce(w)
	streams := make([]*stream, n)
	for i := range streams {
		s := &stream{client: c}
		var err error
		if s.conn, err = c.dial(ctx); err != nil {
			closeAll(streams)
			return fmt.Errorf("connect to the server: %w", err)
		}
		streams[i] = s
	}
	// Closing ends blocked reads.
	stop := context.AfterFunc(ctx, func() { closeAll(streams) })
	defer func() {
		if stop() {
			closeAll(streams)
		}
	}()
	log.StartNS = clock.Mono()
	var done atomic.Int64
	begin := 0
	for _, round := range rounds {
		var next atomic.Int64
		opened := clock.Mono()
		end := begin + len(round)
		var all sync.WaitGroup
		for _, s := range streams {
			all.Go(func() {
				for ctx.Err() == nil {
					i := begin + int(next.Add(1)) - 1
					if i >= end {
						return
					}
					if n == len(rounds[0]) { // in a closed loop it arrives when its client is free
						log.Requests[i].ArrivedNS = opened
					}
					s.request(ctx, bodies[i], &log.Requests[i], w.Asked(w.Requests[i]))
					if d := done.Add(1); w.Progress != nil {
						w.Progress(int(d), len(bodies))
					}
				}
			})
		}
		all.Wait()
		begin = end
	}
	log.EndNS = clock.Mono()
	for _, s := range streams {
		log.Reconnects += s.reconnects
		log.SharedStamps += s.shared
	}
	return nil
}

// soloStreams is the number of streams up to which a loop takes more processor time than it saves.
const soloStreams = 31

func closeAll(streams []*stream) {
	for _, s := range streams {
		if s != nil {
			s.mu.Lock()
			_ = s.conn.Close()
			s.mu.Unlock()
		}
	}
}

// request sends one request and reads its stream.
func (s *stream) request(ctx context.Context, body Request, out *backend.Request, output int) {
	s.got.reset()
	fail := func(format string, args ...any) {
		out.OK, out.Failure = false, clipped(fmt.Sprintf(format, args...), longestFailure)
		out.EndNS = clock.Mono()
	}
	status, err := s.post(ctx, body, out)
	if err != nil {
		fail("send the request: %v", err)
		s.renew(ctx)
		return
	}
	if status != 200 {
		text, _ := s.conn.rest(4 << 10)
		fail("the server answered %d: %s", status, bytes.TrimSpace(text))
		s.renew(ctx)
		return
	}
	most := mostBytes(out.PromptTokens, output, body.Repeats)
	heard := s.heard
	if s.loop != nil { // which has heard it when it came
		heard = func(int64) {}
	}
	if err := s.got.readAll(s.conn, most, heard); err != nil {
		_ = s.interpret(out, output) // earlier tokens stay on record
		out.OutputTokens = len(out.TokenNS)
		fail("after %d of %d tokens: %v", len(out.TokenNS), output, err)
		s.renew(ctx)
		return
	}
	out.DoneNS = s.conn.stamp
	if err := s.interpret(out, output); err != nil {
		fail("%v", err)
	}
}

// Limits of the engine's messages about a request that are kept, in bytes.
const (
	longestFailure = 4 << 10
	longestReason  = 100
)

// clipped returns the beginning of a text that may be long.
func clipped(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// post sends the request. A connection that the server has closed since the last request is reopened, and counted:
// the time for it is part of the request.
func (s *stream) post(ctx context.Context, body Request, out *backend.Request) (int, error) {
	if s.text == nil {
		s.begin(body, out)
	}
	text := s.text
	s.text = nil
	status, err := s.conn.exchange(text, s.sent)
	out.WrittenNS, out.FirstByteNS = s.conn.wrote, s.conn.first
	if err == nil || !s.conn.idleClosed(err) || ctx.Err() != nil {
		return status, err
	}
	s.renew(ctx)
	s.reconnects++
	status, err = s.conn.exchange(text, 0)
	out.WrittenNS, out.FirstByteNS = s.conn.wrote, s.conn.first
	return status, err
}

// begin sends what the socket takes of a request at once.
func (s *stream) begin(body Request, out *backend.Request) {
	s.text = s.conn.framed("POST", body.Path, body.Body)
	out.SubmittedNS = clock.Mono()
	out.PrefillStartNS = out.SubmittedNS
	out.ArrivedNS = cmp.Or(out.ArrivedNS, out.SubmittedNS)
	s.sent = s.conn.offer(s.text)
}

// renew replaces an unusable connection. If none can be opened, the next request fails on the old one.
func (s *stream) renew(ctx context.Context) {
	fresh, err := s.dial(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.conn.Close()
	switch {
	case err != nil:
	case ctx.Err() != nil:
		_ = fresh.Close()
	default:
		s.conn = fresh
	}
}

// errFormat marks data that the engine must not send.
var errFormat = errors.New("the engine broke its own format")

// tooMany is the excess of tokens over the request beyond which an engine's count is rejected.
const tooMany = 1 << 16

// fresh returns how many tokens an event adds to a request that has some of its output. The engine's count must
// match its ids, plus tokens that it may hide, which never exceed the requested output.
func (e *Event) fresh(have, output int) (int, error) {
	n := e.Tokens
	if e.Total != 0 {
		n = e.Total - have
		shown := min(len(e.IDs), max(0, n))
		if n < 0 || n > shown+e.Hidden || n > shown && e.Total > output {
			return 0, countError(e.Total, have+shown)
		}
	}
	if n < 0 || n > output+tooMany {
		return 0, fmt.Errorf("%w: it brings %d tokens, %d were asked for", errFormat, n, output)
	}
	return n, nil
}

// countError reports an engine's own count that differs from the received tokens.
func countError(counted, came int) error {
	return fmt.Errorf("the engine counts %d output tokens, its stream brought %d", counted, came)
}

// outside finds an id that a model does not have.
func outside(ids []int32, vocab int) (int32, bool) {
	for _, id := range ids {
		if id < 0 || vocab > 0 && int(id) >= vocab {
			return id, true
		}
	}
	return 0, false
}

// startOf returns when the engine began to work on a request, by its own report: how long the request was in the
// queue, or how long its prompt took. 0 means unknown: the engine reports neither, or an impossible value.
func startOf(q *backend.Request, queued, prefill *time.Duration) int64 {
	at := int64(0)
	switch {
	case queued != nil:
		at = q.SubmittedNS + int64(*queued)
	case prefill != nil:
		at = q.FirstTokenNS - int64(*prefill)
	}
	if at < q.SubmittedNS || at > q.FirstTokenNS {
		return 0
	}
	return at
}

// interpret parses the events of a request that is over.
func (s *stream) interpret(out *backend.Request, output int) error {
	var usage *Usage
	var failure string
	var queued, prefill *time.Duration
	for i := range s.got.list {
		e, err := s.engine.Read(s.got.data(i))
		if err != nil {
			return fmt.Errorf("%w: event %d, %.80q: %w", errFormat, i+1, s.got.data(i), err)
		}
		at := s.got.list[i].at
		fresh, err := e.fresh(len(out.TokenNS), output)
		if err != nil {
			return fmt.Errorf("event %d: %w", i+1, err)
		}
		for range fresh {
			out.TokenNS = append(out.TokenNS, at)
		}
		if id, ok := outside(e.IDs, s.vocab); ok {
			return fmt.Errorf("%w: event %d has token id %d, the model has %d ids", errFormat, i+1, id, s.vocab)
		}
		if fresh > 0 && len(e.IDs) >= fresh {
			out.Output = append(out.Output, e.IDs[len(e.IDs)-fresh:]...)
		}
		s.shared += max(0, fresh-1)
		// Events that were read together have the stamp of the last one.
		if i > 0 && fresh > 0 && s.got.list[i-1].at == at {
			s.shared++
		}
		if fresh > 0 || e.Finish != "" {
			out.EndNS = at
		}
		if e.Finish != "" {
			out.FinishReason = clipped(e.Finish, longestReason)
		}
		if e.Usage != nil {
			usage = e.Usage
		}
		if e.Failure != "" {
			failure = e.Failure
		}
		if e.Queued != nil || e.Prefill != nil {
			queued, prefill = e.Queued, e.Prefill
		}
	}
	out.OutputTokens = len(out.TokenNS)
	if len(out.TokenNS) > 0 {
		out.FirstTokenNS = out.TokenNS[0]
		out.StartedNS = startOf(out, queued, prefill)
	}
	if len(out.Output) != len(out.TokenNS) {
		out.Output = nil // it is unknown which token has no id
	}
	switch {
	case failure != "":
		return errors.New(failure)
	case usage == nil:
		return fmt.Errorf("%w: the stream ended after %d tokens without the engine's own count", io.ErrUnexpectedEOF,
			len(out.TokenNS))
	case usage.Output != len(out.TokenNS):
		return countError(usage.Output, len(out.TokenNS))
	case usage.Prompt != out.PromptTokens:
		return fmt.Errorf("the engine counts %d prompt tokens, but it was given %d", usage.Prompt, out.PromptTokens)
	case usage.Cached < 0 || usage.Cached > usage.Prompt:
		return fmt.Errorf("%w: %d of %d prompt tokens are cached", errFormat, usage.Cached, usage.Prompt)
	case len(out.TokenNS) == 0:
		return errors.New("the engine generated nothing")
	}
	out.PromptComputed = usage.Prompt - usage.Cached
	out.OK = true
	return nil
}
