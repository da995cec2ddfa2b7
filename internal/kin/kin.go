// Package kin finds all processes of an engine and ends them.
//
// Engines fork: schedulers, workers, MPI ranks, daemons. Killing the process group reaches most of them. Others
// are found by their parents, by an environment variable that all processes of an engine inherit, or because they
// become children of this program, which adopts the orphans of its engines if [Adopt] was called. Each of them
// holds its part of the GPU's memory until it is really gone, and the next engine sizes itself by the memory that
// is free then.
package kin

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Engine identifies the processes of one engine.
type Engine struct {
	// Group is the engine's first process, which leads its process group; 0 if unknown.
	Group int `json:"group"`
	// Mark is in the environment of its processes, as returned by [NewMark]; empty for none.
	Mark string `json:"mark"`
	// Since is when the engine began, as returned by [Now]: older processes are not the engine's.
	Since uint64 `json:"since"`
}

// MarkName is the variable that the processes of an engine inherit.
const MarkName = "LLEM_RUN"

// AsideName is a variable in the environment of a process that this program starts for people who watch: what it takes
// of the machine does not belong to the run.
const AsideName = "LLEM_ASIDE"

// NewMark returns a unique mark, NAME=VALUE.
func NewMark() string {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails
	return fmt.Sprintf("%s=%x", MarkName, id)
}

// Process is a process of this machine. Its start time distinguishes it from a later process with the same id.
type Process struct {
	// PID is the process id, Parent the parent's, Group the process group's.
	PID, Parent, Group int
	// Start is when it began, in clock ticks since the start of the machine.
	Start uint64
	// State is R, S, D, T, t, Z and so on, as in proc_pid_stat(5).
	State byte
	// CPU is the processor time of the process and of its children that have ended, in clock ticks.
	CPU uint64
}

// System identifies the system in which a process has its id: one boot of one machine, one PID namespace. It is empty
// if the kernel does not tell.
func System() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	space, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(string(boot)) + space))
	return fmt.Sprintf("%x", sum[:4])
}

// Dead reports whether the process is a zombie, which holds no resources.
func (p Process) Dead() bool { return p.State == 'Z' || p.State == 'X' }

// Read reads one process (proc_pid_stat(5)) and reports whether it exists.
func Read(pid int) (Process, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Process{}, false
	}
	// The name may contain any character; the fields begin after its last bracket.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 20 {
		return Process{}, false
	}
	number := func(field int) uint64 { // numbered as in proc_pid_stat(5)
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

// Ticks are the clock ticks per second in /proc: the same on all of Linux's architectures.
const Ticks = 100

// Now returns the start time of a process that begins now, or a tick before.
func Now() uint64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return 0
	}
	return uint64(t.Nano() / (1e9 / Ticks))
}

// Adopt makes this process the parent of its engines' orphans, so that they can be found. It is for a program
// whose only children are engines and short commands.
func Adopt() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) } // Linux before 3.4

func adopts() bool {
	var yes int32
	return unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&yes)), 0, 0, 0) == nil && yes != 0
}

// Family maps the ids of an engine's processes to the processes.
type Family map[int]Process

// Living returns the ids of the processes that are not dead, in ascending order.
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

// Find finds the engine's processes, including dead ones.
func (e Engine) Find() Family { return e.find(nil) }

// find finds the engine's processes: its own, the known ones and all their descendants.
func (e Engine) find(known Family) Family {
	out := Family{}
	if e.Group == 0 && e.Mark == "" && len(known) == 0 { // 0 would be the group of kernel threads
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

// markOf returns the mark in the environment of a process; empty if there is none or it may not be read.
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

// reap reaps dead orphans that have become children of this process.
func (e Engine) reap(dead Family) {
	for pid, p := range dead {
		if p.Dead() && p.Parent == os.Getpid() && pid != e.Group {
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		}
	}
}

// notedWithin bounds the wait for the machine's first process to reap dead ones. They hold no resources; some
// first processes never reap.
const notedWithin = 3 * time.Second

// End kills the engine's remaining processes and waits until they are gone: the known ones, from earlier calls of
// [Engine.Find], and those found now.
func (e Engine) End(name string, known Family, within time.Duration) error {
	known = maps.Clone(known)
	if known == nil {
		known = Family{}
	}
	began := time.Now()
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		left := e.find(known)
		maps.Copy(known, left) // their children may be found only through them
		living := left.Living()
		took := time.Since(began)
		if len(living) == 0 && (len(left) == 0 || took > notedWithin) {
			return nil
		}
		if took > within && len(living) > 0 {
			return note.Failf(codes.ClassHung,
				"`ps -o pid,stat,wchan:30,args` shows what they wait for; a process in state D waits for its driver",
				"%s has stopped, but %d of its processes are still running after %v (%s): they may hold "+
					"GPU memory", name, len(living), within, fmt.Sprint(living))
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
