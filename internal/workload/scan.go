package workload

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxRecord is the maximum size of one record, in bytes.
const maxRecord = 16 << 20

// record is one raw value of a prompt file, or the problem found instead.
type record struct {
	line    int // where it starts, from 1
	data    []byte
	problem string
}

// scanner splits a prompt file into records, one at a time, whatever their content: a bad record never hides the
// ones after it. data is valid until the next call of next.
type scanner struct {
	r       *bufio.Reader
	limit   int // maximum size of one record, in bytes
	line    int // of the next byte
	buf     []byte
	over    bool // the current record is too long; its bytes are dropped
	rec     record
	step    func() bool
	failure error
}

// newScanner reads lines, or, if the text starts with '[', the elements of that array: no line of a valid file
// starts with it.
func newScanner(r io.Reader, limit int) *scanner {
	s := &scanner{r: bufio.NewReaderSize(r, 1<<16), limit: limit, line: 1}
	if bom, err := s.r.Peek(3); err == nil && bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
		_, _ = s.r.Discard(3) // just peeked
	}
	s.step = s.nextLine
	if s.skipSpace() == '[' {
		s.readByte()
		s.step = s.firstElement
	}
	return s
}

func (s *scanner) next() bool     { return s.failure == nil && s.step() }
func (s *scanner) record() record { return s.rec }

func (s *scanner) err() error {
	if errors.Is(s.failure, io.EOF) {
		return nil
	}
	return s.failure
}

// nextLine reads the next line that is not blank.
func (s *scanner) nextLine() bool {
	for s.failure == nil {
		s.begin()
		for {
			part, err := s.r.ReadSlice('\n')
			s.keep(part)
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			s.failure = err
			break
		}
		s.line++
		if s.finish(); !s.empty() {
			return true
		}
	}
	return false
}

// firstElement is called after the opening bracket: the array may be empty.
func (s *scanner) firstElement() bool {
	if s.skipSpace() == ']' {
		s.readByte()
		return s.afterArray()
	}
	return s.element()
}

// element reads the text up to the comma or bracket that ends it. Brackets are only counted, not matched: the
// record's parser checks the text.
func (s *scanner) element() bool {
	s.skipSpace()
	s.begin()
	var cut cutter
	for {
		if _, err := s.r.Peek(1); err != nil { // fills the buffer
			s.failure = err
			return s.cutShort()
		}
		part, _ := s.r.Peek(s.r.Buffered()) // cannot fail
		n, ended := cut.scan(part)
		s.keep(part[:n])
		s.line += bytes.Count(part[:n], []byte{'\n'})
		if !ended {
			_, _ = s.r.Discard(n) // just peeked
			continue
		}
		s.step = s.element
		if part[n] == ']' {
			s.step = s.afterArray
		}
		_, _ = s.r.Discard(n + 1)
		return s.endElement()
	}
}

// cutter finds the end of an array's element in text that arrives in parts.
type cutter struct {
	depth           int
	quoted, escaped bool
}

// scan returns the index of the comma or bracket that ends the element, or the length of part if the element
// continues.
func (c *cutter) scan(part []byte) (n int, ended bool) {
	for i, b := range part {
		switch {
		case c.escaped:
			c.escaped = false
		case c.quoted:
			c.escaped = b == '\\'
			c.quoted = b != '"'
		case b == '"':
			c.quoted = true
		case b == '{', b == '[':
			c.depth++
		case c.depth > 0 && (b == '}' || b == ']'):
			c.depth--
		case c.depth == 0 && (b == ',' || b == ']'):
			return i, true
		}
	}
	return len(part), false
}

func (s *scanner) endElement() bool {
	if s.finish(); s.empty() {
		s.rec.problem = "nothing between two commas or before the end of the array"
	}
	return true
}

func (s *scanner) cutShort() bool {
	if s.err() != nil {
		return false
	}
	return s.last("the array is not closed: is the file truncated?")
}

// afterArray is called after the closing bracket: nothing may follow.
func (s *scanner) afterArray() bool {
	if c := s.skipSpace(); c == 0 && s.failure != nil {
		return false
	}
	s.begin()
	return s.last("text after the end of the array")
}

// last reports one problem and ends the scan.
func (s *scanner) last(problem string) bool {
	s.rec = record{line: s.rec.line, problem: problem}
	s.step = func() bool { return false }
	return true
}

func (s *scanner) begin() {
	s.buf, s.over = s.buf[:0], false
	s.rec = record{line: s.line}
}

func (s *scanner) keep(part []byte) {
	const room = 4 << 10 // for white space around the text, which does not count
	if s.over = s.over || len(s.buf)+len(part) > s.limit+room; !s.over {
		s.buf = append(s.buf, part...)
	}
}

// finish closes the record that begin opened, and sets its problem if it is too long.
func (s *scanner) finish() {
	s.rec.data = bytes.Trim(s.buf, " \t\r\n") // the white space of JSON, no other
	if s.over || len(s.rec.data) > s.limit {
		s.rec = record{line: s.rec.line, problem: fmt.Sprintf("record is longer than %d bytes", s.limit)}
	}
}

func (s *scanner) empty() bool { return len(s.rec.data) == 0 && s.rec.problem == "" }

func (s *scanner) readByte() (byte, bool) {
	c, err := s.r.ReadByte()
	if err != nil {
		s.failure = err
		return 0, false
	}
	if c == '\n' {
		s.line++
	}
	return c, true
}

// skipSpace moves to the next byte that is not white space and peeks at it.
func (s *scanner) skipSpace() byte {
	for {
		c, ok := s.readByte()
		if !ok {
			return 0
		}
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			_ = s.r.UnreadByte() // follows a ReadByte
			return c
		}
	}
}
