package store

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/result"
)

// TestOddFilesOfAStudy puts a named pipe and a device in place of each file of a study that is read
// again: neither is waited for, nor read until the memory is full.
func TestOddFilesOfAStudy(t *testing.T) {
	reads := map[string]func(dir string) error{
		result.SummaryFile: func(dir string) error { _, err := result.ReadStudy(dir); return err },
		result.RecordFile: func(dir string) error {
			_, err := result.ReadRecord(filepath.Join(dir, result.RecordFile))
			return err
		},
		StudyFile: func(dir string) error {
			_, _, err := ReadFrozen(dir)
			return err
		},
		JournalFile: func(dir string) error {
			_, err := ReadJournal(dir)
			_, _, reopened := Reopen(dir)
			if reopened == nil {
				t.Error("it was opened")
			}
			return err
		},
	}
	for name, read := range reads {
		for what, put := range map[string]func(path string) error{
			"named pipe": func(path string) error { return syscall.Mkfifo(path, 0o600) },
			"device":     func(path string) error { return os.Symlink("/dev/zero", path) },
		} {
			dir := t.TempDir()
			if err := put(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- read(dir) }()
			select {
			case err := <-done:
				if _, ok := errors.AsType[*disk.OddFileError](err); !ok {
					t.Errorf("%s as %s: %v", what, name, err)
				}
			case <-time.After(time.Minute):
				t.Fatalf("%s as %s is waited for", what, name)
			}
		}
	}
}
