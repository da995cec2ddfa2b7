package tenants

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// uses sets the processor time of a process and of its children that have ended, in ticks.
func (f fakeProc) uses(pid, parent, group, own, children int) {
	f.Helper()
	dir := filepath.Join(f.dir, strconv.Itoa(pid))
	f.must(os.MkdirAll(dir, 0o755))
	f.must(os.WriteFile(filepath.Join(dir, "stat"), fmt.Appendf(nil,
		"%d (a) b) S %d %d 1 0 -1 0 0 0 0 0 %d 0 %d 0 20 0 1 0 77", pid, parent, group, own, children), 0o600))
}

// machine sets the time of the machine in ticks: of processes, and in interrupts.
func (f fakeProc) machine(processes, interrupts int) {
	f.Helper()
	f.must(os.WriteFile(filepath.Join(f.dir, "stat"), fmt.Appendf(nil,
		"cpu  %d 0 0 4000 5 %d 0 9 0 0\ncpu0 1 0 0 1 1 1 0 0 0 0\ncpu1 1 0 0 1 1 1 0 0 0 0\nintr 5 0 0 0 0 0 0 0\n",
		processes, interrupts), 0o600))
}

// TestHostCPU: the time of others is the machine's without this program, its engine in a group or a
// container of its own, and their children, including ended and new ones.
func TestHostCPU(t *testing.T) {
	const self, engine = 10, 20
	start := func(t *testing.T, engineParent int) (fakeProc, *HostCPU) {
		f := newProc(t)
		f.machine(1000, 50)
		f.uses(1, 0, 1, 500, 0)
		f.uses(self, 1, 9, 10, 0)
		f.uses(engine, engineParent, engine, 100, 3)
		f.uses(21, engine, engine, 50, 0)
		f.uses(30, 1, 30, 40, 0)
		return f, followCPU(f.procFS(), self, engine)
	}
	for name, parent := range map[string]int{"a child": self, "in a container": 1} {
		f, h := start(t, parent)
		if slices.Sort(h.members); !slices.Equal(h.members, []int{self, engine, 21}) {
			t.Errorf("%s: processes %v of the run", name, h.members)
		}
		from := h.Read()
		f.machine(1000+7+30+25+8+200, 90) // 200 are of others
		f.uses(self, 1, 9, 17, 0)
		f.uses(engine, parent, engine, 130, 3+50+25) // its child used 25 more and ended
		f.gone(21)
		f.uses(22, engine, 22, 8, 0) // which began in the window
		to := h.Read()
		if got, ok := OtherCPU(from, to, h.Newcomers()); !ok || got != 2*time.Second || to.Cores != 2 {
			t.Errorf("%s: %v of others (%v) on %d processors, want 2 s on 2", name, got, ok, to.Cores)
		}
		if got, want := to.All-from.All, 3100*time.Millisecond; got != want {
			t.Errorf("%s: %v of the machine, want %v with interrupts", name, got, want)
		}
	}
	f, h := start(t, self)
	from := h.Read()
	f.machine(1005, 50)
	f.uses(engine, self, engine, 120, 3) // finer clocks may say more than the machine's
	if got, ok := OtherCPU(from, h.Read(), 0); !ok || got != 0 {
		t.Errorf("%v of others (%v), want none", got, ok)
	}
	f.machine(1100, 50)
	f.gone(engine)
	if got, ok := OtherCPU(from, h.Read(), 0); ok {
		t.Errorf("%v of others although the engine cannot be seen", got)
	}
	unknown := followCPU(f.procFS(), self, 0)
	from = unknown.Read()
	f.machine(1200, 50)
	if got, ok := OtherCPU(from, unknown.Read(), 0); ok {
		t.Errorf("%v of others although no engine is known", got)
	}
	if from := (procFS(t.TempDir())).hostTimes(); from.All >= 0 {
		t.Errorf("%v without /proc, want a negative time", from.All)
	}
}

// TestOwnChild: on this machine, the time of a child counts as the run's.
func TestOwnChild(t *testing.T) {
	c := exec.Command("sh", "-c", "while :; do :; done")
	if err := c.Start(); err != nil {
		t.Skip(err)
	}
	defer func() { _ = c.Process.Kill(); _ = c.Wait() }()
	h := FollowCPU(c.Process.Pid)
	from := h.Read()
	for end := time.Now().Add(10 * time.Second); ; {
		time.Sleep(50 * time.Millisecond)
		if to := h.Read(); to.Own-from.Own >= 10*clockTick {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("a child that is busy took %v", h.Read().Own-from.Own)
		}
	}
}

// TestServerIsOtherWork: the time of a server for people who watch the run is not the run's own.
func TestServerIsOtherWork(t *testing.T) {
	const self, engine, server = 10, 20, 30
	f := newProc(t)
	f.machine(1000, 0)
	f.uses(self, 1, 9, 10, 0)
	f.uses(engine, self, engine, 100, 0)
	f.uses(server, self, server, 0, 0)
	f.must(os.WriteFile(filepath.Join(f.dir, "30", "environ"), []byte("HOME=/\x00LLEM_ASIDE=1\x00"), 0o600))
	f.must(os.WriteFile(filepath.Join(f.dir, "20", "environ"), []byte("LLEM_RUN=1\x00"), 0o600))
	h := followCPU(f.procFS(), self, engine)
	from := h.Read()
	f.machine(1150, 0)
	f.uses(engine, self, engine, 200, 0)
	f.uses(server, self, server, 50, 0)
	if got, ok := OtherCPU(from, h.Read(), h.Newcomers()); !ok || got != 500*time.Millisecond {
		t.Errorf("%v of others (%v), want 500 ms", got, ok)
	}
}
