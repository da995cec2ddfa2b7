package metering

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/store"
)

// TestCommand: the exit code is as a shell has it, and the window is kept whatever it is.
func TestCommand(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -TERM $$": 143} {
		l := newLab(t, 0, nil)
		l.options.Argv = []string{"sh", "-c", script}
		path, err := Find(l.options.Argv)
		if err != nil {
			t.Fatal(err)
		}
		rec, err := l.Command(t.Context(), path, Streams{})
		ended, _ := errors.AsType[*ExitError](err)
		if rec == nil || (err != nil) != (want != 0) || want != 0 && (ended.Code != want || ended.Err != nil) {
			t.Fatalf("%s: %v, %v", script, rec, err)
		}
		if _, told := rec.Warnings.Find(codes.CommandFailed); told != (want != 0) {
			t.Errorf("%s: %v", script, rec.Warnings)
		}
	}
}

// TestNotStored: a result that cannot be stored is returned, with the reason and the command's own exit code.
func TestNotStored(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7} {
		l := newLab(t, 0, nil)
		l.options.Argv = []string{"sh", "-c", script}
		var err error
		if l.dir, err = store.Create(t.TempDir(), "meter", time.Now()); err != nil {
			t.Fatal(err)
		}
		defer l.dir.Close()
		if err := os.RemoveAll(filepath.Join(l.Dir(), "runs")); err != nil {
			t.Fatal(err)
		}
		rec, err := l.Command(t.Context(), "/bin/sh", Streams{})
		ended, _ := errors.AsType[*ExitError](err)
		if rec == nil || err == nil || (ended != nil) != (want != 0) || ended != nil && (ended.Code != want ||
			ended.Err == nil) {
			t.Errorf("%s: %v, %v", script, rec, err)
		}
	}
}

// TestFind: a command that cannot be started is reported before anything is measured, with the code of a shell.
func TestFind(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("words"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"no-such-command": notFound, text: notExecutable} {
		_, err := Find([]string{name})
		ended, _ := errors.AsType[*ExitError](err)
		if ended == nil || ended.Code != want || ended.NextStep() == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	l := newLab(t, 0, nil) // a program of nobody's machine
	l.options.Argv = []string{text}
	if err := os.Chmod(text, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := l.Command(t.Context(), text, Streams{})
	if ended, _ := errors.AsType[*ExitError](err); ended == nil || ended.Code != notExecutable || ended.Err == nil {
		t.Errorf("not a program: %v", err)
	}
}
