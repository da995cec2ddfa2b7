package workload

import (
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/backend/chat"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/note"
)

// Names of data sets that are not files.
const (
	Builtin         = "builtin"   // the prompts inside the program, in the order of a seed
	BuiltinFirst    = "builtin-1" // their first edition, in its own order
	SyntheticSource = "synthetic" // random token ids, see [Synthetic]
	hubPrefix       = "hf:"
)

// Prompt is one text that an engine is asked to continue.
type Prompt struct {
	ID     string // the record's own id, or Origin if it has none
	Task   string // kind of task, e.g. "code"; empty if the record has none
	Text   string
	Origin string // its position: file:line
	// Messages are the conversation up to and including the user's turn that is Text; nil if the record has none.
	Messages chat.Conversation
	// Turns are the texts of all turns of the user, of a set for conversations; nil otherwise.
	Turns []string
}

// Set is a data set as read: every usable prompt, in file order; built-in prompts kind after kind.
type Set struct {
	Source  string // as the user wrote it
	Prompts []Prompt
	Skipped []int // lines of the conversations left out because no human turn has text

	shuffled bool           // a seed determines choice and order
	talks    bool           // turns of conversations are kept
	choices  map[choice]int // how often prompts were made in a way that must be reported
}

// Load reads the data set that source names: [Builtin], [BuiltinFirst], or the path of a .jsonl, .json or .csv
// file, which may be compressed with gzip (.jsonl.gz). User mistakes are returned as one *[DatasetError] that
// lists every bad line.
func Load(source string) (*Set, error) { return loadSet(source, false) }

// LoadFor is [Load] for conversations of a number of turns: for more than one, it keeps all turns of the user for
// [Set.Take].
func LoadFor(source string, turns int) (*Set, error) { return loadSet(source, turns > 1) }

func loadSet(source string, talks bool) (*Set, error) {
	switch {
	case source == "":
		return nil, wrong(source, nil, wantSources, "no dataset given")
	case source == Builtin:
		return readBuiltin(source)
	case source == BuiltinFirst:
		return firstEdition()
	case source == SyntheticSource:
		return nil, errors.New("load dataset synthetic: it consists of token ids and has no text to read")
	case strings.HasPrefix(source, hubPrefix):
		return nil, wrong(source, nil, "download it as .jsonl, .json or .csv and give the path of that file",
			"reading a data set from the Hugging Face hub is not available in this version")
	}
	return loadFile(source, talks)
}

const wantSources = "use builtin, synthetic, or the path of a .jsonl, .json or .csv file"

