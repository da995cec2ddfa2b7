package kin

import (
	"bufio"
	"errors"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// engineOf starts a process in its own group that starts others. It returns that process and the id that its
// script prints first.
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

// TestEnd: a process that has left the group is found by its parents and killed.
func TestEnd(t *testing.T) {
	root, inner := engineOf(t, "setsid sleep 300 & echo $!; wait")
	for range 100 { // until it has left
		if m, _ := Read(inner); m.Group != root {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	known := Engine{Group: root}.Find()
	if _, ok := known[inner]; !ok || len(known) < 2 {
		t.Fatalf("family of %d is %v, want %d in it", root, known, inner)
	}
	_ = syscall.Kill(-root, syscall.SIGKILL) // like the end of the engine
	if m, ok := Read(inner); !ok || m.Group == root {
		t.Fatalf("%+v, %v: want it alive, in a group of its own", m, ok)
	}
	if err := (Engine{Group: root}).End("engine", known, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if m, ok := Read(inner); ok && !m.Dead() {
		t.Errorf("%+v is still there", m)
	}
}

// TestEndLeavesOthers: a reused process id is not touched, and a process that cannot be ended is named.
func TestEndLeavesOthers(t *testing.T) {
	root, inner := engineOf(t, "sleep 300 & echo $!; wait")
	m, ok := Read(inner)
	if !ok {
		t.Fatal("no process")
	}
	m.Start++ // its start time differs from the remembered one
	if err := (Engine{Group: 1 << 22}).End("engine", Family{inner: m}, time.Second); err != nil {
		t.Fatal(err)
	}
	if now, ok := Read(inner); !ok || now.Dead() {
		t.Error("it was killed")
	}
	err := Engine{Group: root}.End("engine", nil, -time.Second)
	if f, ok := errors.AsType[*note.Failure](err); !ok || f.Class != codes.ClassHung ||
		!strings.Contains(f.Message, strconv.Itoa(inner)) {
		t.Errorf("%v, want the processes that are left", err)
	}
}

// TestMark: a daemon that has left its group and its parents is found by the mark it inherited, and so is a
// process that it started with an empty environment.
func TestMark(t *testing.T) {
	e := Engine{Mark: NewMark(), Since: Now()}
	c := exec.Command("sh", "-c", "setsid sh -c 'env -i sleep 300 & echo $!; wait' & exit 0")
	c.Env = append(c.Environ(), e.Mark)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	inner, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(inner, syscall.SIGKILL) })
	if found := e.Find().Living(); len(found) != 2 || !slices.Contains(found, inner) {
		t.Fatalf("found %v, want the daemon and %d", found, inner)
	}
	if found := (Engine{Mark: e.Mark, Since: Now() + 1000}).Find(); len(found) > 0 {
		t.Errorf("found %v, which are older than the engine", found)
	}
	if err := e.End("engine", nil, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if m, ok := Read(inner); ok && !m.Dead() {
		t.Errorf("%+v is still there", m)
	}
}
