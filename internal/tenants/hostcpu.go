package tenants

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/llenergymeasure/llem/internal/kin"
)

// clockTick is the unit of processor times in /proc, the same on every Linux that Go supports.
const clockTick = 10 * time.Millisecond

// HostCPU measures the processor time of the machine, and the time of this program and its engine. The rest
// belongs to other work. It finds the processes of the run once, which reads a file of every process of the
// machine; [HostCPU.Read] only reads their files.
type HostCPU struct {
	proc    procFS
	self    int
	engine  int
	members []int
}

// HostTimes are processor times since the start of the machine and of the processes.
type HostTimes struct {
	// All is the time of the whole machine, including interrupts; negative if unknown.
	All time.Duration
	// Processes is All without the time of interrupts, which belongs to no process.
	Processes time.Duration
	// Own is the time of this program, its engine and their descendants; negative if unknown.
	Own time.Duration
	// Cores is the number of processors of the machine.
	Cores int
}

// FollowCPU finds the processes of this program and of an engine, by its process id; 0 means an unknown
// engine.
func FollowCPU(engine int) *HostCPU { return followCPU(machine, os.Getpid(), engine) }

func followCPU(proc procFS, self, engine int) *HostCPU {
	h := &HostCPU{proc: proc, self: self, engine: engine}
	h.members = h.find()
	return h
}

// Read reads the current times.
func (h *HostCPU) Read() HostTimes {
	t := h.proc.hostTimes()
	t.Own = h.own(h.members)
	return t
}

// Newcomers returns the processor time of processes of the run that began after [FollowCPU] and still exist.
// The time of ended ones is included in their parents.
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

// find lists the processes of the run, without servers for people who watch it: their time is other work.
func (h *HostCPU) find() []int {
	out := slices.DeleteFunc(h.proc.descendants(h.self, nil), h.proc.aside)
	if h.engine > 0 && !slices.Contains(out, h.engine) { // in a container it descends from its service
		out = append(out, h.proc.descendants(h.engine, map[int]bool{h.self: true})...)
	}
	return out
}

// aside reports whether a process is marked as no part of the run.
func (f procFS) aside(pid int) bool {
	environ, err := os.ReadFile(f.file(pid, "environ"))
	return err == nil && bytes.Contains(environ, []byte(kin.AsideName+"="))
}

// own returns the processor time of processes and their ended children; negative if it cannot be separated
// from the machine's: the engine's process is unknown or invisible.
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

// OtherCPU returns the processor time of other processes between two instants, without newcomers of the run;
// ok is false if unknown.
func OtherCPU(from, to HostTimes, newcomers time.Duration) (time.Duration, bool) {
	if from.All < 0 || to.All <= from.All || from.Own < 0 || to.Own < 0 {
		return 0, false
	}
	return max(0, to.Processes-from.Processes-(to.Own-from.Own)-newcomers), true
}

// cpu returns the processor time of a process and its ended children (proc_pid_stat(5)); ok is false if it is
// invisible.
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

// ticks sums numbers of clock ticks; invalid numbers count as zero.
func ticks(fields [][]byte) (sum time.Duration) {
	for _, text := range fields {
		n, _ := strconv.ParseInt(string(text), 10, 64)
		sum += time.Duration(n) * clockTick
	}
	return sum
}
