package workload

import (
	"bytes"
	_ "embed" // the built-in prompts
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Names of data sets that are not files.
const (
	Builtin         = "builtin"   // the prompts inside the program
	SyntheticSource = "synthetic" // random token ids, see [Synthetic]
	hubPrefix       = "hf:"
)

//go:embed builtin.jsonl
var builtinJSONL []byte

// Prompt is one text that an engine is asked to continue.
type Prompt struct {
	ID     string // the record's own id, or Origin where it has none
	Task   string // kind of task, e.g. "code"; empty where the record does not say
	Text   string
	Origin string // where it was read: file:line
}

// Set is a data set as read: every usable prompt, in file order.
type Set struct {
	Source  string // as the user wrote it
	Prompts []Prompt
	Skipped []int // lines of the conversations left out because no human turn has text
}

// Load reads the data set that source names: [Builtin], or the path of a
// .jsonl or .json file. What a user can get wrong comes back as one
// *[DatasetError] that lists every bad line.
func Load(source string) (*Set, error) {
	switch {
	case source == "":
		return nil, wrong(source, nil, wantSources, "no dataset given")
	case source == Builtin:
		return read(source, "builtin.jsonl", bytes.NewReader(builtinJSONL))
	case source == SyntheticSource:
		return nil, errors.New("load dataset synthetic: it is made of token ids and has no text to read")
	case strings.HasPrefix(source, hubPrefix):
		return nil, wrong(source, nil, "download it as .jsonl or .json and give the path of that file",
			"reading a data set from the Hugging Face hub is not available in this version")
	}
	return loadFile(source)
}

const wantSources = "use builtin, synthetic, or the path of a .jsonl or .json file"

func loadFile(path string) (*Set, error) {
	info, err := os.Stat(path)
	switch ext := strings.ToLower(filepath.Ext(path)); {
	case errors.Is(err, fs.ErrNotExist) && ext == "" && !strings.ContainsAny(path, `/\`):
		return nil, wrong(path, err, wantSources, "unknown dataset, and no file of that name")
	case errors.Is(err, fs.ErrNotExist):
		return nil, wrong(path, err, "check workload.dataset; a path is relative to the current folder", "no such file")
	case err != nil:
		return nil, unreadable(path, err)
	case info.IsDir():
		return nil, wrong(path, nil, "give the path of one .jsonl or .json file in it", "is a folder")
	case !info.Mode().IsRegular():
		// A pipe may never end, and a result could not be repeated from it.
		return nil, wrong(path, nil, "write the prompts to a file first", "is not a regular file")
	case ext != ".jsonl" && ext != ".json":
		return nil, wrong(path, nil, `convert it to .jsonl: one object like {"prompt": "…"} per line`,
			fmt.Sprintf("cannot read prompts from a file named %q", filepath.Base(path)))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close() // read only: nothing to lose
	return read(path, path, f)
}

func unreadable(path string, err error) error {
	if cause, ok := errors.AsType[*fs.PathError](err); ok {
		err = cause.Err // the path is in the message already
	}
	return wrong(path, err, "check the permissions of the file and its folders", "cannot be read: "+err.Error())
}

// read collects the prompts of r; name is the file's name in their origin.
func read(source, name string, r io.Reader) (*Set, error) {
	scan := newScanner(r, maxRecord)
	set := &Set{Source: source}
	mistakes := wrong(source, nil, "", "")
	for scan.next() {
		rec := scan.record()
		if rec.problem != "" {
			mistakes.add(rec.line, rec.problem)
			continue
		}
		p, err := parseRecord(rec.data)
		switch {
		case errors.Is(err, errNoHumanTurn):
			set.Skipped = append(set.Skipped, rec.line)
			continue
		case err != nil:
			mistakes.add(rec.line+lineWithin(rec.data, err), err.Error())
			continue
		}
		p.Origin = fmt.Sprintf("%s:%d", name, rec.line)
		if p.ID == "" {
			p.ID = p.Origin
		}
		set.Prompts = append(set.Prompts, p)
	}
	if err := scan.err(); err != nil {
		return nil, unreadable(source, err)
	}
	if len(mistakes.Problems) > 0 {
		mistakes.Next = `write one object like {"prompt": "…"} per line, or one array of them; correct these ` +
			`lines or take them out`
		return nil, mistakes
	}
	if len(set.Prompts) == 0 {
		return nil, noPrompts(set)
	}
	return set, nil
}

func noPrompts(set *Set) error {
	e := wrong(set.Source, nil, `write one object like {"prompt": "…"} per line, or use dataset: builtin`,
		"holds no prompts")
	if n := len(set.Skipped); n > 0 {
		e.Message = fmt.Sprintf(
			"holds no prompts: none of its %d conversations has a turn from human or user with text", n)
	}
	return e
}

// Select gives the first n prompts in file order. It never repeats one to
// reach n: an engine that caches prefixes would do the second for almost
// nothing.
func (s *Set) Select(n int) ([]Prompt, error) {
	have := len(s.Prompts)
	if n < 1 {
		return nil, wrong(s.Source, nil, "set -n or workload.prompts to 1 or more",
			fmt.Sprintf("%d prompts asked for", n))
	}
	if n > have {
		return nil, wrong(s.Source, nil,
			fmt.Sprintf("lower -n or workload.prompts to %d, give a larger file, or use dataset: synthetic",
				have), fmt.Sprintf("has %d prompts, %d asked for", have, n))
	}
	return s.Prompts[:n:n], nil
}

// Warning says in one line what was left out of the set, or nothing.
func (s *Set) Warning() string {
	n := len(s.Skipped)
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%s: %d of %d conversations left out: no turn from human or user has text (first at line %d)",
		s.Source, n, n+len(s.Prompts), s.Skipped[0])
}
