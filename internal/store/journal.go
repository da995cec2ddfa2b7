package store

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/intern"
	"github.com/llenergymeasure/llem/internal/secret"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/result"
)

// Entry is a line of the journal: a finished run in brief. Lines are appended and
// synced, one per run, and never rewritten.
type Entry struct {
	result.Row
	// Run is the folder of the run, below the folder of the study.
	Run string `json:"run"`
	// At is when the run finished.
	At time.Time `json:"at"`
	// Manifest is the SHA-256 sum of the manifest of the run; empty in lines of an earlier version.
	Manifest string `json:"manifest_sha256,omitempty"`
	// ClaimS is how long its worker took to find and claim the run, and WaitS how long it waited for one, in s.
	ClaimS float64 `json:"claim_s,omitempty"`
	WaitS  float64 `json:"wait_s,omitempty"`
}

func entryOf(rec *result.Record, manifest string) Entry {
	return Entry{Row: RowOf(rec), Run: result.RunPath(rec.ID, rec.Cycle), At: time.Now().UTC(), Manifest: manifest}
}

// lineSum begins the last key of a line: the SHA-256 checksum of the bytes before it.
const lineSum = `,"line_sha256":"`

// Line returns the entry as a line of the journal.
func (e Entry) Line() ([]byte, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode journal line: %w", err)
	}
	text = text[:len(text)-1] // its last brace follows the checksum
	return fmt.Appendf(text, "%s%s\"}\n", lineSum, disk.Sum(text)), nil
}

// ResealLine returns a line whose text changes, with its checksum renewed. A line without one gets none.
func ResealLine(line string, change func(string) string) string {
	at := strings.LastIndex(line, lineSum)
	if at < 0 || len(line)-at != len(lineSum)+len(disk.Sum(nil))+len("\"}\n") {
		return change(line)
	}
	text := change(line[:at])
	return text + lineSum + disk.Sum([]byte(text)) + "\"}\n"
}

// checkLine verifies the checksum at the end of a line. Lines of an earlier version have none.
func checkLine(line []byte, e Entry) error {
	at := bytes.LastIndex(line, []byte(lineSum))
	switch {
	case e.Run != result.RunPath(e.ID, e.Cycle) || e.Cycle < 1:
		return errors.New("it names no run")
	case at < 0 && e.Manifest == "":
		return nil
	case at < 0 || string(line[at:]) != lineSum+disk.Sum(line[:at])+"\"}\n":
		return errors.New("it has changed since it was written: the SHA-256 checksum at its end does not match")
	}
	return nil
}

func (d *Dir) appendJournal(rec *result.Record, manifest string) error {
	e := entryOf(rec, manifest)
	if d.stamp != nil {
		d.stamp(&e)
	}
	line, err := e.Line()
	if err != nil {
		return err
	}
	if _, err := d.journal.Write(line); err != nil {
		return disk.Problem("append to the journal", d.journal.Name(), err)
	}
	if err := d.journal.Sync(); err != nil {
		return disk.Problem("append to the journal", d.journal.Name(), err)
	}
	d.made[RunKey{e.ID, e.Cycle}] = e
	return nil
}

// ReadJournal returns the entries of a study's journals: one of a process that works alone, and one for each worker.
// Entries of several journals are in the order of their times. It ignores an incomplete last line, left by a crash
// during a write; any other bad or changed line is a [*DamageError]. Lines of an earlier version have no
// checksums, or no values.
func ReadJournal(dir string) ([]Entry, error) { return NewTail(dir).Next() }

func parseJournal(dir string, r io.Reader) ([]Entry, error) {
	var out []Entry
	for e, err := range entries(dir, JournalFile, r) {
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// entries returns an iterator over the lines of a journal. Strings that many lines share are stored once.
func entries(dir, name string, r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		shared := intern.Pool{}
		br := bufio.NewReaderSize(r, 1<<16)
		for n := 1; ; n++ {
			line, err := br.ReadBytes('\n')
			if errors.Is(err, io.EOF) {
				return // the rest has no line end: an incomplete write
			}
			if err != nil {
				yield(Entry{}, fmt.Errorf("read journal of %s: %w", dir, err))
				return
			}
			var e Entry
			if err = json.Unmarshal(line, &e); err == nil {
				err = checkLine(line, e)
			}
			if err != nil {
				yield(Entry{}, &DamageError{dir, []Problem{{fmt.Sprintf("%s:%d", name, n), "cannot be used: " +
					err.Error(), journalNext(dir)}}})
				return
			}
			if secret.Odd(line) {
				secret.CleanPlain(&e)
			}
			shared.Share(&e.Row)
			if e.Simulated() && (e.Provenance == result.Measured || e.Provenance == result.Modelled) {
				e.Provenance = result.Simulated // earlier versions use another word
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// journalNext returns the next step for a damaged journal.
func journalNext(dir string) string {
	return fmt.Sprintf("restore it from a copy, or move it and %s away: `llem run --resume=%s` rebuilds it "+
		"from the runs, and `llem report` reads the runs themselves", result.SummaryFile, shell.Path(dir))
}
