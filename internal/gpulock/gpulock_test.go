package gpulock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/power"
)

// TestLock: all or none, and who has them is named.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	two := []power.Meter{locked{"GPU-a", "GPU-b"}}
	release, err := Lock(dir, two, Holder{})
	if err != nil {
		t.Fatal(err)
	}
	var busy *BusyError
	if _, err := Lock(dir, []power.Meter{locked{"GPU-0", "GPU-b"}}, Holder{}); !errors.As(err, &busy) ||
		!strings.Contains(err.Error(), fmt.Sprintf("gpu1 is in use by another llem process (process %d", os.Getpid())) {
		t.Errorf("error %v", err)
	}
	free, err := Lock(dir, []power.Meter{locked{"GPU-0"}}, Holder{})
	if err != nil {
		t.Fatalf("the first of two GPUs was kept: %v", err)
	}
	free()
	release()
	if release, err = Lock(dir, two, Holder{}); err != nil {
		t.Errorf("after the release: %v", err)
	} else {
		release()
	}
}

// TestLockFile: every user may lock, whatever the umask; a link is not followed, and
// a file that may only be read locks as well.
func TestLockFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "llem-GPU-a.lock")
	old := unix.Umask(0o077)
	f, err := lockFile(path, Holder{})
	unix.Umask(old)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("mode %v, %v, want 0666", info.Mode(), err)
	}
	link := filepath.Join(dir, "llem-GPU-b.lock")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if g, err := lockFile(link, Holder{}); err == nil {
		g.Close()
		t.Error("a symbolic link was followed")
	}
	other := filepath.Join(dir, "precious")
	if err := os.WriteFile(other, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	hard := filepath.Join(dir, "llem-GPU-c.lock")
	if err := os.Link(other, hard); err != nil {
		t.Fatal(err)
	}
	if g, err := lockFile(hard, Holder{}); err == nil {
		g.Close()
		t.Error("a hard link was taken for a lock")
	}
	if text, err := os.ReadFile(other); err != nil || string(text) != "mine" {
		t.Errorf("the other file holds %q, %v", text, err)
	}
}

// TestLockDir: the folder is the same for everybody; root's right to write anywhere
// does not count.
func TestLockDir(t *testing.T) {
	private, shared := t.TempDir(), t.TempDir()
	if err := errors.Join(os.Chmod(private, 0o755), os.Chmod(shared, 0o1777)); err != nil {
		t.Fatal(err)
	}
	for want, dirs := range map[string][]string{
		shared:  {private, "/nowhere", shared, "/tmp"},
		"/tmp":  {private, "/tmp"},
		private: {"/nowhere", private},
	} {
		if got := firstShared(dirs...); got != want {
			t.Errorf("%q: %s, want %s", dirs, got, want)
		}
	}
	t.Setenv("TMPDIR", private)
	if got := Dir(); got != "/run/lock" && got != "/tmp" {
		t.Errorf("locks lie in %s", got)
	}
}

// TestSharedLock: processes that all allow sharing lock one GPU together, and no one else.
func TestSharedLock(t *testing.T) {
	dir, one := t.TempDir(), []power.Meter{locked{"GPU-a"}}
	free, err := Lock(dir, one, Holder{Worker: "a", Shares: true})
	if err != nil {
		t.Fatal(err)
	}
	also, err := Lock(dir, one, Holder{Worker: "b", Shares: true})
	if err != nil {
		t.Fatal(err)
	}
	var busy *BusyError
	if _, err := Lock(dir, one, Holder{Worker: "c"}); !errors.As(err, &busy) ||
		!strings.Contains(err.Error(), "(worker b, process ") || !strings.Contains(busy.NextStep(), "each worker") {
		t.Errorf("%v", err)
	}
	if err := Peek(dir, one, Holder{}); !errors.As(err, &busy) {
		t.Errorf("a plan finds %v", err)
	}
	free()
	also()
	if free, err = Lock(dir, one, Holder{}); err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir, one, Holder{Shares: true}); !errors.As(err, &busy) ||
		strings.Contains(busy.NextStep(), "each worker") {
		t.Errorf("beside a process that does not share: %v", err)
	}
	free()
}

// remoteGPU is a sensor of another machine's GPU.
type remoteGPU struct{ locked }

func (r remoteGPU) Devices() []power.Device {
	all := r.locked.Devices()
	for i := range all {
		all[i].OverNetwork = true
	}
	return all
}

// TestOthersAreNotLocked: a GPU that is read over the network may be another machine's; its own llem locks it.
func TestOthersAreNotLocked(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		release, err := Lock(dir, []power.Meter{remoteGPU{locked{"GPU-a"}}}, Holder{})
		if err != nil {
			t.Fatal(err)
		}
		defer release()
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("locks %v", left)
	}
}

// locked is a meter of GPUs with these UUIDs.
type locked []string

func (l locked) Name() string { return "nvml" }
func (l locked) Devices() []power.Device {
	var out []power.Device
	for i, u := range l {
		out = append(out, power.Device{ID: fmt.Sprintf("gpu%d", i), Kind: power.GPU, UUID: u})
	}
	return out
}
func (l locked) Interval() time.Duration                           { return time.Second }
func (l locked) Poll(context.Context, *power.Trace) error          { return nil }
func (l locked) Counters(context.Context) ([]power.Reading, error) { return nil, nil }
func (l locked) Close() error                                      { return nil }
