package server

import (
	"bytes"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/backend"
)

// rawSocket is one end of a pair of sockets.
type rawSocket struct {
	syscall.RawConn
	fd int
}

func (r rawSocket) Read(f func(fd uintptr) bool) error {
	for !f(uintptr(r.fd)) {
	}
	return nil
}

// answering returns a connection over which a server sends something and closes.
func answering(t testing.TB, said []byte) *conn {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(pair[0]) })
	if _, err := unix.Write(pair[1], said); err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(pair[1]); err != nil {
		t.Fatal(err)
	}
	c := &conn{raw: rawSocket{fd: pair[0]}, buf: make([]byte, 512), oob: make([]byte, 64)}
	c.receive = c.recvmsg
	return c
}

// FuzzResponse: reading any response ends, and returns no more than was sent.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\n3\r\n " +
			"1\n\r\n1;x=y\r\n\n\r\n0\r\nTrailer: 1\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ndata: 1\n\n",
		"HTTP/1.0 500 No\n\ndata: to the end\n\n", "HTTP/1.1 204\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\ndata: short\n\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
		"HTTP/2 200\r\n\r\n", "", "\r\n\r\n", "HTTP/1.1 200 OK\r\n: \r\n:\r\n\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		if len(said) > 60_000 {
			t.Skip("more than a socket takes at once")
		}
		c := answering(t, said)
		if _, err := c.head(); err != nil {
			return
		}
		var e events
		reads := 0
		_ = e.readAll(c, maxEvents, func(int64) {
			if reads++; reads > len(said) {
				t.Fatalf("%d reads of %d bytes", reads, len(said))
			}
		})
		if e.read > len(said) || len(e.text) > len(said) {
			t.Errorf("%d bytes and %d of data from %d", e.read, len(e.text), len(said))
		}
		for i, a := range e.list {
			if a.from > a.to || a.to > len(e.text) || i > 0 && a.from < e.list[i-1].to || a.at == 0 {
				t.Errorf("event %d is %+v of %d bytes", i, a, len(e.text))
			}
		}
	})
}

// FuzzEvents: events do not depend on how the stream was split into reads.
func FuzzEvents(f *testing.F) {
	f.Add([]byte("data: a\ndata: b\n\n: ping\n\nevent: x\r\ndata:c\r\n\r\ndata\n\n"), uint8(3))
	f.Add([]byte("data: {}\n\n\n\ndata"), uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		var whole, parts events
		whole.feed(stream, 1)
		for p := range slices.Chunk(stream, int(size)+1) {
			parts.feed(p, 1)
		}
		if !bytes.Equal(whole.text, parts.text) || !slices.Equal(whole.list, parts.list) ||
			!bytes.Equal(whole.line, parts.line) {
			t.Errorf("whole %q %v, in pieces %q %v", whole.text, whole.list, parts.text, parts.list)
		}
	})
}

// completions is an engine with the events of the completions API.
type completions struct{ Engine }

func (completions) Read(data []byte) (Event, error) { return ReadCompletion(data) }

// FuzzCompletion: any event is either refused or adds up.
func FuzzCompletion(f *testing.F) {
	f.Add([]byte(`{"choices":[{"text":"a","token_ids":[1,2],"finish_reason":"length"}],"usage":{"prompt_tokens":3,` +
		`"completion_tokens":2}}`))
	f.Add([]byte(`{"choices":[{"text":"a"}],"usage":{"prompt_tokens":3,"completion_tokens":2000000000,` +
		`"prompt_tokens_details":{"cached_tokens":4}}}`))
	f.Add([]byte(`{"error":{"message":"no"}}`))
	f.Add([]byte(`[DONE]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &stream{client: &client{engine: completions{}}}
		s.got.feed(append(append([]byte("data: "), bytes.ReplaceAll(data, []byte("\n"), nil)...), "\n\n"...), 5)
		out := backend.Request{PromptTokens: 3}
		err := s.interpret(&out, 2)
		if err == nil && (!out.OK || out.OutputTokens != len(out.TokenNS) || out.PromptComputed < 0 ||
			out.PromptComputed > 3) {
			t.Errorf("%+v", out)
		}
		if len(out.TokenNS) > 2*tooMany {
			t.Errorf("%d tokens of one event", len(out.TokenNS))
		}
	})
}