func loadFile(path string, talks bool) (*Set, error) {
	info, err := os.Stat(path)
	name := strings.ToLower(filepath.Base(path))
	packed := strings.HasSuffix(name, gzExt)
	switch ext := filepath.Ext(strings.TrimSuffix(name, gzExt)); {
	case errors.Is(err, fs.ErrNotExist) && ext == "" && !strings.ContainsAny(path, `/\`):
		return nil, wrong(path, err, wantSources, "unknown dataset, and no file of that name")
	case errors.Is(err, fs.ErrNotExist):
		return nil, wrong(path, err, "check workload.dataset; a path is relative to the current folder", "no such file")
	case err != nil:
		return nil, unreadable(path, err)
	case info.IsDir():
		return nil, wrong(path, nil, "give the path of one .jsonl, .json or .csv file in it", "is a folder")
	case !info.Mode().IsRegular():
		// A pipe may never end, and a result from it could not be repeated.
		return nil, wrong(path, nil, "write the prompts to a file first", "is not a regular file")
	case ext != ".jsonl" && ext != ".json" && ext != csvExt:
		return nil, wrong(path, nil, `convert it to .jsonl: one object like {"prompt": "…"} per line`,
			fmt.Sprintf("cannot read prompts from a file named %q", filepath.Base(path)))
	default:
		f, err := disk.Open(path, maxUnpacked)
		if err != nil {
			return nil, unreadable(path, err)
		}
		defer f.Close() // read only: nothing is lost
		text, err := unpacked(f, packed)
		if err != nil {
			return nil, unreadable(path, err)
		}
		if ext == csvExt {
			return readCSV(path, text, talks)
		}
		return read(path, path, text, talks)
	}
}

const (
	gzExt  = ".gz"
	csvExt = ".csv"
	// maxUnpacked bounds a compressed file, which may expand greatly.
	maxUnpacked = 4 << 30
)

// unpacked returns the text of a file that may be compressed.
func unpacked(f io.Reader, packed bool) (io.Reader, error) {
	if !packed {
		return f, nil
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("not a gzip file: %w", err)
	}
	return &bounded{z, maxUnpacked}, nil
}

// bounded fails after left bytes were read.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("unpacked it has more than %d GiB: reduce it to the part to measure", maxUnpacked>>30)
	}
	return n, err
}

func unreadable(path string, err error) error {
	if odd, ok := errors.AsType[*disk.OddFileError](err); ok {
		return wrong(path, nil, odd.Next, "is "+odd.What)
	}
	if cause, ok := errors.AsType[*fs.PathError](err); ok {
		err = cause.Err // the message already contains the path
	}
	return wrong(path, err, "check the permissions of the file and its folders", "cannot be read: "+err.Error())
}

// read reads the prompts of r; name is the file's name in their origin.
func read(source, name string, r io.Reader, talks bool) (*Set, error) {
	scan := newScanner(r, maxRecord)
	set := &Set{Source: source, talks: talks}
	mistakes := wrong(source, nil, `write one object like {"prompt": "…"} per line, or one array of them; correct `+
		`these lines or remove them`, "")
	for scan.next() {
		rec := scan.record()
		if rec.problem != "" {
			mistakes.add(rec.line, rec.problem)
			continue
		}
		p, made, err := parseRecord(rec.data)
		if err := set.add(p, made, fmt.Sprintf("%s:%d", name, rec.line), rec.line, err); err != nil {
			mistakes.add(rec.line+lineWithin(rec.data, err), err.Error())
		}
	}
	if err := scan.err(); err != nil {
		return nil, unreadable(source, err)
	}
	return set.whole(mistakes)
}

// add adds a prompt, or the line of a conversation without one. A mistake is returned.
func (s *Set) add(p Prompt, made choice, origin string, line int, err error) error {
	switch {
	case errors.Is(err, errNoHumanTurn):
		s.Skipped = append(s.Skipped, line)
		return nil
	case err != nil:
		return err
	}
	if !s.talks {
		p.Turns = nil
	} else if len(p.Turns) > 0 {
		made = choice{used: "the turns of the user, each a request", left: "the recorded answers"}
	}
	if p.Origin = origin; p.ID == "" {
		p.ID = origin
	}
	if made.left != "" || strings.Contains(made.used, " + ") {
		if s.choices == nil {
			s.choices = map[choice]int{}
		}
		s.choices[made]++
	}
	s.Prompts = append(s.Prompts, p)
	return nil
}

// whole returns the set, or what is wrong with its file.
func (s *Set) whole(mistakes *DatasetError) (*Set, error) {
	if len(mistakes.Problems) > 0 {
		return nil, mistakes
	}
	if len(s.Prompts) == 0 {
		return nil, noPrompts(s)
	}
	return s, nil
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

// Select returns n prompts: of a file the first ones in file order, whatever the seed, and of the built-in prompts
// the first ones in the order of the seed. It never repeats a prompt to reach n: an engine that caches prefixes
// would process the second one for almost nothing.
func (s *Set) Select(n int, seed uint64) ([]Prompt, error) {
	have := len(s.Prompts)
	if n < 1 {
		return nil, wrong(s.Source, nil, "set -n or workload.prompts to 1 or more",
			fmt.Sprintf("%d prompts asked for", n))
	}
	if n > have {
		return nil, wrong(s.Source, nil, Fewer(have, 1), fmt.Sprintf("has %s, %d asked for",
			digits.Count(have, "prompt"), n))
	}
	if s.shuffled {
		return shuffle(s.Prompts, seed)[:n:n], nil
	}
	return s.Prompts[:n:n], nil
}

// Notes reports what was left out of the set, and how its prompts were made if another reader might have made them
// differently.
func (s *Set) Notes() note.List {
	var out note.List
	if n := len(s.Skipped); n > 0 {
		out.Warnf(codes.DatasetSkipped,
			"%s: %d of %d conversations left out: no turn from human or user has text (first at line %d)",
			s.Source, n, n+len(s.Prompts), s.Skipped[0])
	}
	made := slices.SortedFunc(maps.Keys(s.choices), func(a, b choice) int {
		return cmp.Or(cmp.Compare(s.choices[b], s.choices[a]), strings.Compare(a.used+a.left, b.used+b.left))
	})
	for _, c := range made {
		text := fmt.Sprintf("%s: the prompt of %s is %s", s.Source, digits.Count(s.choices[c], "record"), c.used)
		if c.left != "" {
			text += "; left out: " + c.left
		}
		out = append(out, note.Note{Code: codes.DatasetFields, Message: text,
			Next: `to choose differently, write a file of {"prompt": "…"}`})
	}
	return out
}
