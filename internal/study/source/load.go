package source

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/keys"
	"github.com/llenergymeasure/llem/note"
)

// Setting is a key with a value, from the command line or from a program.
type Setting struct {
	// Flag is the flag as the user wrote it, for messages: --set, --batch-size.
	Flag string
	// Key is the dotted key, such as vllm.max_num_seqs.
	Key string
	// Value is the text of the value.
	Value string
	// List are values that are not split at commas, instead of Value.
	List []string
	// Problem is what is wrong with the value, or empty.
	Problem string
}

// Source merges all sources and collects their mistakes.
type Source struct {
	*keys.Set
	Layer
	// Errs are the mistakes so far; see [Source.Mistakes].
	Errs grammar.Errors
	// Chosen reports that the command line names backends: points of others are left out.
	Chosen bool

	// Read reads a file; a caller may replace it.
	Read func(path string) ([]byte, error)

	// chain names the files being read, from the study file to the innermost base.
	chain []string
	files int
	// unlisted counts the mistakes after the first mostListed.
	unlisted int
}

// New returns an empty Source.
func New(set *keys.Set) *Source {
	return &Source{Set: set, Read: readStudy, Layer: newLayer("")}
}

// StudyFile reads the file of a study and its base files. It returns a mistake if the file
// itself cannot be read.
func (b *Source) StudyFile(path string) *grammar.Error {
	b.Origin = path
	data, err := b.Read(path)
	if err != nil {
		return &grammar.Error{Source: path, Note: note.Note{Code: codes.Mistake,
			Message: "cannot read the study file: " + readProblem(err),
			Next:    "give the path of a study file, or use --model for a single experiment"}}
	}
	b.file(path, data)
	return nil
}

// Text reads the text of a study file called name, and its base files.
func (b *Source) Text(name string, data []byte) {
	b.Origin = name
	b.file(name, data)
}

// readStudy reads a file that people write.
func readStudy(path string) ([]byte, error) { return disk.ReadFile(path, disk.MaxSmall) }

func readProblem(err error) string {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err.Error()
	}
	if odd, ok := errors.AsType[*disk.OddFileError](err); ok {
		return "it is " + odd.What
	}
	return err.Error()
}

// mostListed bounds the list of mistakes: nobody reads more, and a generated file may have one on each line.
const mostListed = 100

// crowded reports that further mistakes are only counted.
func (b *Source) crowded() bool { return len(b.Errs) >= mostListed }

// mistakes returns the number of mistakes.
func (b *Source) mistakes() int { return len(b.Errs) + b.unlisted }

// Mistakes returns all recorded mistakes, in order; the last one counts the unlisted ones.
func (b *Source) Mistakes() grammar.Errors {
	out := b.Errs.Sorted()
	if b.unlisted == 0 {
		return out
	}
	e := *b.Nowhere()
	e.Note = note.Note{Code: codes.Mistake, Message: fmt.Sprintf("%d more mistakes are not listed", b.unlisted),
		Next: "fix the mistakes above and try again"}
	return append(out, &e)
}

// Fail records a mistake at a position. Long quotations in the message are shortened.
func (b *Source) Fail(at *grammar.Error, next, format string, args ...any) {
	if b.crowded() {
		b.unlisted++
		return
	}
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = shortened(s)
		}
	}
	e := *at
	e.Note = note.Note{Code: codes.Mistake, Message: shortened(fmt.Sprintf(format, args...)), Next: shortened(next)}
	b.Errs = append(b.Errs, &e)
}

// longest bounds each text of a mistake, in bytes.
const longest = 2000

// shortened removes the middle of a text that is too long.
func shortened(s string) string {
	if len(s) <= longest {
		return s
	}
	head, tail := s[:longest/2], s[len(s)-longest/2:]
	return strings.ToValidUTF8(head, "") + fmt.Sprintf("… (%d bytes) …", len(s)-longest) + strings.ToValidUTF8(tail, "")
}

// failValue records the error of a parser for a value.
func (b *Source) failValue(at *grammar.Error, key string, err error) {
	next := ""
	if f, ok := errors.AsType[*note.Failure](err); ok {
		next = f.Next
	}
	b.Fail(at, next, "%s %v", key, err)
}

// file reads one study file over the previous ones: first its base files, then the file itself.
func (b *Source) file(name string, data []byte) {
	b.chain = append(b.chain, name)
	defer func() { b.chain = b.chain[:len(b.chain)-1] }()
	r := &reader{Source: b, out: newLayer(name)}
	root := r.parse(name, data)
	if root == nil {
		return
	}
	r.top(root)
	for _, base := range r.bases {
		b.base(name, base)
	}
	b.merge(r.out)
}

// maxFiles bounds the files of one study, including bases of bases.
const maxFiles = 100

// base reads a file that another one names.
func (b *Source) base(from string, path Value) {
	name := path.Text
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(from), name)
	}
	if i := slices.IndexFunc(b.chain, func(other string) bool { return sameFile(other, name) }); i >= 0 {
		b.Fail(path.At, "remove one of these base: lines", "base files form a circle: %s",
			strings.Join(append(slices.Clone(b.chain[i:]), b.chain[i]), " -> "))
		return
	}
	if b.files++; b.files > maxFiles {
		if b.files == maxFiles+1 {
			b.Fail(path.At, "put what they share into fewer files", "the study has more than %d base files", maxFiles)
		}
		return
	}
	data, err := b.Read(name)
	if err != nil {
		b.Fail(path.At, "the path of a base file is relative to the file that names it",
			"cannot read the base file %s: %s", name, readProblem(err))
		return
	}
	b.file(name, data)
}

// sameFile reports whether two paths name the same file.
func sameFile(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// byteOrderMark of UTF-8, which some editors write at the beginning.
var byteOrderMark = []byte("\xef\xbb\xbf")

// checkEncoding reports files that are not UTF-8 text; the YAML library would read some of them, with other
// positions.
func checkEncoding(data []byte) string {
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")), bytes.IndexByte(data,
		0) >= 0:
		return "the file is not UTF-8 text but UTF-16 or binary"
	case !utf8.Valid(data):
		return fmt.Sprintf("the file is not UTF-8 text: line %d has another encoding", lineOf(data, invalidAt(data)))
	}
	control := func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f }
	if i := bytes.IndexFunc(data, control); i >= 0 {
		return fmt.Sprintf("line %d has a control character", lineOf(data, i))
	}
	return ""
}

func lineOf(data []byte, at int) int { return 1 + bytes.Count(data[:at], []byte("\n")) }

func invalidAt(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
	return len(data)
}
