package tenants

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// clockTick is the unit of processor times in /proc: the same on every Linux that Go supports.
const clockTick = 10 * time.Millisecond

// HostCPU follows the processor time of the machine, and the time of this program and its engine in it. The rest
// is the work of others. It looks for the processes of the run when it is made,
// which reads a file of every process of the machine; [HostCPU.Read] reads their files alone.
type HostCPU struct {
	proc    procFS
	self    int
	engine  int
	members []int
}

// HostTimes are processor times since the start of the machine and of the processes, at one instant.
type HostTimes struct {
	// All is the time of the whole machine, interrupts included; negative if it is not known.
	All time.Duration
	// Processes is All without the time in interrupts, which belongs to no process.
	Processes time.Duration
	// Own is the time of this program, its engine and their descendants; negative if it is not known.
	Own time.Duration
	// Cores is the number of processors of the machine.
	Cores int
}

// FollowCPU looks for the processes of this program and of an engine, by its process id; 0 is an engine of
// which none is known.
func FollowCPU(engine int) *HostCPU { return followCPU(machine, os.Getpid(), engine) }

func followCPU(proc procFS, self, engine int) *HostCPU {
	h := &HostCPU{proc: proc, self: self, engine: engine}
	h.members = h.find()
	return h
}

// Read reads the times now.
func (h *HostCPU) Read() HostTimes {
	t := h.proc.hostTimes()
	t.Own = h.own(h.members)
	return t
}

// Newcomers is the processor time of processes of the run that began after [FollowCPU] and are still there.
// The time of ended ones is in their parents.
func (h *HostCPU) Newcomers() time.Duration {
	var sum time.Duration
	for _, pid := range h.find() {
		if !slices.Contains(h.members, pid) {
			used, _ := h.proc.cpu(pid)
			sum += used
		}
	}
	return sum
}

// find lists the processes of the run.
func (h *HostCPU) find() []int {
	out := h.proc.descendants(h.self, nil)
	if h.engine > 0 && !slices.Contains(out, h.engine) { // in a container it descends from its service
		out = append(out, h.proc.descendants(h.engine, map[int]bool{h.self: true})...)
	}
	return out
}

// own is the processor time of processes and of their children that have ended; negative where it cannot be
// told whose the machine's time is: the engine's process is not known, or not to be seen.
func (h *HostCPU) own(pids []int) time.Duration {
	if _, ok := h.proc.cpu(h.engine); !ok {
		return -1
	}
	var sum time.Duration
	for _, pid := range pids {
		used, _ := h.proc.cpu(pid)
		sum += used
	}
	return sum
}

// OtherCPU is the processor time that others took between two instants, of which newcomers of the run had a
// part; false where it is not known.
func OtherCPU(from, to HostTimes, newcomers time.Duration) (time.Duration, bool) {
	if from.All < 0 || to.All <= from.All || from.Own < 0 || to.Own < 0 {
		return 0, false
	}
	return max(0, to.Processes-from.Processes-(to.Own-from.Own)-newcomers), true
}

// cpu is the processor time of a process and of its children that have ended (proc_pid_stat(5)); false if it
// cannot be seen.
func (f procFS) cpu(pid int) (time.Duration, bool) {
	text, err := os.ReadFile(f.file(pid, "stat"))
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 15 {
		return 0, false
	}
	return ticks(fields[11:15]), true
}

// hostTimes reads the processor times of the machine (proc_stat(5)).
func (f procFS) hostTimes() HostTimes {
	t := HostTimes{All: -1}
	text, err := os.ReadFile(filepath.Join(string(f), "stat"))
	if err != nil {
		return t
	}
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		switch {
		case len(fields) < 8 || !bytes.HasPrefix(fields[0], []byte("cpu")):
			return t
		case string(fields[0]) != "cpu":
			t.Cores++
		default: // cpu user nice system idle iowait irq softirq …
			t.Processes = ticks(fields[1:4])
			t.All = t.Processes + ticks(fields[6:8])
		}
	}
	return t
}

// ticks adds up numbers of clock ticks; what is not a number counts nothing.
func ticks(fields [][]byte) (sum time.Duration) {
	for _, text := range fields {
		n, _ := strconv.ParseInt(string(text), 10, 64)
		sum += time.Duration(n) * clockTick
	}
	return sum
}
