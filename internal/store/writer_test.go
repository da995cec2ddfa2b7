package store

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
)

func sampleSeries() series.All {
	t := 51.5
	return series.All{
		Power: []series.Power{{MonoNS: 1, UnixNS: 2, Device: "gpu0", Source: "nvml.samples", PowerW: 312.5,
			WindowMS: 20, SinceNS: 4}},
		Telemetry: []series.Telemetry{{MonoNS: 1, Device: "gpu0", TemperatureC: &t}},
		Counters: []series.Counter{{BeforeNS: 1, AfterNS: 2, Device: "gpu0", Source: "nvml.counter", EnergyUJ: 99,
			Snapped: true, SinceNS: 3, RefreshNS: 5}},
		Requests: []series.Request{{ID: 7, Task: "qa", TokenNS: []int64{5, 6, 9}, OutputTokens: 3, OK: true,
			PrefillJ: &t}, {ID: 8, TokenNS: []int64{}, Failure: "rejected"}},
		Steps: []series.Step{{StartNS: 1, EndNS: 2, PrefillTokens: 3}},
	}
}

func newDir(t *testing.T) *Dir {
	t.Helper()
	d, err := Create(t.TempDir(), "my study/ü", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestRunRoundTrip(t *testing.T) {
	d := newDir(t)
	if got := filepath.Base(d.Path()); got != "my-study-20260102T030405Z" {
		t.Errorf("folder = %q", got)
	}
	run, err := d.Begin("abc", 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(run.LogPath(), []byte("log"), 0o644); err != nil {
		t.Fatal(err)
	}
	rec := &result.Record{SchemaVersion: result.SchemaVersion, ID: "abc", Cycle: 2, Status: result.OK}
	rec.Warn("code", "message")
	want := sampleSeries()
	if err := run.Commit(rec, want); err != nil {
		t.Fatal(err)
	}
	var got []*result.Record
	for r, err := range Records(d.Path()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	if diff := cmp.Diff([]*result.Record{rec}, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	folder := filepath.Join(d.Path(), result.RunsDir, "abc-c2")
	checkRows(t, folder, "power", want.Power)
	checkRows(t, folder, "telemetry", want.Telemetry)
	checkRows(t, folder, "counters", want.Counters)
	checkRows(t, folder, "requests", want.Requests)
	checkRows(t, folder, "steps", want.Steps)
	leftovers(t, folder)
}

func checkRows[T any](t *testing.T, folder, name string, want []T) {
	t.Helper()
	got, err := series.ReadFile[T](filepath.Join(folder, name+".parquet"))
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// leftovers finds temporary files.
func leftovers(t *testing.T, folder string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("leftover %s", e.Name())
		}
	}
}

func TestEmptySeriesAreReadable(t *testing.T) {
	d := newDir(t)
	run, err := d.Begin("abc", 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Commit(&result.Record{SchemaVersion: result.SchemaVersion, ID: "abc", Cycle: 1},
		series.All{}); err != nil {
		t.Fatal(err)
	}
	rows, err := series.ReadFile[series.Power](filepath.Join(d.Path(), result.RunsDir, "abc-c1", "power.parquet"))
	if err != nil || len(rows) != 0 {
		t.Errorf("rows = %v, %v", rows, err)
	}
}

// TestWriteFileKeepsTheOldOne: a failed write leaves the earlier file and nothing
// else.
func TestWriteFileKeepsTheOldOne(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f.json")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	full := &os.PathError{Op: "write", Path: path, Err: syscall.ENOSPC}
	err := disk.WriteFile(path, func(w io.Writer) error {
		_, _ = io.WriteString(w, "half of the new")
		return full
	})
	we, ok := errors.AsType[*disk.FileError](err)
	if !ok || !strings.Contains(we.NextStep(), "disk is full") {
		t.Errorf("error = %v, want a write error with a hint about the disk", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "old" {
		t.Errorf("file = %q, want the old content", b)
	}
	leftovers(t, dir)
}

func TestUnwritableFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Create(file, "x", time.Now())
	we, ok := errors.AsType[*disk.FileError](err)
	if !ok || we.NextStep() == "" {
		t.Errorf("create below a file = %v, want a write error with a hint", err)
	}
}

func TestAbortLeavesNothing(t *testing.T) {
	d := newDir(t)
	run, err := d.Begin("abc", 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Abort(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(d.Path(), result.RunsDir))
	if err != nil || len(entries) != 0 {
		t.Errorf("runs = %v, %v, want none", entries, err)
	}
}

func TestJournal(t *testing.T) {
	good := `{"id":"a","cycle":1,"status":"ok","run":"runs/a-c1","at":"2026-01-02T03:04:05Z"}` + "\n"
	for name, c := range map[string]struct {
		text string
		n    int
		bad  bool
	}{
		"empty":             {"", 0, false},
		"two":               {good + good, 2, false},
		"torn":              {good + good[:20], 1, false},
		"bad in the middle": {"{oops\n" + good, 0, true},
	} {
		got, err := parseJournal("j", strings.NewReader(c.text))
		if len(got) != c.n && !c.bad || (err != nil) != c.bad {
			t.Errorf("%s: %d entries, %v", name, len(got), err)
		}
	}
}

func TestDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"empty": "", "noise": "PAR1 not parquet PAR1", "json": "{"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := series.ReadFile[series.Power](path); err == nil {
			t.Errorf("%s: read as parquet without an error", name)
		}
		if _, err := result.ReadRecord(path); err == nil {
			t.Errorf("%s: read as a record without an error", name)
		}
	}
}
