package backend

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/llenergymeasure/llem/backend/internal/lines"
)

// ending is how a stream of lines ends for its reader.
type ending string

const (
	cleanEnd  ending = "end"
	tornEnd   ending = "torn line"
	longEnd   ending = "long line"
	syntaxEnd ending = "syntax error"
)

func endingOf(err error) ending {
	switch {
	case err == io.EOF: //nolint:errorlint // a clean end is io.EOF itself
		return cleanEnd
	case errors.Is(err, io.ErrUnexpectedEOF):
		return tornEnd
	case errors.Is(err, lines.ErrTooLong):
		return longEnd
	}
	return syntaxEnd
}

// decodeAll reads messages until the first error.
func decodeAll[T any](r io.Reader, limit int) ([]T, error) {
	d := lines.NewDecoder[T](r)
	d.Limit = limit
	var all []T
	for {
		msg, err := d.Next()
		if err != nil {
			return all, err
		}
		all = append(all, msg)
	}
}

// expected returns, by the simplest implementation, what decodeAll must return.
func expected[T any](data []byte, limit int) ([]T, ending) {
	var all []T
	for {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		switch {
		case len(line) > limit:
			return all, longEnd
		case !whole && len(line) == 0:
			return all, cleanEnd
		case !whole:
			return all, tornEnd
		}
		data = rest
		if len(bytes.Trim(line, " \t\r\n")) == 0 {
			continue
		}
		var msg T
		if json.Unmarshal(line, &msg) != nil {
			return all, syntaxEnd
		}
		all = append(all, msg)
	}
}

func checkDecoder[T any](t *testing.T, data []byte, limit int) {
	t.Helper()
	want, wantEnd := expected[T](data, limit)
	for name, r := range map[string]io.Reader{
		"at once":      bytes.NewReader(data),
		"byte by byte": iotest.OneByteReader(bytes.NewReader(data)),
	} {
		got, err := decodeAll[T](r, limit)
		if end := endingOf(err); end != wantEnd {
			t.Fatalf("%s: ended with %v (%s), want %s", name, err, end, wantEnd)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s: messages differ (-want +got):\n%s", name, diff)
		}
	}
	for _, msg := range want {
		checkRoundTrip(t, msg)
	}
}

// checkRoundTrip checks that one encoding decodes to a message with the same encoding.
func checkRoundTrip[T any](t *testing.T, msg T) {
	t.Helper()
	first, err := lines.Encode(msg)
	if err != nil {
		t.Fatalf("encode %+v: %v", msg, err)
	}
	if n := bytes.Count(first, []byte("\n")); n != 1 {
		t.Fatalf("%q has %d line ends, want 1", first, n)
	}
	back, err := decodeAll[T](bytes.NewReader(first), lines.Max)
	if err != io.EOF || len(back) != 1 { //nolint:errorlint // a clean end is io.EOF itself
		t.Fatalf("decode %q = %d messages, %v", first, len(back), err)
	}
	second, err := lines.Encode(back[0])
	if err != nil || !bytes.Equal(first, second) {
		t.Fatalf("encoded %q, after decoding %q (%v)", first, second, err)
	}
}

func FuzzDecoder(f *testing.F) {
	for _, seed := range []string{
		"",
		"\n \r\n\t\n",
		`{"v":1,"id":1,"op":"hello"}` + "\n",
		`{"id":2,"op":"load","load":{"model":"m","path":"p","seed":18446744073709551615,` +
			`"options":{ "threads": 1 }}}` + "\r\n",
		`{"id":3,"op":"tokenize","texts":["naïve 東京 🙂","\u2028<&>"]}` + "\n\n",
		`{"id":4,"op":"run","run":{"requests":[{"id":1,"tokens":[1,2]}],"output_tokens":3}}` + "\n" +
			`{"id":5,"op":"cancel"}` + "\n",
		`{"v":1,"id":1,"event":"hello","clock_ns":9223372036854775807,"info":{"version":"1","device":"cpu"}}` + "\n",
		`{"id":4,"event":"requests","requests":[{"id":1,"token_ns":[1,2],"ok":true}]}` + "\n" +
			`{"id":4,"event":"done"}` + "\n",
		`{"id":4,"event":"progress","fraction":-0.0}` + "\n",
		`{"id":4,"event":"error","failure":{"class":"oom_gpu","message":"no memory","next":"h"}}` + "\n",
		`{"id":4,"event":"steps","steps":[{"start_ns":1`,
		"Traceback (most recent call last):\n",
		"null\n[]\n\"x\"\n",
		"\vnull\n",
		strings.Repeat("[", 200) + "\n",
		strings.Repeat("x", 300),
		"\x00\xff\n{\"event\":\"\xff\"}\n",
	} {
		f.Add([]byte(seed), uint16(250))
		f.Add([]byte(seed), uint16(20))
	}
	f.Fuzz(func(t *testing.T, data []byte, limit uint16) {
		checkDecoder[command](t, data, int(limit))
		checkDecoder[reply](t, data, int(limit))
	})
}

func TestDecoderLimit(t *testing.T) {
	line := `{"id":1,"op":"` + strings.Repeat("x", 100) + `"}`
	for _, end := range []string{"\n", "\r\n"} {
		size := len(line) + len(end) - 1
		if _, err := decodeAll[command](strings.NewReader(line+end), size); endingOf(err) != cleanEnd {
			t.Errorf("a line of exactly the limit: %v, want it to pass", err)
		}
		_, err := decodeAll[command](strings.NewReader(line+end), size-1)
		if endingOf(err) != longEnd || !strings.Contains(err.Error(), fmt.Sprint(size-1)) {
			t.Errorf("a line over the limit: %v, want an error that names the limit", err)
		}
	}
}

// endless returns one line without end and counts the bytes read of it.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	e.read += len(p)
	return len(p), nil
}

func TestDecoderRefusesLongLineEarly(t *testing.T) {
	const limit = 1 << 20
	var r endless
	_, err := decodeAll[reply](&r, limit)
	if endingOf(err) != longEnd {
		t.Errorf("endless line: %v, want %v", err, lines.ErrTooLong)
	}
	if r.read > limit+64<<10 {
		t.Errorf("%d bytes of an endless line were read, want at most the limit %d and one buffer", r.read, limit)
	}
}

func TestDecoderPassesOnReadErrors(t *testing.T) {
	broken := errors.New("broken pipe")
	got, err := decodeAll[command](io.MultiReader(strings.NewReader(`{"id":7}`+"\n"), iotest.ErrReader(broken)),
		lines.Max)
	if !errors.Is(err, broken) || len(got) != 1 || got[0].ID != 7 {
		t.Errorf("decode = %+v, %v, want command 7, then %v", got, err, broken)
	}
}

func TestDecoderQuotesTheLine(t *testing.T) {
	line := "Traceback" + strings.Repeat(" very", 100)
	_, err := decodeAll[reply](strings.NewReader(line+"\n"), lines.Max)
	if err == nil || !strings.Contains(err.Error(), "Traceback very") || len(err.Error()) > 300 {
		t.Errorf("error %v, want the beginning of the line", err)
	}
}

func TestEncodeErrors(t *testing.T) {
	if _, err := lines.Encode(reply{Fraction: math.NaN()}); err == nil {
		t.Error("encoding NaN succeeded")
	}
}
