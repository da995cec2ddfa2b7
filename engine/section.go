package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/grammar"
)

// Section holds the settings of an engine in an experiment. It is a pointer to a struct
// whose fields have the names of the engine's own options.
type Section interface {
	// Fields lists the keys, in the order in which they are documented and written.
	Fields() []Field
}

// Toggle is an option of an engine that is on, off, or left to the engine.
type Toggle string

// Values of a [Toggle].
const (
	Unset Toggle = ""
	On    Toggle = grammar.True
	Off   Toggle = grammar.False
)

// JSON is a section as an experiment holds it: canonical JSON, in which equal sections are
// equal texts.
type JSON string

// MarshalJSON implements json.Marshaler.
func (j JSON) MarshalJSON() ([]byte, error) {
	if j == "" {
		return []byte("{}"), nil
	}
	return []byte(j), nil
}

// Encode writes a section.
func Encode(s Section) JSON { return JSON(Append(nil, s.Fields())) }

// Append writes fields as an object of JSON. The order of the fields is that of the keys.
func Append(to []byte, fields []Field) []byte {
	to = append(to, '{')
	first := true
	for i := range fields {
		f := &fields[i]
		if f.omitZero && f.isZero() {
			continue
		}
		if !first {
			to = append(to, ',')
		}
		first = false
		to = append(to, '"')
		to = append(to, f.Key...)
		to = append(to, '"', ':')
		to = f.append(to)
	}
	return append(to, '}')
}

func (f *Field) append(to []byte) []byte {
	switch {
	case f.isSwitch && *f.text == "":
		return append(to, "null"...)
	case f.isSwitch:
		return append(to, *f.text...)
	case f.text != nil:
		return appendText(to, *f.text)
	case f.whole != nil:
		return strconv.AppendInt(to, int64(*f.whole), 10)
	}
	return appendNumber(to, *f.number)
}

// appendText writes a text as encoding/json does.
func appendText(to []byte, s string) []byte {
	plain := func(r rune) bool {
		return r >= ' ' && r < 0x7f && r != '"' && r != '\\' && r != '<' && r != '>' && r != '&'
	}
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		to = append(to, '"')
		to = append(to, s...)
		return append(to, '"')
	}
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // texts marshal
	}
	return append(to, b...)
}

// appendNumber writes a number as encoding/json does.
func appendNumber(to []byte, f float64) []byte {
	if abs := math.Abs(f); abs == 0 || abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(to, f, 'f', -1, 64)
	}
	b, err := json.Marshal(f)
	if err != nil {
		panic(err) // numbers of sections are finite
	}
	return append(to, b...)
}

// Decode reads what [Encode] wrote into a section: keys that are not there keep their
// values. A key that the section does not have, or a value that it does not accept, is an
// error.
func Decode(text []byte, into Section) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var values map[string]any
	if err := d.Decode(&values); err != nil {
		return err
	}
	for _, f := range into.Fields() {
		v, ok := values[f.Key]
		delete(values, f.Key)
		if !ok || v == nil {
			continue
		}
		if err := f.decode(v); err != nil {
			return fmt.Errorf("%s %w", f.Key, err)
		}
	}
	for key := range values {
		return fmt.Errorf("unknown key %q", key)
	}
	return nil
}

// decode reads one value.
func (f Field) decode(v any) error {
	kind := f.kind()
	var text string
	switch v := v.(type) {
	case string:
		if kind.Basic != grammar.IsText {
			return fmt.Errorf("is the text %q; want %s", v, kind.Want)
		}
		text = v
	case bool:
		if !f.isSwitch {
			return fmt.Errorf("is %v; want %s", v, kind.Want)
		}
		text = strconv.FormatBool(v)
	case json.Number:
		if kind.Basic != grammar.IsNumber {
			return fmt.Errorf("is the number %s; want %s", v, kind.Want)
		}
		text = v.String()
	default:
		return fmt.Errorf("is neither a text, a number nor a switch; want %s", kind.Want)
	}
	if f.omitZero && (text == "" || kind.Basic == grammar.IsNumber && text == "0") { // what is not given
		f.Set(grammar.Value{})
		return nil
	}
	parsed, err := kind.Parse(text)
	if err != nil {
		return err
	}
	f.Set(parsed)
	return nil
}

// batchKeys are the names of the key that holds the most sequences of one step, in any
// engine's section. A result shows its batch size by them also where this program does not
// have the engine.
func batchKeys() []string {
	return []string{"batch_size", "max_num_seqs", "max_running_requests", "max_batch_size", "parallel"}
}

// Batch is the most sequences of one step; 0 is the engine's choice.
func (j JSON) Batch() int {
	for _, key := range batchKeys() {
		_, rest, ok := strings.Cut(string(j), `"`+key+`":`)
		if !ok {
			continue
		}
		end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if n, err := strconv.Atoi(rest[:max(end, 0)]); err == nil {
			return n
		}
	}
	return 0
}

// BatchField is the index of the field that holds the batch size; -1 if there is none.
func BatchField(fields []Field) int {
	for i, f := range fields {
		if slices.Contains(batchKeys(), f.Key) {
			return i
		}
	}
	return -1
}
