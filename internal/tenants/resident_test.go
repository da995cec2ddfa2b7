package tenants

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// fakeProc is a folder as proc(5) has it, whose numbers a test sets.
type fakeProc struct {
	*testing.T
	dir string
}

func newProc(t *testing.T) fakeProc { return fakeProc{t, t.TempDir()} }

func (f fakeProc) procFS() procFS { return procFS(f.dir) }

// process makes a process, or changes it: its memory now and at its peak, in kB.
func (f fakeProc) process(pid, parent, group, now, peak int) {
	f.Helper()
	dir := filepath.Join(f.dir, strconv.Itoa(pid))
	f.must(os.MkdirAll(dir, 0o755))
	f.must(os.WriteFile(filepath.Join(dir, "stat"), fmt.Appendf(nil, "%d (a) b) S %d %d 1 0", pid, parent, group),
		0o600))
	f.must(os.WriteFile(filepath.Join(dir, "status"),
		fmt.Appendf(nil, "Name:\ta\nVmHWM:\t%8d kB\nVmRSS:\t%8d kB\nVmData:\t9 kB\n", peak, now), 0o600))
}

// gone takes a process away.
func (f fakeProc) gone(pid int) { f.must(os.RemoveAll(filepath.Join(f.dir, strconv.Itoa(pid)))) }

// sealed makes a process whose peak cannot be reset.
func (f fakeProc) sealed(pid int) {
	f.must(os.Mkdir(filepath.Join(f.dir, strconv.Itoa(pid), "clear_refs"), 0o700))
}

func (f fakeProc) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// TestAgain: a window that is measured twice has the peak of both, by the method of the first.
func TestAgain(t *testing.T) {
	for name, q := range map[string]struct {
		sealed, child bool
		want          int64
		source        string
	}{
		"one process":                       {want: 700, source: "VmHWM of the engine's process"},
		"one whose peak cannot be reset":    {sealed: true, want: 500, source: "VmRSS of the engine's process"},
		"a child in the first window alone": {child: true, want: 900, source: "VmRSS of 2 processes together"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newProc(t)
			f.process(7, 1, 7, 500, 700)
			if q.sealed {
				f.sealed(7)
			}
			if q.child {
				f.process(8, 7, 8, 400, 400)
			}
			w := watchMemory(f.procFS(), 7)
			w.End()
			<-w.done
			f.gone(8)
			f.process(7, 1, 7, 100, 200)
			p := w.Again().Peak()
			if p.Bytes != q.want*1024 || !strings.HasPrefix(p.Source, q.source) {
				t.Errorf("%d kB (%s), want %d (%s)", p.Bytes/1024, p.Source, q.want, q.source)
			}
		})
	}
}

// TestSinceReset: the kernel's peaks belong to this run only if all of them could be reset, and each was.
func TestSinceReset(t *testing.T) {
	f := newProc(t)
	f.process(7, 1, 7, 100, 1000)
	f.process(8, 7, 7, 100, 100)
	f.process(9, 1, 9, 100, 100) // somebody else's
	if !f.procFS().forgetPeaks(f.procFS().tree(7)) {
		t.Error("the peaks could be reset")
	}
	for pid, want := range map[int]string{7: "5", 8: "5", 9: ""} {
		if text, _ := os.ReadFile(f.procFS().file(pid, "clear_refs")); string(text) != want {
			t.Errorf("%q was written for process %d, want %q", text, pid, want)
		}
	}
	f.must(os.Remove(f.procFS().file(7, "clear_refs")))
	f.sealed(7) // the first of two
	w := watchMemory(f.procFS(), 7)
	if p := w.Peak(); p.Bytes != 200*1024 {
		t.Errorf("%d kB (%s), want the 200 that are held now: the peak of 1000 may be of an earlier run",
			p.Bytes/1024, p.Source)
	}
}

// TestPeakOfSeveral: never less than one of them had by itself, and the most at once.
func TestPeakOfSeveral(t *testing.T) {
	f := newProc(t)
	f.process(7, 1, 7, 100, 900)
	f.process(8, 7, 8, 100, 100)
	if p := watchMemory(f.procFS(), 7).Peak(); p.Bytes != 900*1024 {
		t.Errorf("%d kB, want the 900 of one of them", p.Bytes/1024)
	}
	w := &MemoryWatch{proc: f.procFS(), root: 7}
	for _, now := range []int{300, 800, 200} {
		f.process(7, 1, 7, now, now)
		w.read(w.proc.tree(7))
	}
	f.gone(8)
	w.read(w.proc.tree(7))
	if w.peak != 900*1024 || w.processes != 2 {
		t.Errorf("peak %d kB of %d processes, want 900 of 2", w.peak/1024, w.processes)
	}
}
