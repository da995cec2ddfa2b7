package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/clock"
)

// conn is an HTTP/1.1 connection to a server on this machine that records when bytes arrived, which package
// net/http does not report. It carries one request at a time and allocates nothing while a body is read.
type conn struct {
	tcp  *net.TCPConn
	raw  syscall.RawConn
	host string
	// buf[r:w] has been received but not read; stamp is when its last byte arrived. buf[w:end] has been received by a
	// loop, and not been shown to the reader.
	buf       []byte
	r, w, end int
	stamp     int64
	// latest is when the last byte before end arrived.
	latest int64
	// box is of a connection that a loop reads; nil for one that waits for itself.
	box *inbox
	// woke is when this program received the bytes: the stamp of a client without kernel timestamps.
	woke int64
	oob  []byte
	// receive fills the buffer through raw.Read; got is the result. They are fields so that reading allocates nothing.
	receive func(fd uintptr) bool
	msg     unix.Msghdr
	iov     unix.Iovec
	got     int
	errno   unix.Errno
	// wrote is when the last request was written, and first when the first byte after it arrived; 0 for neither.
	wrote, first int64
	// opened is when the connection was made.
	opened int64
	// served counts requests whose answer has begun.
	served int
	body   body
}

// body is the framing of the rest of a response.
type body struct {
	chunked bool
	left    int64 // of the chunk, or of the body; -1 until the connection closes
	tail    bool  // the end of the chunk's line is still to be read
	ended   bool
}

// bufferSize holds many events, so that a slow reader does not block the server.
const bufferSize = 64 << 10

