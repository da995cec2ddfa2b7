package engine

import (
	"cmp"
	"regexp"

	"github.com/llenergymeasure/llem/internal/grammar"
)

// Field is one key of a [Section]: its name, what it accepts and means, and where its value
// lies, as a flag of package flag is. Make one with [Whole], [Number], [Text], [Choice],
// [Pattern], [Switch] or [List].
type Field struct {
	// Key is the name without that of the engine: max_num_seqs.
	Key string
	// Help says what the key means.
	Help string
	// IsList reports that a list of numbers is one value.
	IsList bool
	// Own is what the engine itself calls the key, if that is not Key: an option, or a part
	// of one that is an object, as in kv_cache_config.dtype.
	Own string

	kind func() grammar.Kind
	// One of the three is where the value lies.
	text   *string
	whole  *int
	number *float64
	// isSwitch reports that text is that of a Toggle.
	isSwitch           bool
	optional, omitZero bool
	machine            bool
	zero               grammar.Value
}

// Whole is a whole number from low to high.
func Whole(at *int, key string, low, high int64, help string) Field {
	return Field{Key: key, Help: help, whole: at, kind: func() grammar.Kind { return grammar.Integer(low, high) }}
}

// Number is a number from low to high.
func Number(at *float64, key string, low, high float64, help string) Field {
	return Field{Key: key, Help: help, number: at, kind: func() grammar.Kind { return grammar.Float(low, high) }}
}

// Text is any text of one line; want says in words what it should be.
func Text(at *string, key, want, help string) Field {
	return Field{Key: key, Help: help, text: at, kind: func() grammar.Kind { return grammar.Line(want) }}
}

// Choice is one of a few words.
func Choice(at *string, key, help string, words ...string) Field {
	return Field{Key: key, Help: help, text: at, kind: func() grammar.Kind { return grammar.Choice(words...) }}
}

// Pattern is a text that matches a regular expression; want says in words what it should
// be, and words are examples, from which the nearest is suggested for a wrong one.
func Pattern(at *string, key, want, pattern, help string, words ...string) Field {
	return Field{Key: key, Help: help, text: at,
		kind: func() grammar.Kind { return grammar.Pattern(want, pattern, words...) }}
}

// Switch is on, off, or left to the engine.
func Switch(at *Toggle, key, help string) Field {
	return Field{Key: key, Help: help, text: (*string)(at), isSwitch: true, kind: grammar.Switch}
}

// List is a list of numbers, or a text with commas between them; it is kept as that text.
func List(at *string, key, want, pattern, help string) Field {
	return Field{Key: key, Help: help, text: at, IsList: true, kind: func() grammar.Kind {
		k := grammar.Pattern(want, pattern)
		number := map[string]any{"type": "number", "minimum": 0}
		k.Schema = map[string]any{"anyOf": []any{k.Schema,
			map[string]any{"type": "array", "items": number, "minItems": 1}}}
		return k
	}}
}

// As names the key as the engine itself does, see [Field.Own].
func (f Field) As(own string) Field {
	f.Own = own
	return f
}

// Optional leaves the default to the engine: the zero value is not given.
func (f Field) Optional() Field {
	f.optional, f.omitZero = true, true
	return f
}

// Optional marks several fields.
func Optional(fields ...Field) []Field {
	for i := range fields {
		fields[i] = fields[i].Optional()
	}
	return fields
}

// OmitZero leaves the zero value out of an experiment, so that experiments from before the
// key existed keep their IDs.
func (f Field) OmitZero() Field {
	f.omitZero = true
	return f
}

// ZeroMeans is a value for which the zero value stands, as in [Field.OmitZero].
func (f Field) ZeroMeans(text string) Field {
	k := f.kind()
	v, err := k.Parse(text)
	if err != nil {
		panic(f.Key + " " + err.Error()) // of a constant in a program
	}
	f.zero, f.omitZero = v, true
	return f
}

// OrNumber says that whole numbers up to most are among a field's texts.
func (f Field) OrNumber(most int) Field {
	kind := f.kind
	f.kind = func() grammar.Kind {
		k := kind()
		k.Schema = map[string]any{"anyOf": []any{
			map[string]any{"type": "integer", "minimum": 0, "maximum": most}, k.Schema}}
		return k
	}
	return f
}

// OfMachine marks a key that belongs to a machine as much as to a study: it may stand in a
// user's own file and in the environment.
func (f Field) OfMachine() Field {
	f.machine = true
	return f
}

// IsMachine reports whether the key may stand in a user's own file.
func (f Field) IsMachine() bool { return f.machine }

// Kind is what the key accepts.
func (f Field) Kind() grammar.Kind { return f.kind() }

// Left reports whether the default is the engine's own.
func (f Field) Left() bool { return f.optional }

// Get is the value in the section.
func (f Field) Get() grammar.Value {
	switch {
	case f.text != nil:
		return grammar.Value{Text: cmp.Or(*f.text, f.zero.Text)}
	case f.whole != nil:
		n := cmp.Or(*f.whole, int(f.zero.Whole))
		return grammar.Value{Whole: int64(n), Number: float64(n)}
	}
	return grammar.Value{Number: cmp.Or(*f.number, f.zero.Number)}
}

// Set changes the value in the section.
func (f Field) Set(v grammar.Value) {
	if v == f.zero {
		v = grammar.Value{}
	}
	switch {
	case f.text != nil:
		*f.text = v.Text
	case f.whole != nil:
		*f.whole = int(v.Whole)
	default:
		*f.number = v.Number
	}
}

// Given reports whether the section holds another value than the zero one.
func (f Field) Given() bool { return !f.isZero() }

// isZero reports whether the zero value is in the section.
func (f Field) isZero() bool {
	return (f.text == nil || *f.text == "") && (f.whole == nil || *f.whole == 0) &&
		(f.number == nil || *f.number == 0)
}

// name is the form of keys.
var name = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
