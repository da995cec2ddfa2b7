package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/asked"
	"github.com/llenergymeasure/llem/internal/damage"
	"golang.org/x/sys/unix"
)

// damagedAnswer returns a server's stream of four tokens.
func damagedAnswer() []byte {
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
	chunk := func(text string) { fmt.Fprintf(&b, "%x\r\n%s\r\n", len(text), text) }
	for i := range 4 {
		end := "null"
		if i == 3 {
			end = `"length"`
		}
		chunk(fmt.Sprintf(`data: {"choices":[{"index":0,"text":"w%d","token_ids":[%d],"finish_reason":%s}]}`+"\n\n", i,
			i+10, end))
	}
	chunk(`data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,` +
		`"prompt_tokens_details":{"cached_tokens":0}}}` + "\n\n")
	chunk("data: [DONE]\n\n")
	chunk("")
	return []byte(b.String())
}

// TestDamagedStreams reads damaged copies of a server's answer: the token counts match the intact one, or the
// request fails.
func TestDamagedStreams(t *testing.T) {
	seed := damage.Seed(t)
	l, err := newLoop(func(int64) {})
	if err != nil {
		t.Fatal(err)
	}
	defer l.end()
	f := damage.Format{Name: "stream of a server", Intact: damagedAnswer(), Read: func(said []byte) (string, error) {
		text, err := understood(answering(t, said))
		c, far := looped(t, l)
		go func() { _, _ = unix.Write(far, said); _ = unix.Close(far) }()
		again, other := understood(c)
		if text != again || fmt.Sprint(err) != fmt.Sprint(other) {
			t.Errorf("%q is read as %q, %v, but by a loop as %q, %v", said, text, err, again, other)
		}
		return text, errors.Join(err, c.Close())
	}}
	tally := f.Check(t, seed, damage.Number(2000, 300))
	damage.Table(t, []damage.Tally{tally})
}

// understood reads an answer to 3 tokens of prompt and 4 of output.
func understood(c *conn) (string, error) {
	status, err := c.head()
	if err == nil && status != 200 {
		err = fmt.Errorf("status %d", status)
	}
	if err != nil {
		return "", err
	}
	s := &stream{client: &client{engine: completions{}, vocab: 300}}
	if err := s.got.readAll(c, mostBytes(3, 4, false), func(int64) {}); err != nil {
		return "", err
	}
	out := backend.Request{PromptTokens: 3}
	if err := s.interpret(&out, 4); err != nil {
		return "", err
	}
	return fmt.Sprint(out.OK, out.PromptTokens, out.PromptComputed, out.OutputTokens, len(out.TokenNS)), nil
}

// looped returns a connection that a loop reads, and its other end.
func looped(t testing.TB, l *loop) (*conn, int) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(pair[0], true)
	}
	c := &conn{buf: make([]byte, 512), oob: make([]byte, 64)}
	if err == nil {
		err = l.add(c, pair[0])
	}
	if err != nil {
		t.Fatal(err)
	}
	return c, pair[1]
}

// TestLoopEnds: a loop wakes a reader at the end of an answer, whatever it looks like, while the connection stays
// open, in pieces or at once; and when the connection is closed here.
func TestLoopEnds(t *testing.T) {
	l, err := newLoop(func(int64) {})
	if err != nil {
		t.Fatal(err)
	}
	defer l.end()
	const head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, said := range []string{
		head + "9\r\ndata: 1\n\n\r\n0\r\n\r\n", head + "9\r\ndata: 1\n\n\r\n0\r\nTrailer: 1\r\n\r\n",
		head + "9\ndata: 1\n\n\n0\n\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ndata: 1\n\n",
		head + strings.Repeat("9\r\ndata: 1\n\n\r\n", 200) + "0\r\n\r\n",
	} {
		for _, size := range []int{1, 7, len(said)} {
			c, far := looped(t, l)
			go func() {
				for from := 0; from < len(said); from += size {
					_, _ = unix.Write(far, []byte(said[from:min(from+size, len(said))]))
				}
			}()
			_, err := c.head()
			var e events
			if err == nil {
				err = e.readAll(c, maxEvents, func(int64) {})
			}
			if want := strings.Count(said, "data"); err != nil || len(e.list) != want {
				t.Errorf("%q in pieces of %d: %d events, %v, want %d", said[:60], size, len(e.list), err, want)
			}
			_, _ = c.Close(), unix.Close(far)
		}
	}
	c, far := looped(t, l)
	go func() { _ = c.Close() }()
	if _, err := c.head(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed connection: %v", err)
	}
	_ = unix.Close(far)
}

// TestVocabularyAsPythonWrites: Python writes Infinity into a config.json, which JSON does not have.
func TestVocabularyAsPythonWrites(t *testing.T) {
	folder := t.TempDir()
	config := `{"vocab_size": 300, "time_step_limit": [0.0, Infinity]}`
	if err := os.WriteFile(filepath.Join(folder, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if size, text, err := asked.Vocabulary(folder); size != 300 || text != 300 || err != nil {
		t.Errorf("%d, %d, %v, want 300", size, text, err)
	}
}
