package result

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/llenergymeasure/llem/internal/disk"
)

// Entry is a line of the journal: a finished run in brief. Lines are appended and
// synced, one per run, and never rewritten.
type Entry struct {
	Row
	// Run is the folder of the run, below the folder of the study.
	Run string `json:"run"`
	// At is when the run was finished.
	At time.Time `json:"at"`
}

func entryOf(rec *Record) Entry {
	return Entry{Row: RowOf(rec), Run: runPath(rec.ID, rec.Cycle), At: time.Now().UTC()}
}

// runPath is the folder of a run below that of its study.
func runPath(id string, cycle int) string { return fmt.Sprintf("%s/%s-c%d", RunsDir, id, cycle) }

func (d *Dir) appendJournal(rec *Record) error {
	line, err := json.Marshal(entryOf(rec))
	if err != nil {
		return fmt.Errorf("encode journal line: %w", err)
	}
	if _, err := d.journal.Write(append(line, '\n')); err != nil {
		return disk.Problem("append to the journal", d.journal.Name(), err)
	}
	if err := d.journal.Sync(); err != nil {
		return disk.Problem("append to the journal", d.journal.Name(), err)
	}
	return nil
}

// ReadJournal returns the entries of a study's journal. A torn last line, left by
// a crash in the middle of a write, is ignored; any other bad line is an error. Lines of
// an earlier version have no values.
func ReadJournal(dir string) ([]Entry, error) {
	path := filepath.Join(dir, JournalFile)
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	defer f.Close()
	return parseJournal(path, f)
}

func parseJournal(path string, r io.Reader) ([]Entry, error) {
	var out []Entry
	for e, err := range entries(path, r) {
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// entries yields the lines of a journal. Texts that many lines share are kept once.
func entries(path string, r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		shared := pool{}
		br := bufio.NewReaderSize(r, 1<<16)
		for n := 1; ; n++ {
			line, err := br.ReadBytes('\n')
			if errors.Is(err, io.EOF) {
				return // whatever is left has no line end: a torn write
			}
			if err != nil {
				yield(Entry{}, fmt.Errorf("read journal %s: %w", path, err))
				return
			}
			var e Entry
			if err := json.Unmarshal(line, &e); err != nil {
				yield(Entry{}, fmt.Errorf("journal %s:%d: %w", path, n, err))
				return
			}
			shared.row(&e.Row)
			if e.Simulated() { // earlier versions have another word
				e.Provenance = e.Provenance.Of(simulatedBackend)
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// pool keeps one copy of equal texts.
type pool map[string]string

func (p pool) keep(s *string) {
	if *s == "" {
		return
	}
	if old, ok := p[*s]; ok {
		*s = old
		return
	}
	p[*s] = *s
}

// row shares the texts of a row.
func (p pool) row(r *Row) {
	for _, s := range []*string{&r.ID, (*string)(&r.Status), (*string)(&r.Class), (*string)(&r.Provenance), &r.Reason,
		(*string)(&r.MemoryMethod), (*string)(&r.ProcessMethod), &r.DType, &r.WorkloadHash} {
		p.keep(s)
	}
	for i := range r.Warnings {
		p.keep((*string)(&r.Warnings[i]))
	}
}
