package disk

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
)

// oddFiles makes one of each thing that is not a file of a usual size.
func oddFiles(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := syscall.Mkfifo(at("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: at("socket"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if err := os.Symlink("/dev/zero", at("device")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("huge"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(at("huge"), 1<<40); err != nil {
		t.Fatal(err)
	}
	return map[string]string{at("pipe"): "a named pipe", at("socket"): "a socket", at("device"): "a device",
		dir: "a folder", at("huge"): "1.1 TB large; such a file has at most 16.8 MB"}
}

func TestOddFilesAreRefused(t *testing.T) {
	for path, what := range oddFiles(t) {
		for name, open := range map[string]func() error{
			"Open":     func() error { _, err := Open(path, MaxSmall); return err },
			"ReadFile": func() error { _, err := ReadFile(path, MaxSmall); return err },
			"OpenFile": func() error {
				_, err := OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600, MaxSmall)
				return err
			},
			"OpenFile to write": func() error { _, err := OpenFile(path, os.O_WRONLY, 0, MaxSmall); return err },
		} {
			done := make(chan error, 1)
			go func() { done <- open() }()
			select {
			case err := <-done:
				odd, ok := errors.AsType[*OddFileError](err)
				if !ok || !strings.Contains(err.Error(), path+" is "+what) || odd.NextStep() == "" {
					t.Errorf("%s of %s: %v, want %q", name, path, err, what)
				}
				if got := ReadError(path, err); fault.Class(got) != codes.ClassCorruptModel {
					t.Errorf("class of %v: %s", got, fault.Class(got))
				}
			case <-time.After(time.Minute):
				t.Fatalf("%s of %s waits", name, path)
			}
		}
	}
}

func TestOrdinaryFilesAreOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if _, err := ReadFile(path, MaxSmall); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	f, err := OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600, MaxSmall)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("text"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, most := range []int64{4, MaxSmall, Unbounded} {
		if b, err := ReadFile(path, most); err != nil || string(b) != "text" {
			t.Errorf("at most %d bytes: %q, %v", most, b, err)
		}
	}
	if _, err := ReadFile(path, 3); err == nil {
		t.Error("4 bytes were read where 3 were the limit")
	}
	// The kernel's files have no size before they are read.
	if b, err := ReadFile("/proc/self/status", MaxSmall); err != nil || len(b) == 0 {
		t.Errorf("%d bytes of /proc/self/status, %v", len(b), err)
	}
	if _, err := ReadFile("/proc/self/status", 10); err == nil {
		t.Error("a file that is longer than its size was read to its end")
	}
}
