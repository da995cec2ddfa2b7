package engine

import (
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
	// Own is what the engine itself calls the key, if that is not Key: an option, or a part
	// of one that is an object, as in kv_cache_config.dtype.
	Own string
	// At is where the value lies: a *string, *int or *float64.
	At any
	// IsSwitch reports that the text at At is that of a Toggle, IsList that a list of numbers is
	// one value.
	IsSwitch, IsList bool
	// Want says in words what a text should be; empty is one of Words.
	Want string
	// Pattern is a regular expression that a text matches; empty is any line.
	Pattern string
	// Words are all texts there are, or examples of what matches Pattern.
	Words []string
	// Low and High bound a number.
	Low, High float64
	// Most bounds whole numbers that are among the texts; 0 is none.
	Most int
	// Zero is a value for which the zero value stands; empty is the zero value itself.
	Zero string
	// IsOptional leaves the default to the engine, and OmitsZero leaves the zero value out of
	// an experiment.
	IsOptional, OmitsZero bool
	// IsMachine reports that the key may stand in a user's own file.
	IsMachine bool
}

// Whole is a whole number from low to high.
func Whole(at *int, key string, low, high int64, help string) Field {
	return Field{Key: key, Help: help, At: at, Low: float64(low), High: float64(high)}
}

// Number is a number from low to high.
func Number(at *float64, key string, low, high float64, help string) Field {
	return Field{Key: key, Help: help, At: at, Low: low, High: high}
}

// Text is any text of one line; want says in words what it should be.
func Text(at *string, key, want, help string) Field {
	return Field{Key: key, Help: help, At: at, Want: want}
}

// Choice is one of a few words.
func Choice(at *string, key, help string, words ...string) Field {
	return Field{Key: key, Help: help, At: at, Words: words}
}

// Pattern is a text that matches a regular expression; want says in words what it should
// be, and words are examples, from which the nearest is suggested for a wrong one.
func Pattern(at *string, key, want, pattern, help string, words ...string) Field {
	return Field{Key: key, Help: help, At: at, Want: want, Pattern: pattern, Words: words}
}

// Switch is on, off, or left to the engine.
func Switch(at *Toggle, key, help string) Field {
	return Field{Key: key, Help: help, At: (*string)(at), IsSwitch: true}
}

// List is a list of numbers, or a text with commas between them; it is kept as that text.
func List(at *string, key, want, pattern, help string) Field {
	return Field{Key: key, Help: help, At: at, IsList: true, Want: want, Pattern: pattern}
}

// As names the key as the engine itself does, see [Field.Own].
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

// ZeroMeans is a value for which the zero value stands, as in [Field.OmitZero].
func (f Field) ZeroMeans(text string) Field {
	f.Zero, f.OmitsZero = text, true
	return f
}

// OrNumber says that whole numbers up to most are among a field's texts.
func (f Field) OrNumber(most int) Field {
	f.Most = most
	return f
}

// OfMachine marks a key that belongs to a machine as much as to a study: it may stand in a
// user's own file and in the environment.
func (f Field) OfMachine() Field {
	f.IsMachine = true
	return f
}

// slots are fields with what reads and writes their values.
func slots(s Section) []grammar.Slot {
	fields := s.Fields()
	out := make([]grammar.Slot, len(fields))
	for i, f := range fields {
		out[i] = grammar.Slot(f)
	}
	return out
}

// name is the form of keys.
var name = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
