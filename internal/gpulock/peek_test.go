package gpulock

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHolderOf: a lock that is held is seen with its holder, and seeing it neither takes
// it nor makes a file.
func TestHolderOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gpu.lock")
	if holder, err := holderOf(path, Holder{}); holder != "" || err != nil {
		t.Fatalf("no file: %q, %v", holder, err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("looking made a file")
	}
	f, err := lockFile(path, Holder{})
	if err != nil {
		t.Fatal(err)
	}
	if holder, err := holderOf(path, Holder{}); holder == "" || err != nil {
		t.Errorf("held by this process: %q, %v", holder, err)
	}
	f.Close()
	if holder, err := holderOf(path, Holder{}); holder != "" || err != nil {
		t.Errorf("left: %q, %v", holder, err)
	}
	// A process that shares the GPU hinders the ones that do not.
	r, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := unix.Flock(int(r.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	if holder, err := holderOf(path, Holder{Shares: true}); holder != "" || err != nil {
		t.Errorf("both share: %q, %v", holder, err)
	}
	if holder, err := holderOf(path, Holder{}); holder == "" || err != nil {
		t.Errorf("one shares: %q, %v", holder, err)
	}
}
