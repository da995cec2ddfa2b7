package study

import (
	"strings"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/source"
	"github.com/llenergymeasure/llem/note"
)

// Error is one mistake in a study file or a setting: a note with a position.
type Error struct {
	note.Note
	// Source is the name of the file, or the flag with the text.
	Source string
	// Line and Col count from 1; both are 0 without a position.
	Line, Col int
	// Excerpt is the line of the source.
	Excerpt string
	// Width is how many columns the caret line marks.
	Width int
}

// Error returns "source:line:col: message".
func (e *Error) Error() string { return (*grammar.Error)(e).Error() }

// Detail adds the source line with a caret, and the next step.
func (e *Error) Detail() string { return (*grammar.Error)(e).Detail() }

// Errors are all mistakes found, in the order of the sources.
type Errors []*Error

// Error lists the mistakes, each with its line and next step.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Detail()
	}
	return strings.Join(lines, "\n")
}

// mistakes converts the mistakes of a study's sources for the caller of this package.
func mistakes(found grammar.Errors) Errors {
	out := make(Errors, 0, len(found))
	shared := map[[2]string]*grammar.Error{}
	for _, e := range found {
		_, text, ok := strings.Cut(e.Message, ": ")
		if ok && e.Line == 0 && strings.HasPrefix(e.Source, "--") {
			key := [2]string{e.Source, text}
			if first := shared[key]; first != nil { // a flag that sets a key of each engine
				first.Message = text
				continue
			}
			shared[key] = e
		}
		out = append(out, (*Error)(e))
	}
	return out
}

// Setting is a key with a value, from the command line or from [Set].
type Setting struct {
	// Flag is the flag as the user wrote it, for messages: --set, --batch-size.
	Flag string
	// Key is the dotted key, such as vllm.max_num_seqs.
	Key string
	// Value is the text of the value.
	Value string

	list    []string // values that are not split at commas
	problem string   // what is wrong with the value
}

// Options are the sources of a study. Settings override the file, which overrides the environment, which overrides
// the user's file.
type Options struct {
	// Path of the study file; empty for a study made of settings alone.
	Path string
	// Settings of the command line or a program; a later one replaces an earlier one.
	Settings []Setting
	// User is the path of the user's own file, see [UserFile]; empty for none. The file need not exist.
	User string
	// Getenv returns environment variables; nil for none.
	Getenv func(string) string
	// Engines are the engines that a study may use; the first is the default. Nil means all engines of this program.
	Engines engine.Descriptors
	// Stored returns the type that an engine which reads GGUF files finds in a model if dtype is auto: an experiment
	// with that type equals the one with auto. It is empty if nothing on this machine shows it; nil reads no model.
	Stored func(model string) string
}

// Load reads a study. The error is [Errors] if the sources contain mistakes.
func Load(o Options) (*Study, error) {
	s, _, err := read(o)
	return s, err
}

// read returns the study and the content of its sources.
func read(o Options) (*Study, reading, error) {
	if o.Engines == nil {
		o.Engines = engines.All() // once, not for every question about an experiment
	}
	b := newReading(o.Engines)
	b.Origin, b.stored = o.Path, o.Stored
	b.Machine(o.User, o.Getenv)
	if o.Path != "" {
		if problem := b.StudyFile(o.Path); problem != nil {
			return nil, b, mistakes(grammar.Errors{problem})
		}
	}
	settings := make([]source.Setting, len(o.Settings))
	for i, s := range o.Settings {
		settings[i] = source.Setting{Flag: s.Flag, Key: s.Key, Value: s.Value, List: s.list, Problem: s.problem}
	}
	b.Settings(settings)
	s, err := b.build()
	if s != nil {
		s.Engines = b.table.engines
	}
	return s, b, err
}

// Parse reads a study from the text of a file called name. Its base files are read from disk, relative to name.
func Parse(name string, data []byte) (*Study, error) {
	b := newReading(nil)
	b.Text(name, data)
	return b.build()
}
