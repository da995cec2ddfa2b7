package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// events reads server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) and keeps them
// with the time at which they were complete. They are parsed when the request is over: while tokens arrive nothing
// is parsed and, once the buffers have grown, nothing is allocated.
type events struct {
	text []byte // data of all events, one after the other
	list []arrived
	from int  // where the data of the current event begin in text
	any  bool // it has a data line
	line []byte
	// bytes of the stream, and the error that ended it.
	read int
}

// arrived is an event's position in the text and its time of arrival.
type arrived struct {
	from, to int
	at       int64
}

// reset clears the events and keeps the buffers.
func (e *events) reset() { *e = events{text: e.text[:0], list: e.list[:0], line: e.line[:0]} }

// data returns the data of an event.
func (e *events) data(i int) []byte { return e.text[e.list[i].from:e.list[i].to] }

// Limits of a stream in bytes: some for everything that is not a token, including the prompt if it is repeated as
// text, and several times what any engine sends for a token. No stream may exceed maxEvents.
const (
	streamBytes = 1 << 20
	promptBytes = 64
	tokenBytes  = 4 << 10
	idBytes     = 32 // a token's id and text, in an event that repeats them
	maxEvents   = 256 << 20
)

// mostBytes returns the maximum size of the answer to a request.
func mostBytes(prompt, output int, repeats bool) int {
	n := streamBytes + float64(prompt)*promptBytes + float64(output)*tokenBytes
	if repeats {
		n += float64(output) * float64(output) * idBytes
	}
	return int(min(n, maxEvents))
}

// readAll reads events until the body ends or exceeds a number of bytes. It calls seen at every arrival.
func (e *events) readAll(c *conn, most int, seen func(at int64)) error {
	for {
		p, err := c.piece()
		if errors.Is(err, io.EOF) {
			if e.any || len(e.line) > 0 {
				return fmt.Errorf("the stream ended inside an event: %w", io.ErrUnexpectedEOF)
			}
			return nil
		}
		if err != nil {
			return err
		}
		seen(c.stamp)
		if e.read += len(p); e.read > most {
			return fmt.Errorf("the stream exceeds the %d bytes that an answer of that length needs", most)
		}
		e.feed(p, c.stamp)
	}
}

// feed processes bytes of the stream.
func (e *events) feed(p []byte, at int64) {
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			e.line = append(e.line, p...)
			return
		}
		line := p[:i]
		if len(e.line) > 0 {
			e.line = append(e.line, line...)
			line = e.line
		}
		e.take(bytes.TrimSuffix(line, []byte("\r")), at)
		e.line = e.line[:0]
		p = p[i+1:]
	}
}

// take processes one line: data, the blank line that ends an event, or an ignored line (comments, names, ids).
func (e *events) take(line []byte, at int64) {
	if len(line) == 0 {
		if e.any {
			e.list = append(e.list, arrived{e.from, len(e.text), at})
		}
		e.from, e.any = len(e.text), false
		return
	}
	data, ok := bytes.CutPrefix(line, []byte("data:"))
	if !ok {
		return
	}
	if e.any {
		e.text = append(e.text, '\n')
	}
	e.text = append(e.text, bytes.TrimPrefix(data, []byte(" "))...)
	e.any = true
}
