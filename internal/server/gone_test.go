package server

import (
	"bufio"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
)

// engineOf starts a process in a group of its own that starts others, and returns it and
// the number that its script prints first.
func engineOf(t *testing.T, script string) (root, inner int) {
	t.Helper()
	c := exec.Command("sh", "-c", script)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL); _ = c.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	inner, err = strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return c.Process.Pid, inner
}

// TestBury: a process that has left the group is found by its parents and killed.
func TestBury(t *testing.T) {
	root, inner := engineOf(t, "setsid sleep 300 & echo $!; wait")
	for range 100 { // until it has left
		if m, _ := inspect(inner); m.group != root {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	known := family(root)
	if _, ok := known[inner]; !ok || len(known) < 2 {
		t.Fatalf("family of %d is %v, want %d in it", root, known, inner)
	}
	_ = syscall.Kill(-root, syscall.SIGKILL) // as the end of the engine does
	if m, ok := inspect(inner); !ok || m.group == root {
		t.Fatalf("%+v, %v: want it alive, in a group of its own", m, ok)
	}
	if err := bury("engine", root, known, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if m, ok := inspect(inner); ok && !m.dead {
		t.Errorf("%+v is still there", m)
	}
}

// TestBuryLeavesOthers: a number that has gone to another process is not touched, and one
// that cannot be ended is named.
func TestBuryLeavesOthers(t *testing.T) {
	root, inner := engineOf(t, "sleep 300 & echo $!; wait")
	m, ok := inspect(inner)
	if !ok {
		t.Fatal("no process")
	}
	m.start += "0" // it started at another time than the one that is remembered
	if err := bury("engine", 1<<22, map[int]member{inner: m}, time.Second); err != nil {
		t.Fatal(err)
	}
	if now, ok := inspect(inner); !ok || now.dead {
		t.Error("it was killed")
	}
	err := bury("engine", root, family(root), -time.Second)
	if f := backend.AsFailure(err); err == nil || f.Class != codes.ClassHung ||
		!strings.Contains(f.Message, strconv.Itoa(inner)) {
		t.Errorf("%v, want the processes that are left", err)
	}
}
