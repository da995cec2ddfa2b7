package backend

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

func logFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "engine.log")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTail(t *testing.T) {
	tests := []struct {
		name, text string
		n          int64
		want       string
	}{
		{"empty", "", 10, ""},
		{"whole file", "one\ntwo\n", 100, "one\ntwo"},
		{"exactly n", "one\ntwo\n", 8, "one\ntwo"},
		{"from a line start", "one\ntwo\nthree\n", 10, "three"},
		{"one long line", strings.Repeat("x", 50) + "end\n", 10, "xxxxxxend"},
		{"long line without end", strings.Repeat("x", 50) + "end", 10, "xxxxxxxend"},
		{"long line before blank ones", strings.Repeat("x", 50) + "end\n\n\n", 10, "xxxxend"},
		{"only blanks", strings.Repeat("\n", 50), 10, ""},
		{"cut character", strings.Repeat("東", 10), 4, "�東"},
		{"invalid bytes", "a\xff\xfeb\n", 100, "a�b"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := tail(logFile(t, test.text), test.n)
			if got != test.want {
				t.Errorf("tail = %q, want %q", got, test.want)
			}
			if !utf8.ValidString(got) {
				t.Errorf("tail = %q is not valid UTF-8", got)
			}
		})
	}
}

func TestTailOfNothing(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "absent"), dir} {
		if got := tail(path, 10); got != "" {
			t.Errorf("tail(%s) = %q, want nothing", path, got)
		}
	}
}

func TestGoCrash(t *testing.T) {
	const crash = "loading\nSIGSEGV: segmentation violation\nPC=0x1 m=0\n"
	tests := []struct {
		name   string
		status int
		text   string
		want   syscall.Signal
		start  string
	}{
		{"other status", 1, crash, 0, ""},
		{"no crash", 2, "usage: worker\nnot a SIGILL: illegal instruction\n", 0, ""},
		{"crash", 2, crash, syscall.SIGSEGV, "SIGSEGV: segmentation violation\nPC"},
		{"first line", 2, "SIGILL: illegal instruction\n", syscall.SIGILL, "SIGILL"},
		{"abort with many stacks", 2,
			strings.Repeat("noise\n", 1e5) + "SIGABRT: abort\n" +
				strings.Repeat("goroutine\n", 1e4), syscall.SIGABRT, "SIGABRT: abort\ngor"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var f note.Failure
			if got := goCrash(logFile(t, test.text), test.status, &f); got != test.want {
				t.Errorf("signal = %v, want %v", got, test.want)
			}
			if !strings.HasPrefix(f.LogTail, test.start) || len(f.LogTail) > logTailBytes {
				t.Errorf("log tail = %.80q (%d bytes), want %q at its start", f.LogTail, len(f.LogTail), test.start)
			}
		})
	}
}

func TestSpawnFailures(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	_, err := spawn(Command{Path: filepath.Join(dir, "absent")}, "", nil)
	f, ok := errors.AsType[*note.Failure](err)
	if !ok || f.Class != codes.ClassNotInstalled || !errors.Is(err, fs.ErrNotExist) || f.Next == "" {
		t.Errorf("spawn of a missing program = %v, want %s with its cause and a hint", err, codes.ClassNotInstalled)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%d files left, want the temporary log removed", len(left))
	}
	if _, err := spawn(Command{Path: "/bin/true"}, filepath.Join(dir, "absent", "engine.log"), nil); !errors.Is(err,
		fs.ErrNotExist) {
		t.Errorf("spawn with a log in a missing folder = %v, want %v", err, fs.ErrNotExist)
	}
}