// dial connects. The connection ends with ctx.
func dial(ctx context.Context, address string) (*conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s is not a TCP address", address), c.Close())
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	out := &conn{tcp: tcp, raw: raw, host: address, opened: clock.Mono(), buf: make([]byte, bufferSize),
		oob: make([]byte, 64)}
	out.receive = out.recvmsg
	err = raw.Control(func(fd uintptr) {
		// If the kernel refuses, the time of reading the bytes is used instead.
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return out, nil
}

// line reads one line without its end. It is valid until the next read.
func (c *conn) line() ([]byte, error) {
	for from := c.r; ; {
		if i := bytes.IndexByte(c.buf[from:c.w], '\n'); i >= 0 {
			line := c.buf[c.r : from+i]
			c.r = from + i + 1
			return bytes.TrimSuffix(line, []byte("\r")), nil
		}
		seen := c.w - c.r
		if err := c.fill(); err != nil {
			return nil, err
		}
		from = c.r + seen
	}
}

// send writes a request with a JSON body and reads the head of the answer.
func (c *conn) send(method, path string, payload []byte) (status int, err error) {
	return c.exchange(c.framed(method, path, payload), 0)
}

// framed returns a request with a JSON body as it is written.
func (c *conn) framed(method, path string, payload []byte) []byte {
	text := make([]byte, 0, 256+len(payload))
	text = fmt.Appendf(text, "%s %s HTTP/1.1\r\nHost: %s\r\nAccept: */*\r\n", method, path, c.host)
	if payload != nil {
		text = fmt.Appendf(text, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(payload))
	}
	return append(append(text, "\r\n"...), payload...)
}

// exchange writes what is left of a request after the bytes sent already, and reads the head of the answer.
func (c *conn) exchange(request []byte, sent int) (status int, err error) {
	if sent < len(request) {
		c.wrote, c.first = 0, 0
		c.waitForEnd(false)
		if err := c.write(request[sent:]); err != nil {
			return 0, err
		}
		c.wrote = clock.Mono()
	}
	status, err = c.head()
	if err == nil {
		c.served++
	}
	return status, err
}

// oldAfter is the least time after which servers close connections without a request.
const oldAfter = int64(200 * time.Millisecond)

// idleClosed reports whether a request failed because the server had closed the connection after an earlier one, or
// long after it was opened, which is allowed.
func (c *conn) idleClosed(err error) bool {
	return (c.served > 0 || c.wrote-c.opened > oldAfter) && c.r == c.w &&
		(errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET))
}

// maxLines bounds the headers of a response, its trailers, and the interim answers
// before it.
const maxLines = 1000

// head reads status and headers and skips interim answers.
func (c *conn) head() (status int, err error) {
	for range maxLines {
		if status, err = c.status(); err != nil {
			return 0, err
		}
		c.body = body{left: -1}
		if err := c.headers(func(name,
			value []byte) error {
			return c.body.header(string(name), string(value))
		}); err != nil {
			return 0, err
		}
		if status/100 == 1 {
			continue
		}
		switch {
		case c.body.chunked:
			c.body.left = 0
		case status == 204, status == 304, c.body.left == 0:
			c.body.ended = true
		}
		c.waitForEnd(status == 200 && c.body.chunked)
		return status, nil
	}
	return 0, errors.New("it sends interim answers without end")
}

// status reads the first line of an answer.
func (c *conn) status() (int, error) {
	line, err := c.line()
	if err != nil {
		return 0, unexpected(err)
	}
	proto, rest, _ := strings.Cut(string(line), " ")
	code, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if err != nil || status < 100 || status > 999 || !strings.HasPrefix(proto, "HTTP/1.") {
		return 0, fmt.Errorf("it does not speak HTTP/1: %.60q", line)
	}
	return status, nil
}

// headers reads lines up to a blank one.
func (c *conn) headers(each func(name, value []byte) error) error {
	for range maxLines {
		line, err := c.line()
		if err != nil {
			return unexpected(err)
		}
		if len(line) == 0 {
			return nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if err := each(bytes.TrimSpace(name), bytes.TrimSpace(value)); err != nil {
			return err
		}
	}
	return fmt.Errorf("more than %d headers", maxLines)
}

// header records what a header says about the body.
func (b *body) header(name, value string) (err error) {
	switch strings.ToLower(name) {
	case "content-length":
		if b.left, err = strconv.ParseInt(value, 10, 64); err != nil || b.left < 0 {
			return fmt.Errorf("invalid Content-Length %.40q", value)
		}
	case "transfer-encoding":
		b.chunked = strings.EqualFold(value, "chunked")
	}
	return nil
}

// piece returns bytes of the body, at least one, as they arrived; io.EOF at its end. They are valid until the next
// read, and c.stamp is when they arrived.
func (c *conn) piece() ([]byte, error) {
	if c.body.ended {
		return nil, io.EOF
	}
	if c.body.chunked && c.body.left == 0 {
		if err := c.chunk(); err != nil {
			return nil, err
		}
		if c.body.ended {
			return nil, io.EOF
		}
	}
	if c.r == c.w {
		if err := c.fill(); err != nil {
			if errors.Is(err, io.EOF) && c.body.left < 0 {
				c.body.ended = true
				return nil, io.EOF
			}
			return nil, unexpected(err)
		}
	}
	n := c.w - c.r
	if c.body.left >= 0 {
		n = int(min(int64(n), c.body.left))
		c.body.left -= int64(n)
	}
	p := c.buf[c.r : c.r+n]
	c.r += n
	if c.body.left == 0 {
		c.body.tail, c.body.ended = c.body.chunked, !c.body.chunked
	}
	return p, nil
}

// chunk reads the head of the next chunk, and the trailers after the last one.
func (c *conn) chunk() error {
	if c.body.tail {
		c.body.tail = false
		if _, err := c.line(); err != nil {
			return unexpected(err)
		}
	}
	line, err := c.line()
	if err != nil {
		return unexpected(err)
	}
	size, _, _ := bytes.Cut(line, []byte(";"))
	n, ok := hex(bytes.TrimSpace(size))
	if !ok {
		return fmt.Errorf("invalid chunk length %.20q", line)
	}
	c.body.left = n
	if n > 0 {
		return nil
	}
	c.body.ended = true
	return c.headers(func(_, _ []byte) error { return nil })
}

// hex reads a number without allocating.
func hex(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 15 {
		return 0, false
	}
	for _, d := range b {
		switch {
		case d >= '0' && d <= '9':
			n = n<<4 | int64(d-'0')
		case d >= 'a' && d <= 'f':
			n = n<<4 | int64(d-'a'+10)
		case d >= 'A' && d <= 'F':
			n = n<<4 | int64(d-'A'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

// unexpected returns the error for a stream that ends in the middle.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// rest reads a short body to its end.
func (c *conn) rest(limit int) ([]byte, error) {
	var out []byte
	for {
		p, err := c.piece()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		if out = append(out, p...); len(out) > limit {
			return out[:limit], fmt.Errorf("more than %d bytes", limit)
		}
	}
}
