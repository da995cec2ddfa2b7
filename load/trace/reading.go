package trace

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/llenergymeasure/llem/load"
)

// reading is the state of one pass over a file.
type reading struct {
	in      *bufio.Reader
	name    string
	line    int64
	options Options
	format  *format
	out     *Trace
	// first and last are the stamps of the first and the last row.
	first, last int64
	// turns maps ids of turns to indexes of kept requests; sessions keeps one copy of each name.
	turns    map[int64]int
	sessions map[string]string
	latest   map[string]int // the last request of each session
	arena    []int64
	buffer   []byte
}

func (s *reading) errorf(next, format string, args ...any) error {
	return &LineError{s.name, s.line, fmt.Sprintf(format, args...), next}
}

// readLine returns the next line without its end, or io.EOF.
func (s *reading) readLine() ([]byte, error) {
	s.buffer = s.buffer[:0]
	for {
		part, err := s.in.ReadSlice('\n')
		if s.buffer = append(s.buffer, part...); len(s.buffer) > maxLine {
			s.line++
			return nil, s.errorf("give a file with one request per line", "the line is longer than %d MiB", maxLine>>20)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && (!errors.Is(err, io.EOF) || len(s.buffer) == 0):
			return nil, err
		}
		s.line++
		return bytes.TrimRight(s.buffer, "\r\n"), nil
	}
}

// all reads the rows up to the end of the span.
func (s *reading) all() error {
	var r row
	for {
		line, err := s.readLine()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if s.format == nil {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if s.format == nil {
			header, err := s.recognise(line)
			if err != nil {
				return err
			}
			if header {
				continue
			}
		}
		r = row{id: -1, parent: -1, wait: -1, blocks: r.blocks[:0]}
		if err := s.format.parse(line, &r); err != nil {
			if errors.Is(err, errSkip) {
				continue
			}
			return s.errorf("correct the line or remove it", "%v", err)
		}
		done, err := s.take(&r)
		if done || err != nil {
			return err
		}
	}
}

// take keeps a row, unless it is to be left out. It reports whether the span has ended.
func (s *reading) take(r *row) (done bool, err error) {
	c, o := &s.out.Counts, s.options
	if c.Rows++; c.Rows == 1 {
		s.first, s.last = r.at, r.at
	}
	if r.at < s.last {
		return false, s.errorf("sort the file by time", "the time is %v before the line above",
			time.Duration(s.last-r.at))
	}
	s.last = r.at
	at := r.at - s.first
	switch {
	case r.input < 0 || r.output < 0 || r.input > maxTokens || r.output > maxTokens:
		return false, s.errorf("correct the line or remove it", "%d prompt tokens and %d output tokens, want 0 to %d",
			r.input, r.output, maxTokens)
	case len(r.blocks) > 0 && int64(len(r.blocks)-1)*int64(s.format.block) >= max(1, r.input):
		return false, s.errorf("correct the line or remove it", "%d blocks of %d tokens for a prompt of %d tokens",
			len(r.blocks), s.format.block, r.input)
	case at < int64(o.From):
		c.Outside++
		return false, nil
	case o.To > 0 && at >= int64(o.To):
		c.Outside++
		return true, nil
	case r.input == 0 || r.output == 0:
		c.Empty++
		return false, nil
	case !s.fit(r):
		c.Dropped++
		return false, nil
	case len(s.out.Requests) == load.MaxRequests:
		return false, s.errorf("choose a part of the trace with workload.load.span", "more than %d requests",
			load.MaxRequests)
	}
	s.keep(r, at-int64(o.From))
	return len(s.out.Requests) == o.Requests, nil
}

// fit shortens a row to the limits, and reports whether it is to be kept.
func (s *reading) fit(r *row) bool {
	o := s.options
	long := o.MaxInput > 0 && r.input > int64(o.MaxInput) || o.MaxOutput > 0 && r.output > int64(o.MaxOutput)
	if !long {
		return true
	}
	if !o.Clip {
		return false
	}
	s.out.Counts.Clipped++
	if o.MaxInput > 0 {
		r.input = min(r.input, int64(o.MaxInput))
	}
	if o.MaxOutput > 0 {
		r.output = min(r.output, int64(o.MaxOutput))
	}
	return true
}

// keep adds a row to the trace.
func (s *reading) keep(r *row, at int64) {
	q := Request{AtNS: at, Input: int(r.input), Output: int(r.output), Parent: -1, Line: s.line, WaitNS: r.wait}
	if b := int64(s.format.block); b > 0 && len(r.blocks) > 0 {
		q.Blocks = s.store(r.blocks[:min(int64(len(r.blocks)), (r.input+b-1)/b)])
	}
	if r.session != "" {
		name, ok := s.sessions[r.session]
		if !ok {
			name = r.session
			s.sessions[name] = name
		}
		q.Session = name
		if s.format.chains {
			if before, ok := s.latest[name]; ok {
				q.Parent = before
			}
			s.latest[name] = len(s.out.Requests)
		}
	}
	if parent, ok := s.turns[r.parent]; ok && r.parent >= 0 {
		q.Parent = parent
		q.Session = s.out.Requests[parent].Session
	}
	if r.id >= 0 {
		s.turns[r.id] = len(s.out.Requests)
		if q.Session == "" {
			q.Session = fmt.Sprint(r.id)
		}
	}
	s.out.Requests = append(s.out.Requests, q)
}

// store copies block ids into large pieces of memory.
func (s *reading) store(blocks []int64) []int64 {
	if cap(s.arena)-len(s.arena) < len(blocks) {
		s.arena = make([]int64, 0, max(1<<16, len(blocks)))
	}
	from := len(s.arena)
	s.arena = append(s.arena, blocks...)
	return s.arena[from:len(s.arena):len(s.arena)]
}
