package llem

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// TestOpenWithoutSummary: the error describes the folder and names a folder to open instead.
func TestOpenWithoutSummary(t *testing.T) {
	root := t.TempDir()
	file := func(parts ...string) {
		t.Helper()
		path := filepath.Join(append([]string{root}, parts...)...)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("{}"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file("killed", store.JournalFile)
	file("parent", "one", result.SummaryFile)
	file("photos", "cat.jpg")
	for dir, want := range map[string]string{
		"missing":                          "no such folder: ",
		filepath.Join("photos", "cat.jpg"): "",
		"killed":                           "still running or was killed, and gives no summary: ",
		"parent":                           "it holds studies",
		"photos":                           "not the folder of a study",
	} {
		_, err := Open(filepath.Join(root, dir))
		if err == nil || !strings.Contains(err.Error(), result.SummaryFile) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error about %s and %q", dir, err, result.SummaryFile, want)
		}
		if want != "" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v does not wrap its cause", dir, err)
		}
		step, _ := err.(interface{ NextStep() string })
		if dir == "parent" && (step == nil ||
			!strings.HasSuffix(step.NextStep(), filepath.Join("parent", "one"))) {
			t.Errorf("%s: %#v does not name a study", dir, err)
		}
	}
}

func TestOpenDamaged(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, result.SummaryFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("%v, want an error that names the folder", err)
	}
}

// TestRunChecksFirst: a mistake that can be detected before the start writes nothing.
func TestRunChecksFirst(t *testing.T) {
	s, err := study.Load(study.Options{Settings: []study.Setting{
		{Flag: "--model", Key: "model", Value: "random:tiny-lama"},
		{Flag: "--set", Key: "workload.dataset", Value: filepath.Join(t.TempDir(), "none.jsonl")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	results := filepath.Join(t.TempDir(), "results")
	_, err = Run(t.Context(), s, Options{Results: results, Observe: func(e event.Event) { t.Errorf("event %+v", e) }})
	mistakes, ok := errors.AsType[study.Errors](err)
	if !ok || len(mistakes) != 2 {
		t.Errorf("error = %v, want both mistakes", err)
	}
	if _, err := os.Stat(results); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the results folder was made: %v", err)
	}
}
