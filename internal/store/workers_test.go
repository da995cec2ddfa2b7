package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// workersStudy has two experiments, and two workers.
func workersStudy(t *testing.T) (dir string, s *study.Study, a, b *Dir) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "st[udy]")
	s = &study.Study{Name: "w", Execution: study.Execution{Cycles: 2}}
	for _, id := range []string{"aaaaaaaaaaaa", "bbbbbbbbbbbb"} {
		s.Experiments = append(s.Experiments, study.Experiment{RecordedID: id})
	}
	d, err := Found(dir)
	if err == nil {
		err = errors.Join(d.WriteStudy(s), d.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, s, mustJoin(t, dir, "a"), mustJoin(t, dir, "b")
}

func mustJoin(t *testing.T, dir, name string) *Dir {
	t.Helper()
	d, _, err := Join(dir, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// put commits a run of a worker.
func put(d *Dir, id string, cycle int) error {
	run, err := d.Begin(id, cycle)
	if err != nil {
		return err
	}
	return run.Commit(&result.Record{SchemaVersion: result.SchemaVersion, ID: id, Cycle: cycle, Status: result.OK},
		sampleSeries())
}

// TestWorkersJournals: readers see the runs of all workers; a run that two execute counts once, which is said.
func TestWorkersJournals(t *testing.T) {
	dir, s, a, b := workersStudy(t)
	tail := NewTail(dir)
	for i, err := range []error{put(a, "aaaaaaaaaaaa", 1), put(b, "bbbbbbbbbbbb", 1), put(a, "bbbbbbbbbbbb", 2)} {
		if err != nil {
			t.Fatal(i, err)
		}
	}
	if err := put(b, "aaaaaaaaaaaa", 1); !errors.Is(err, ErrTwice) {
		t.Errorf("a second result: %v", err)
	}
	fresh, err := tail.Next()
	if err != nil || len(fresh) != 3 || fresh[0].Worker != "a" || fresh[1].Worker != "b" {
		t.Errorf("%d entries, %v", len(fresh), err)
	}
	if err := put(b, "aaaaaaaaaaaa", 2); err != nil {
		t.Fatal(err)
	}
	if fresh, err = tail.Next(); err != nil || len(fresh) != 1 || fresh[0].Cycle != 2 {
		t.Errorf("%+v, %v", fresh, err)
	}
	sum, err := Summarize(dir, s, time.Now())
	if err != nil || len(sum.Rows) != 4 || !sum.Complete {
		t.Fatalf("%v, %+v", err, sum)
	}
	if w, ok := sum.Caveats.Find(codes.RunTwice); !ok || !strings.Contains(w.Message, "aaaaaaaaaaaa-c1") {
		t.Errorf("caveats %v", sum.Caveats)
	}
	for _, d := range []*Dir{a, b} {
		if err := d.Check(); err != nil {
			t.Error(err)
		}
	}
}

// TestWorkerKilled: a worker that was killed while it wrote its line joins again: the torn line is removed, the run is
// entered, and the runs of others are left alone.
func TestWorkerKilled(t *testing.T) {
	dir, s, a, b := workersStudy(t)
	if err := errors.Join(put(a, "aaaaaaaaaaaa", 1), put(b, "bbbbbbbbbbbb", 1)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, JournalOf("a"))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other, err := b.Begin("bbbbbbbbbbbb", 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Close(), os.WriteFile(path, text[:len(text)/2], 0o600)); err != nil {
		t.Fatal(err)
	}
	if sum, err := Summarize(dir, s, time.Now()); err != nil || len(sum.Rows) != 2 {
		t.Errorf("while it is gone: %v", err)
	}
	again, known, err := Join(dir, "a")
	if err != nil || len(known) != 2 {
		t.Fatalf("%d runs are known, %v", len(known), err)
	}
	if entries, err := ReadJournal(dir); err != nil || len(entries) != 2 {
		t.Errorf("%d lines, %v, want the torn one again", len(entries), err)
	}
	if err := other.Commit(&result.Record{SchemaVersion: result.SchemaVersion, ID: "bbbbbbbbbbbb", Cycle: 2,
		Status: result.OK}, sampleSeries()); err != nil {
		t.Errorf("the run of another worker was disturbed: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	alone, _, err := Reopen(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Join(dir, "c"); !isLocked(err) {
		t.Errorf("a worker joined a process that works alone: %v", err)
	}
	if err := alone.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Join(dir, "b"); !isLocked(err) {
		t.Errorf("a second worker of a name: %v", err)
	}
}

func isLocked(err error) bool { _, ok := errors.AsType[*disk.LockedError](err); return ok }

// TestJoinAtOnce: workers that look in the same moment whether a process works alone do not take each other for one.
func TestJoinAtOnce(t *testing.T) {
	dir, _, a, b := workersStudy(t)
	journal, err := os.OpenFile(filepath.Join(dir, JournalFile), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	// Another worker is between its look and its next step.
	if err := disk.CheckFolder(journal); err != nil {
		t.Fatal(err)
	}
	c, _, err := Join(dir, "c")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*Dir{a, b, c} {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := Reopen(dir); !isLocked(err) {
		t.Errorf("a process works alone while a worker looks: %v", err)
	}
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestClosedWhileAChildStarts: a lock ends with the folder, although a process that was just started still has a copy
// of its file.
func TestClosedWhileAChildStarts(t *testing.T) {
	dir, _, a, b := workersStudy(t)
	if err := errors.Join(a.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	d, _, err := Reopen(dir)
	if err != nil {
		t.Fatal(err)
	}
	child, err := unix.Dup(int(d.journal.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(child)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	again, _, err := Reopen(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
