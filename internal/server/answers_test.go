package server

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/watch"
)

// plain is an engine whose events are used unchanged.
type plain struct{ Engine }

func (plain) Read(data []byte) (e Event, err error) { return e, json.Unmarshal(data, &e) }

// answered returns the outcome of a request for 3 tokens to a prompt of 8 whose events come at 1, 2, 3, …
func answered(t *testing.T, vocab int, said ...Event) (*backend.Request, *stream, error) {
	t.Helper()
	s := &stream{client: &client{engine: plain{}, vocab: vocab}}
	for i, e := range said {
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		s.got.feed([]byte("data: "+string(text)+"\n\n"), int64(i+1))
	}
	out := &backend.Request{PromptTokens: 8}
	err := s.interpret(out, 3)
	return out, s, err
}

// TestAnswers: an engine's own count must match its stream and its prompt; any difference fails the request.
func TestAnswers(t *testing.T) {
	usage := func(prompt, output, cached int) Event { return Event{Usage: &Usage{prompt, output, cached}} }
	one := Event{Tokens: 1, IDs: []int32{9}}
	for name, q := range map[string]struct {
		vocab    int
		said     []Event
		failed   string
		computed int
		shared   int
	}{
		"as it should":          {10, []Event{one, one, one, usage(8, 3, 0)}, "", 8, 0},
		"half of it cached":     {10, []Event{one, one, one, usage(8, 3, 4)}, "", 4, 0},
		"two in one event":      {0, []Event{one, {Tokens: 2}, usage(8, 3, 0)}, "", 8, 1},
		"counts one less":       {0, []Event{one, one, one, usage(8, 2, 0)}, "counts 2 output tokens", 0, 0},
		"counts one more":       {0, []Event{one, one, one, usage(8, 4, 0)}, "counts 4 output tokens", 0, 0},
		"a longer prompt":       {0, []Event{one, usage(9, 1, 0)}, "counts 9 prompt tokens, but it was given 8", 0, 0},
		"a shorter prompt":      {0, []Event{one, usage(7, 1, 0)}, "counts 7 prompt tokens, but it was given 8", 0, 0},
		"more cached than is":   {0, []Event{one, usage(8, 1, 9)}, "9 of 8 prompt tokens are cached", 0, 0},
		"less than none cached": {0, []Event{one, usage(8, 1, -1)}, "-1 of 8 prompt tokens", 0, 0},
		"an id that it lacks":   {9, []Event{one, usage(8, 1, 0)}, "token id 9, the model has 9 ids", 0, 0},
		"an id below 0":         {0, []Event{{Tokens: 1, IDs: []int32{-1}}, usage(8, 1, 0)}, "token id -1", 0, 0},
		"no count":              {0, []Event{one, one, one}, "without the engine's own count", 0, 0},
		"nothing":               {0, []Event{usage(8, 0, 0)}, "generated nothing", 0, 0},
		"its own failure":       {0, []Event{one, {Failure: "out of blocks"}, usage(8, 1, 0)}, "out of blocks", 0, 0},
	} {
		out, s, err := answered(t, q.vocab, q.said...)
		if (err != nil) != (q.failed != "") || err != nil && !strings.Contains(err.Error(), q.failed) ||
			out.OK != (err == nil) {
			t.Errorf("%s: %v, want %q", name, err, q.failed)
		}
		if err == nil && (out.PromptComputed != q.computed || s.shared != q.shared) {
			t.Errorf("%s: computed %d prompt tokens, %d share a stamp, want %d and %d", name, out.PromptComputed,
				s.shared,
				q.computed, q.shared)
		}
	}
}

