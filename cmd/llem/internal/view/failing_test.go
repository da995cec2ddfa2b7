package view

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// failedRun is a run that failed, or one that was ok.
func failedRun(id string, cycle int, message string) *result.Record {
	r := &result.Record{SchemaVersion: result.SchemaVersion, ID: id, Cycle: cycle, Status: result.OK}
	if r.Config.Model = "m"; message != "" {
		r.Status, r.Failure = result.Failed, &note.Failure{Class: "oom_gpu", Message: message, Next: "take less"}
	}
	return r
}

// TestFailing: runs that failed alike are one reason, in a study whose records are at hand, and in a large one, of
// which one record for each reason is read.
func TestFailing(t *testing.T) {
	small := &result.StudyResult{Runs: []*result.Record{failedRun("a", 1, "full"), failedRun("a", 2, ""),
		failedRun("b", 1, "full"), failedRun("b", 2, "lost"), failedRun("c", 1, "full")}}
	large := &result.StudyResult{Dir: t.TempDir()}
	for _, r := range small.Runs {
		row := result.Row{ID: r.ID, Cycle: r.Cycle, Status: r.Status}
		if r.Failure != nil {
			row.Class, row.Message = r.Failure.Class, r.Failure.Message
		}
		large.Rows = append(large.Rows, row)
	}
	for _, r := range []*result.Record{small.Runs[0], small.Runs[3]} { // the others are not read
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(large.Dir, result.RunsDir, r.ID+"-c"+string(rune('0'+r.Cycle)))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, result.RecordFile), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, s := range map[string]*result.StudyResult{"small": small, "large": large} {
		all, err := FailingOf(s, 10)
		if err != nil || len(all) != 2 {
			t.Fatalf("%s: %d reasons, %v; want 2", name, len(all), err)
		}
		for i, want := range []struct {
			message string
			runs    int
		}{{"full", 3}, {"lost", 1}} {
			f := all[i]
			if len(f.Runs) != want.runs || f.First.Failure == nil || f.First.Failure.Message != want.message {
				t.Errorf("%s: reason %d: %d runs, first %+v; want %+v", name, i, len(f.Runs), f.First.Failure, want)
			}
		}
	}
}
