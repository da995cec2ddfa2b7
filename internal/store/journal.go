package store

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"time"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/intern"
	"github.com/llenergymeasure/llem/result"
)

// Entry is a line of the journal: a finished run in brief. Lines are appended and
// synced, one per run, and never rewritten.
type Entry struct {
	result.Row
	// Run is the folder of the run, below the folder of the study.
	Run string `json:"run"`
	// At is when the run was finished.
	At time.Time `json:"at"`
}

func entryOf(rec *result.Record) Entry {
	return Entry{Row: RowOf(rec), Run: result.RunPath(rec.ID, rec.Cycle), At: time.Now().UTC()}
}

func (d *Dir) appendJournal(rec *result.Record) error {
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
	f, err := disk.Open(path, disk.MaxList)
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
		shared := intern.Pool{}
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
			shared.Share(&e.Row)
			if e.Simulated() && (e.Provenance == result.Measured || e.Provenance == result.Modelled) {
				e.Provenance = result.Simulated // earlier versions have another word
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}
