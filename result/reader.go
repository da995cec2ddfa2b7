package result

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ReadRecord reads the result.json of one run.
func ReadRecord(path string) (*Record, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read result: %w", err)
	}
	var r Record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("read result %s: %w", path, err)
	}
	if r.SchemaVersion != SchemaVersion {
		return nil, fmt.Errorf("result %s has schema version %d; this llem reads version %d", path, r.SchemaVersion, SchemaVersion)
	}
	return &r, nil
}

// ReadJournal returns the entries of a study's journal. A torn last line, left by
// a crash in the middle of a write, is ignored; any other bad line is an error.
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
	br := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := br.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return out, nil // whatever is left has no line end: a torn write
		}
		if err != nil {
			return nil, fmt.Errorf("read journal %s: %w", path, err)
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("journal %s:%d: %w", path, n, err)
		}
		out = append(out, e)
	}
}

// Records yields the finished runs of a study's folder in the order of the
// journal. Of a run that was made again, the last try counts.
func Records(dir string) func(yield func(*Record, error) bool) {
	return func(yield func(*Record, error) bool) {
		entries, err := ReadJournal(dir)
		if err != nil {
			yield(nil, err)
			return
		}
		last := map[string]int{}
		for i, e := range entries {
			last[e.Run] = i
		}
		for i, e := range entries {
			if last[e.Run] != i {
				continue
			}
			rec, err := ReadRecord(filepath.Join(dir, filepath.FromSlash(e.Run), RecordFile))
			if errors.Is(err, fs.ErrNotExist) && setAsideOnly(dir, e) {
				continue // a crash fell between the two renames of its second try
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

// setAsideOnly says that a run exists as an earlier try and not under its own name.
func setAsideOnly(dir string, e Entry) bool {
	run := filepath.Join(dir, filepath.FromSlash(e.Run))
	_, err := os.Stat(run)
	_, tryErr := os.Stat(run + ".try1")
	return errors.Is(err, fs.ErrNotExist) && tryErr == nil
}
