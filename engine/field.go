package engine

import (
	"regexp"

	"github.com/llenergymeasure/llem/internal/grammar"
)

// Field is one key of a [Section]: its name, what it accepts, its description, and a pointer to its value, like a
// flag of package flag. Create one with [Whole], [Number], [Text], [Choice], [Pattern], [Switch] or [List].
type Field struct {
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

// Whole returns a field for a whole number from low to high.
func Whole(at *int, key string, low, high int64, help string) Field {
	return Field{Key: key, Help: help, At: at, Low: float64(low), High: float64(high)}
}

// Number returns a field for a number from low to high.
func Number(at *float64, key string, low, high float64, help string) Field {
	return Field{Key: key, Help: help, At: at, Low: low, High: high}
}

// Text returns a field for any text of one line; want describes a valid text.
func Text(at *string, key, want, help string) Field {
	return Field{Key: key, Help: help, At: at, Want: want}
}

// Choice returns a field for one of a few words.
func Choice(at *string, key, help string, words ...string) Field {
	return Field{Key: key, Help: help, At: at, Words: words}
}

// Pattern returns a field for a text that matches a regular expression; want describes a valid text, and words are
// examples, the nearest of which is suggested for a wrong one.
func Pattern(at *string, key, want, pattern, help string, words ...string) Field {
	return Field{Key: key, Help: help, At: at, Want: want, Pattern: pattern, Words: words}
}

// Switch returns a field that is on, off, or left to the engine.
func Switch(at *Toggle, key, help string) Field {
	return Field{Key: key, Help: help, At: (*string)(at), IsSwitch: true}
}

// List returns a field for a list of numbers, or a text with commas between them; it is kept as that text.
func List(at *string, key, want, pattern, help string) Field {
	return Field{Key: key, Help: help, At: at, IsList: true, Want: want, Pattern: pattern}
}

// As sets the engine's own name of the key, see [Field.Own].
func (f Field) As(own string) Field {
	f.Own = own
	return f
}

// Optional leaves the default to the engine: the zero value is not given.
func (f Field) Optional() Field {
	f.IsOptional, f.OmitsZero = true, true
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
	f.OmitsZero = true
	return f
}

// ZeroMeans sets the value that the zero value stands for, and implies [Field.OmitZero].
func (f Field) ZeroMeans(text string) Field {
	f.Zero, f.OmitsZero = text, true
	return f
}

// OrNumber adds whole numbers up to most to a field's valid texts.
func (f Field) OrNumber(most int) Field {
	f.Most = most
	return f
}

// OfMachine marks a key that belongs to a machine as much as to a study: a user's own file and the environment may
// set it.
func (f Field) OfMachine() Field {
	f.IsMachine = true
	return f
}

// slots returns the fields with the code that reads and writes their values.
func slots(s Section) []grammar.Slot {
	fields := s.Fields()
	out := make([]grammar.Slot, len(fields))
	for i, f := range fields {
		out[i] = grammar.Slot(f)
	}
	return out
}

// name matches valid keys.
var name = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
