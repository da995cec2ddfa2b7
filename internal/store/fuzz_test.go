package store

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// FuzzJournal: whatever a crash or a bad disk leaves, reading ends, and what is read
// from a journal with a torn end is what was read before the end was torn.
func FuzzJournal(f *testing.F) {
	line := `{"id":"0123456789ab","cycle":1,"status":"ok","run":"runs/0123456789ab-c1","at":"2026-01-02T03:04:05Z"}` +
		"\n"
	for _, s := range []string{"", line, line + line[:30], "{}\n", "\n", line + "\x00\n", strings.Repeat(line, 3)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := parseJournal("journal.jsonl", bytes.NewReader(text))
		if err != nil {
			return
		}
		whole := text[:bytes.LastIndexByte(text, '\n')+1]
		again, err := parseJournal("journal.jsonl", bytes.NewReader(whole))
		if err != nil || len(again) != len(entries) {
			t.Errorf("%d entries, without the torn end %d (%v)", len(entries), len(again), err)
		}
	})
}

// FuzzRecord: a result.json that is not one is an error and nothing else.
func FuzzRecord(f *testing.F) {
	for _, s := range []string{`{"schema_version":1,"status":"ok"}`,
		`{"schema_version":1,"config":{"embedded":null}}`, `[]`,
		`{"schema_version":1,"energy":{"total_j":{"value":1e400}}}`} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(dir, result.RecordFile)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		rec, err := result.ReadRecord(path)
		if err != nil {
			return
		}
		s := &result.StudyResult{Runs: []*result.Record{rec}}
		if err := summarizeRuns(s, study.Until{}); err != nil {
			return
		}
		if _, err := json.Marshal(s); err != nil {
			t.Errorf("it was read and cannot be written: %v", err)
		}
	})
}

// FuzzBest: a constraint is understood or refused.
func FuzzBest(f *testing.F) {
	for _, s := range []string{"latency.ttft_ms.p99<200", "energy.total_j >= 1e3", "x<", "<", "energy.total_j<nan",
		"energy.total_j<1e999"} {
		f.Add(s)
	}
	v := 1.0
	r := &result.Record{ID: "a", Status: result.OK, Energy: result.Energy{TotalJ: &result.Quantity{Value: v}}}
	f.Fuzz(func(t *testing.T, text string) {
		s := &result.StudyResult{Runs: []*result.Record{r}}
		if err := summarizeRuns(s, study.Until{}); err != nil {
			t.Fatal(err)
		}
		if c, err := s.Best("energy.total_j", text); err == nil && c == nil {
			t.Error("neither a choice nor an error")
		}
	})
}
