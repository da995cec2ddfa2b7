package grammar

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Slot is one key of an engine's section with its value. It has the fields of engine.Field, which is converted to
// it: the program's operations on a field are here, hidden from users of the library.
type Slot struct {
	// Key is the name without the engine's name: max_num_seqs.
	Key string
	// Help describes the key.
	Help string
	// Own is the engine's own name of the key if it differs from Key: an option, or a part of an option that is an
	// object, as in kv_cache_config.dtype.
	Own string
	// At points to the value: a *string, *int or *float64.
	At any
	// IsSwitch reports that the text at At is a Toggle, IsList that it is a list of numbers which forms one value.
	IsSwitch, IsList bool
	// Want describes a valid text; empty means one of Words.
	Want string
	// Pattern is a regular expression that a text matches; empty accepts any line.
	Pattern string
	// Words are all valid texts, or examples of what matches Pattern.
	Words []string
	// Low and High bound a number.
	Low, High float64
	// Most bounds whole numbers that are among the texts; 0 is none.
	Most int
	// Zero is the value that the zero value stands for; empty for the zero value itself.
	Zero string
	// IsOptional leaves the default to the engine. OmitsZero leaves the zero value out of an experiment.
	IsOptional, OmitsZero bool
	// IsMachine reports that the key is allowed in a user's own file.
	IsMachine bool
}

// Kind returns what the key accepts.
func (f *Slot) Kind() Kind {
	switch f.At.(type) {
	case *int:
		return Integer(int64(f.Low), int64(f.High))
	case *float64:
		return Float(f.Low, f.High)
	}
	var k Kind
	switch {
	case f.IsSwitch:
		return Switch()
	case f.Pattern != "":
		k = Pattern(f.Want, f.Pattern, f.Words...)
	case f.Want != "":
		k = Line(f.Want)
	default:
		k = Choice(f.Words...)
	}
	switch {
	case f.IsList:
		number := map[string]any{"type": "number", "minimum": 0}
		k.Schema = map[string]any{"anyOf": []any{k.Schema,
			map[string]any{"type": "array", "items": number, "minItems": 1}}}
	case f.Most > 0:
		k.Schema = map[string]any{"anyOf": []any{
			map[string]any{"type": "integer", "minimum": 0, "maximum": f.Most}, k.Schema}}
	}
	return k
}

// Check reports what is wrong with the field itself: a pointer of another type, or words that are not values.
func (f *Slot) Check() error {
	switch f.At.(type) {
	case *string:
		if !f.IsSwitch && f.Want == "" && len(f.Words) == 0 {
			return fmt.Errorf("%s accepts no text", f.Key)
		}
	case *int, *float64:
	default:
		return fmt.Errorf("the value of %s is in a %T; want a *string, *int or *float64", f.Key, f.At)
	}
	if f.Zero == "" {
		return nil
	}
	if _, err := f.Kind().Parse(f.Zero); err != nil {
		return fmt.Errorf("the zero value of %s %w", f.Key, err)
	}
	return nil
}

// zero returns the value that the zero value stands for.
func (f *Slot) zero() Value {
	if f.Zero == "" {
		return Value{}
	}
	if _, text := f.At.(*string); text {
		return Value{Text: f.Zero}
	}
	v, err := f.Kind().Parse(f.Zero)
	if err != nil {
		return Value{} // Check reports it
	}
	return v
}

// Get returns the value in the section.
func (f *Slot) Get() Value {
	if !f.Given() {
		return f.zero()
	}
	switch at := f.At.(type) {
	case *string:
		return Value{Text: *at}
	case *int:
		return Value{Whole: int64(*at), Number: float64(*at)}
	case *float64:
		return Value{Number: *at}
	}
	return Value{}
}

// Set changes the value in the section.
func (f *Slot) Set(v Value) {
	if v == f.zero() {
		v = Value{}
	}
	switch at := f.At.(type) {
	case *string:
		*at = v.Text
	case *int:
		*at = int(v.Whole)
	case *float64:
		*at = v.Number
	}
}

// Given reports whether the section's value differs from the zero value.
func (f *Slot) Given() bool {
	switch at := f.At.(type) {
	case *string:
		return *at != ""
	case *int:
		return *at != 0
	case *float64:
		return *at != 0
	}
	return false
}

// Append writes fields as a JSON object, in the order of the fields.
func Append(to []byte, fields []Slot) []byte {
	to = append(to, '{')
	first := true
	for i := range fields {
		f := &fields[i]
		if f.OmitsZero && !f.Given() {
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

func (f *Slot) append(to []byte) []byte {
	switch at := f.At.(type) {
	case *string:
		switch {
		case f.IsSwitch && *at == "":
			return append(to, "null"...)
		case f.IsSwitch:
			return append(to, *at...)
		}
		return appendText(to, *at)
	case *int:
		return strconv.AppendInt(to, int64(*at), 10)
	case *float64:
		return appendNumber(to, *at)
	}
	return to
}

// appendText writes a text in the form of encoding/json.
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
		panic(err) // texts always marshal
	}
	return append(to, b...)
}

// appendNumber writes a number in the form of encoding/json.
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

// Decode sets the value from a JSON value, whose numbers are of type json.Number.
func (f *Slot) Decode(v any) error {
	kind := f.Kind()
	var text string
	switch v := v.(type) {
	case string:
		if kind.Basic != IsText {
			return fmt.Errorf("is the text %q; want %s", v, kind.Want)
		}
		text = v
	case bool:
		if !f.IsSwitch {
			return fmt.Errorf("is %v; want %s", v, kind.Want)
		}
		text = strconv.FormatBool(v)
	case json.Number:
		if kind.Basic != IsNumber {
			return fmt.Errorf("is the number %s; want %s", v, kind.Want)
		}
		text = v.String()
	default:
		return fmt.Errorf("is not a text, a number or a switch; want %s", kind.Want)
	}
	if f.OmitsZero && (text == "" || kind.Basic == IsNumber && text == "0") { // not given
		f.Set(Value{})
		return nil
	}
	parsed, err := kind.Parse(text)
	if err != nil {
		return err
	}
	f.Set(parsed)
	return nil
}

// BatchKeys lists the possible names of the key for the maximum number of sequences per step, in any engine's
// section. By them a result shows its batch size even if this program does not have the engine.
func BatchKeys() []string {
	return []string{"batch_size", "max_num_seqs", "max_running_requests", "max_batch_size", "parallel"}
}

// DecodingPrefix begins the keys by which a study chooses tokens.
const DecodingPrefix = "decoding."

// DecodingKeys are the settings of decoding that engines have or lack, in the order of documentation, without
// [DecodingPrefix].
func DecodingKeys() []string {
	return []string{"temperature", "top_p", "top_k", "seed", "min_p", "repetition_penalty"}
}
