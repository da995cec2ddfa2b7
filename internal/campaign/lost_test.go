package campaign

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/note"
)

// smallDisk mounts a small file system in memory, and returns its folder.
func smallDisk(t *testing.T, bytes int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		t.Skipf("WORKERS ON A FULL DISK ARE NOT TESTED: a small file system cannot be mounted here (%v)", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// fill fills a disk but for some bytes.
func fill(t *testing.T, dir string, but int) (path string) {
	t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		t.Error(err)
	}
	path = filepath.Join(dir, "others")
	n := max(0, int(s.Bavail)*int(s.Bsize)-but)
	if err := os.WriteFile(path, make([]byte, n), 0o600); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	return path
}

// endedFor checks the error with which a worker ends that has lost its disk: its class, and how to continue.
func endedFor(t *testing.T, err error, class note.Class, dir string) {
	t.Helper()
	next, ok := errors.AsType[interface {
		error
		NextStep() string
	}](err)
	if fault.Class(err) != class || !ok || !strings.Contains(next.NextStep(), "llem run --worker --resume="+dir) {
		t.Errorf("%v (%s), want class %s", err, fault.Class(err), class)
	}
}

// continued checks that another worker completes the study, and that each run is there once.
func (m *team) continued(runs int, again ...string) {
	m.t.Helper()
	for _, name := range append([]string{"later"}, again...) {
		if r, err := Run(m.t.Context(), m.worker(name)); err != nil || !r.Complete {
			m.t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	m.complete(runs)
	for _, pattern := range []string{"runs/*.twice*", "runs/*.try*"} {
		if left, _ := filepath.Glob(filepath.Join(m.dir, pattern)); len(left) > 0 {
			m.t.Errorf("left behind: %v", left)
		}
	}
}

// TestWorkersDiskFull: the disk is full while two workers run, at any point of what they write. Each ends with that
// error, its run is free for others, and when there is space again another worker completes the study: no run is lost,
// and none is doubled.
func TestWorkersDiskFull(t *testing.T) {
	for _, room := range []int{0, 4, 8, 16, 24, 32, 48, 64} {
		t.Run(fmt.Sprintf("%d KiB left", room), func(t *testing.T) {
			disk := smallDisk(t, 4<<20)
			bubble(t, func(t *testing.T) {
				m := newTeam(t, newStudy(t, 4, threeCycles))
				m.dir = filepath.Join(disk, "study")
				var mu sync.Mutex
				begun, path := 0, ""
				worker := func(name string) Options {
					return m.worker(name, func(o *Options, e *stub) {
						o.Store.Dir = t.TempDir()
						e.inRun = func(context.Context) {
							mu.Lock()
							defer mu.Unlock()
							if begun++; begun == 4 {
								path = fill(t, disk, room<<10)
							}
						}
					})
				}
				_, errs := m.run(worker("a"), worker("b"))
				for _, err := range errs {
					endedFor(t, err, codes.ClassDiskFull, m.dir)
				}
				if live, _ := filepath.Glob(filepath.Join(m.dir, store.ClaimsDir, "*")); len(live) > 0 {
					t.Errorf("claims are left: %v", live)
				}
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				// A run whose folder was stored and whose line was not counts; the line is written by its own worker.
				m.continued(12, "a", "b")
			})
		})
	}
}

// TestWorkersFolderAway: the folder is away while two workers run, as when its disk is unmounted. Each ends with that
// error and makes nothing in its place; when the folder is back, another worker completes the study.
func TestWorkersFolderAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newTeam(t, newStudy(t, 4, threeCycles))
		away := m.dir + ".away"
		var mu sync.Mutex
		begun := 0
		worker := func(name string) Options {
			return m.worker(name, func(o *Options, e *stub) {
				o.Emit = func(e event.Event) {
					if n, ok := e.(event.Note); ok && n.Code == codes.RunTwice {
						t.Errorf("%s", n.Message)
					}
				}
				e.inRun = func(context.Context) {
					mu.Lock()
					if begun++; begun == 4 {
						if err := os.Rename(m.dir, away); err != nil {
							t.Error(err)
						}
					}
					mu.Unlock()
					time.Sleep(time.Second)
				}
			})
		}
		_, errs := m.run(worker("a"), worker("b"))
		for _, err := range errs {
			endedFor(t, err, codes.ClassWriteFailed, m.dir)
			if err == nil || !strings.Contains(err.Error(), "vanished") {
				t.Errorf("%v", err)
			}
		}
		if _, err := os.Stat(m.dir); err == nil {
			t.Error("a worker has made a folder in the place of the one that is away")
		}
		if err := os.Rename(away, m.dir); err != nil {
			t.Fatal(err)
		}
		// As if their term were over: the workers could not release what they held, and they are of this live process.
		if err := os.RemoveAll(filepath.Join(m.dir, store.ClaimsDir)); err != nil {
			t.Fatal(err)
		}
		m.continued(12)
	})
}
