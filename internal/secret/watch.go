package secret

import (
	"bytes"
	"io"
	"slices"
)

// Watch is a reader of JSON that detects whether its texts may hold what [Plain] removes, so that documents of a
// hundred thousand runs are cleaned only if necessary.
type Watch struct {
	from io.Reader
	last []byte // the end of the previous read
	odd  bool
}

// NewWatch returns a reader of the same bytes.
func NewWatch(from io.Reader) *Watch { return &Watch{from: from} }

// Read implements io.Reader.
func (w *Watch) Read(p []byte) (int, error) {
	n, err := w.from.Read(p)
	if !w.odd && n > 0 {
		const before = 2 // the length of the longest character that is searched for, minus one
		head := slices.Concat(w.last, p[:min(n, before)])
		w.odd = Odd(head) || Odd(p[:n])
		if n >= before {
			head = p[:n]
		}
		w.last = append(w.last[:0], head[max(0, len(head)-before):]...)
	}
	return n, err
}

// Odd reports whether anything read so far must be cleaned.
func (w *Watch) Odd() bool { return w.odd }

// Odd reports whether JSON may hold a character that [Plain] removes, literally or as an escape.
func Odd(text []byte) bool {
	return bytes.Contains(text, []byte(`\u`)) || bytes.Contains(text, []byte(`\r`)) ||
		bytes.Contains(text, []byte(`\b`)) || bytes.Contains(text, []byte(`\f`)) || bytes.IndexByte(text, 0x7f) >= 0 ||
		follows(text, "\xc2", 0x80, 0x9f) || follows(text, "\xe2\x80", 0xaa, 0xae) ||
		follows(text, "\xe2\x81", 0xa6, 0xa9)
}

// follows reports whether text holds start followed by a byte of a range.
func follows(text []byte, start string, low, high byte) bool {
	for {
		i := bytes.Index(text, []byte(start))
		if i < 0 || i+len(start) >= len(text) {
			return false
		}
		text = text[i+len(start):]
		if text[0] >= low && text[0] <= high {
			return true
		}
	}
}
