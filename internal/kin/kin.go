// Package kin finds all processes of an engine and ends them.
//
// Engines fork: schedulers, workers, MPI ranks, daemons. The kill of the process group
// reaches most of them. Others are found by their parents, by a variable that all
// processes of an engine inherit, and by becoming children of this program, which takes
// over the orphans of its engines if [Adopt] was called. Each of them holds its part of the
// GPU's memory until it is really gone, and the next engine takes what is free then.
package kin

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Engine is what tells the processes of one engine from all others.
type Engine struct {
	// Group is the engine's first process, which leads its process group; 0 if not known.
	Group int `json:"group"`
	// Mark stands in the environment of its processes, as [NewMark] makes it; empty if none.
	Mark string `json:"mark"`
	// Since is when the engine began, as [Now] returns it: what is older is not the engine's.
	Since uint64 `json:"since"`
}

// MarkName is the variable that the processes of an engine inherit.
const MarkName = "LLEM_RUN"

// NewMark returns a mark that no other engine has, NAME=VALUE.
func NewMark() string {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // it never fails
	return fmt.Sprintf("%s=%x", MarkName, id)
}

// Process is a process of this machine. Its start tells it from a later one with its number.
type Process struct {
	// PID is its number, Parent its parent's, Group that of its process group.
	PID, Parent, Group int
	// Start is when it began, in clock ticks since the start of the machine.
	Start uint64
	// State is R, S, D, T, t, Z and so on, as in proc_pid_stat(5).
	State byte
	// CPU is the processor time of it and of its children that have ended, in clock ticks.
	CPU uint64
}

// Dead reports whether it holds nothing anymore: a zombie.
func (p Process) Dead() bool { return p.State == 'Z' || p.State == 'X' }

// Read reads one process (proc_pid_stat(5)); false if there is none.
func Read(pid int) (Process, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Process{}, false
	}
	// The name may hold anything; the fields begin behind its last bracket.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 20 {
		return Process{}, false
	}
	number := func(field int) uint64 { // as proc_pid_stat(5) counts them
		n, _ := strconv.ParseUint(string(f[field-3]), 10, 64)
		return n
	}
	return Process{PID: pid, State: f[0][0], Parent: int(number(4)), Group: int(number(5)), Start: number(22),
		CPU: number(14) + number(15) + number(16) + number(17)}, true
}

// all reads all processes of the machine.
func all() []Process {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	var out []Process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if p, ok := Read(pid); ok {
			out = append(out, p)
		}
	}
	return out
}

// Ticks are the clock ticks of a second in /proc: the same on all of Linux's processors.
const Ticks = 100

// Now is the time as processes have it that begin now, or a tick before.
func Now() uint64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return 0
	}
	return uint64(t.Nano() / (1e9 / Ticks))
}

// Adopt makes this process the parent of its engines' orphans, which are found thereby. It is
// for a program that has no other children than engines and short commands.
func Adopt() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) } // Linux before 3.4

func adopts() bool {
	var yes int32
	return unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&yes)), 0, 0, 0) == nil && yes != 0
}

// Family are the processes of an engine by their numbers.
type Family map[int]Process

// Living are the processes that are not dead, in the order of their numbers.
func (f Family) Living() []int {
	var out []int
	for pid, p := range f {
		if !p.Dead() {
			out = append(out, pid)
		}
	}
	slices.Sort(out)
	return out
}

// Find looks for the engine's processes, dead ones among them.
func (e Engine) Find() Family { return e.find(nil) }

// find looks for the engine's processes: its own, the known ones and all that descend from
// them.
func (e Engine) find(known Family) Family {
	out := Family{}
	if e.Group == 0 && e.Mark == "" && len(known) == 0 { // 0 is the group of the kernel's own
		return out
	}
	self, list, orphans := os.Getpid(), all(), e.Mark != "" && adopts()
	own, _ := syscall.Getpgid(0)
	for _, p := range list {
		was, is := known[p.PID]
		switch {
		case p.PID == self, p.Start < e.Since:
		case is && was.Start == p.Start, e.Group != 0 && (p.PID == e.Group || p.Group == e.Group):
			out[p.PID] = p
		case e.Mark != "":
			mark := markOf(p.PID)
			if mark == e.Mark || mark == "" && orphans && p.Parent == self && p.Group != own {
				out[p.PID] = p
			}
		}
	}
	for grew := len(out) > 0; grew; {
		grew = false
		for _, p := range list {
			_, is := out[p.PID]
			if _, child := out[p.Parent]; child && !is && p.PID != self {
				out[p.PID], grew = p, true
			}
		}
	}
	return out
}

// markOf is the mark in the environment of a process; empty where there is none, or where it
// may not be read.
func markOf(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return ""
	}
	for kv := range bytes.SplitSeq(b, []byte{0}) {
		if bytes.HasPrefix(kv, []byte(MarkName+"=")) {
			return string(kv)
		}
	}
	return ""
}

// reap takes note of the dead orphans that have become children of this process.
func (e Engine) reap(dead Family) {
	for pid, p := range dead {
		if p.Dead() && p.Parent == os.Getpid() && pid != e.Group {
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		}
	}
}

// notedWithin bounds the wait for the first process of the machine to take note of dead
// ones. They hold nothing anymore; some first processes never do.
const notedWithin = 3 * time.Second

// Bury waits until none of an engine's processes is left, and kills those that are: the
// known ones, from earlier calls of [Engine.Find], and what is found now.
func (e Engine) Bury(name string, known Family, within time.Duration) error {
	known = maps.Clone(known)
	if known == nil {
		known = Family{}
	}
	began := time.Now()
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		left := e.find(known)
		maps.Copy(known, left) // whose children may be found by them alone
		living := left.Living()
		took := time.Since(began)
		if len(living) == 0 && (len(left) == 0 || took > notedWithin) {
			return nil
		}
		if took > within && len(living) > 0 {
			return note.Failf(codes.ClassHung,
				"see `ps -o pid,stat,wchan:30,args` for what they wait for; a process in state D waits for its driver",
				"%s has stopped, but %d of its processes are still there after %v (%s): they may hold the "+
					"GPU's memory", name, len(living), within, fmt.Sprint(living))
		}
		e.reap(left)
		for _, pid := range living {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(wait)
	}
}

// Signal sends a signal to all processes of the engine.
func (e Engine) Signal(sig syscall.Signal) {
	for _, pid := range e.Find().Living() {
		_ = syscall.Kill(pid, sig)
	}
}
