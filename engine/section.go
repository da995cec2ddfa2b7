package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
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

// JSON is a section in the form of an experiment: canonical JSON, in which equal sections are equal texts.
type JSON string

// MarshalJSON implements json.Marshaler.
func (j JSON) MarshalJSON() ([]byte, error) {
	if j == "" {
		return []byte("{}"), nil
	}
	return []byte(j), nil
}

// Encode encodes a section.
func Encode(s Section) JSON { return JSON(grammar.Append(nil, slots(s))) }

// Decode reads the output of [Encode] into a section: missing keys keep their values. An unknown key or an invalid
// value is an error.
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
	for _, f := range slots(into) {
		v, ok := values[f.Key]
		delete(values, f.Key)
		if !ok || v == nil {
			continue
		}
		if err := f.Decode(v); err != nil {
			return fmt.Errorf("%s %w", f.Key, err)
		}
	}
	for key := range values {
		return fmt.Errorf("unknown key %q", key)
	}
	return nil
}

// Batch returns the maximum number of sequences per step; 0 means the engine decides.
func (j JSON) Batch() int {
	for _, key := range grammar.BatchKeys() {
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
