// Package lines reads and writes messages as lines of JSON, each of bounded length.
package lines

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Max bounds a line, in bytes, without its end.
const Max = 64 << 20

// ErrTooLong is wrapped by the error for a line over the limit.
var ErrTooLong = errors.New("protocol line is too long")

// jsonSpace is the white space of JSON, which excludes the vertical tab.
const jsonSpace = " \t\r\n"

// Decoder reads JSON lines of type T. After an error it must not be used again.
type Decoder[T any] struct {
	r *bufio.Reader
	// Limit bounds a line, in bytes, without its end.
	Limit int
}

// NewDecoder returns a decoder of lines of at most Max bytes.
func NewDecoder[T any](r io.Reader) *Decoder[T] {
	return &Decoder[T]{r: bufio.NewReaderSize(r, 64<<10), Limit: Max}
}

// Next returns the next message. It returns io.EOF at a clean end, an error that wraps io.ErrUnexpectedEOF if the
// stream ends inside a line, an error that wraps ErrTooLong as soon as a line exceeds the limit, and otherwise a
// syntax error that quotes the beginning of the line.
func (d *Decoder[T]) Next() (T, error) {
	var msg T
	line, err := d.line()
	if err != nil {
		return msg, err
	}
	if err := json.Unmarshal(line, &msg); err != nil {
		return msg, fmt.Errorf("protocol line %.80q: %w", line, err)
	}
	return msg, nil
}

// line returns one line without its end, skipping blank ones.
func (d *Decoder[T]) line() ([]byte, error) {
	var line []byte
	for {
		part, err := d.r.ReadSlice('\n')
		line = append(line, part...)
		if len(bytes.TrimSuffix(line, []byte("\n"))) > d.Limit {
			return nil, fmt.Errorf("more than %d bytes: %w", d.Limit, ErrTooLong)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, fmt.Errorf("protocol stream ended inside a line (%.80q): %w", line, io.ErrUnexpectedEOF)
		case err != nil:
			return nil, err
		}
		if trimmed := bytes.Trim(line, jsonSpace); len(trimmed) > 0 {
			return trimmed, nil
		}
		line = line[:0]
	}
}

// Encode turns msg into one line.
func Encode(msg any) ([]byte, error) {
	line, err := json.Marshal(msg)
	if err != nil {
		return nil, fmt.Errorf("encode protocol message: %w", err)
	}
	if len(line) > Max {
		return nil, fmt.Errorf("%d bytes, the limit is %d: %w", len(line), Max, ErrTooLong)
	}
	return append(line, '\n'), nil
}