// TestRequestIsSentOnce: only a connection that the server closed after an earlier answer is reopened; a request
// that may have been started is not sent twice.
func TestRequestIsSentOnce(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
	for name, q := range map[string]struct {
		says       []string // the answer to each request, before the connection is closed
		sent, made int
		fails      bool
	}{
		"closed at once":       {[]string{"", answer}, 1, 0, true},
		"closed inside a head": {[]string{"HTTP/1.1 200 OK\r\nCont", answer}, 1, 0, true},
		"closed after one":     {[]string{answer, answer}, 2, 1, false},
		"and again at once":    {[]string{answer, ""}, 2, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			var sent atomic.Int64
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					if n, _ := c.Read(make([]byte, 4096)); n > 0 {
						if i := int(sent.Add(1)); i <= len(q.says) {
							_, _ = io.WriteString(c, q.says[i-1])
						}
					}
					c.Close()
				}
			}()
			s := &stream{client: &client{engine: plain{}, address: l.Addr().String(),
				vital: &watch.Engine{Limit: time.Minute}}}
			if s.conn, err = dial(t.Context(), s.address); err != nil {
				t.Fatal(err)
			}
			defer func() { s.conn.Close() }()
			body := Request{Path: "/", Body: []byte("{}")}
			for i := range q.sent { // the second one finds the connection closed
				_, err = s.post(t.Context(), body, &backend.Request{})
				if err != nil {
					break
				}
				if text, err := s.conn.rest(10); err != nil || string(text) != "hi" {
					t.Errorf("answer %d: %q, %v", i, text, err)
				}
				time.Sleep(20 * time.Millisecond) // until its end arrives
			}
			if (err != nil) != q.fails || int(sent.Load()) != q.sent || s.reconnects != q.made {
				t.Errorf("%v after %d requests and %d new connections, want a failure: %v, %d, %d", err, sent.Load(),
					s.reconnects, q.fails, q.sent, q.made)
			}
		})
	}
}

// TestFailedRequest: a request that fails is not OK, whatever was received before, and ends then.
func TestFailedRequest(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy")
			c.Close()
		}
	}()
	s := &stream{client: &client{engine: plain{}, address: l.Addr().String()}}
	if s.conn, err = dial(t.Context(), s.address); err != nil {
		t.Fatal(err)
	}
	defer func() { s.conn.Close() }()
	out := &backend.Request{OK: true}
	s.request(t.Context(), Request{Path: "/", Body: []byte("{}")}, out, 3)
	if out.OK || !strings.Contains(out.Failure, "the server answered 503: busy") || out.EndNS < out.SubmittedNS {
		t.Errorf("%+v", out)
	}
}

// TestFraming: invalid lengths are refused.
func TestFraming(t *testing.T) {
	for in, want := range map[string]int64{"0": 0, "fF": 255, "7fffffffffffff": 1<<55 - 1, "": -1, "g": -1, "-1": -1,
		"fffffffffffffffff": -1, "8000000000000000": -1, "00000000000000001": -1} {
		if n, ok := hex([]byte(in)); ok != (want >= 0) || ok && n != want {
			t.Errorf("%q: %d, %v, want %d", in, n, ok, want)
		}
	}
	for in, ok := range map[string]bool{"0": true, "12": true, "-1": false, "": false, "1e3": false,
		"99999999999999999999": false} {
		var b body
		if err := b.header("Content-Length", in); (err == nil) != ok {
			t.Errorf("Content-Length %q: %v", in, err)
		}
	}
	c := answering(t, []byte("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"))
	if _, err := c.head(); err != nil {
		t.Fatal(err)
	}
	if text, err := c.rest(100); string(text) != "short" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a body that is cut: %q, %v", text, err)
	}
}

// TestCountersAt: counters belong to the middle of the interval in which they were read.
func TestCountersAt(t *testing.T) {
	if at := (reading{before: 100, after: 140}).at(); at != 120 {
		t.Errorf("at %d, want 120", at)
	}
}

// TestHeld: a request holds its prompt and the tokens so far, from its first token to its end.
func TestHeld(t *testing.T) {
	log := &backend.Log{Requests: []backend.Request{
		{PromptTokens: 10, FirstTokenNS: 100, TokenNS: []int64{100, 200, 300}, EndNS: 300},
		{PromptTokens: 20, FirstTokenNS: 250, TokenNS: []int64{250}, EndNS: 400}, {PromptTokens: 40}}}
	for at, want := range map[int64][2]int64{50: {0, 0}, 150: {1, 11}, 260: {2, 33}, 301: {1, 21}, 401: {0, 0}} {
		if n, tokens := held(log, at); int64(n) != want[0] || tokens != want[1] {
			t.Errorf("at %d: %d requests with %d tokens, want %v", at, n, tokens, want)
		}
	}
}
