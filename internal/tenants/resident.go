package tenants

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/llenergymeasure/llem/result"
)

// residentEvery is the time between two polls of the memory of an engine on a processor, and rescan the
// number of polls that use one list of its processes: finding them reads a file of every process of the
// machine.
const (
	residentEvery = 500 * time.Millisecond
	rescan        = 8
)

// MemoryWatch follows the resident memory of a process, its group and all descendants. The kernel records the
// peak of each process (VmHWM), but not of several together: for one process the peak is exact, for several
// it is the largest sum that was seen, and at least the peak of each of them.
type MemoryWatch struct {
	proc       procFS
	root       int
	stop, done chan struct{}
	once       sync.Once

	// The following fields belong to the goroutine until done is closed.
	peak      int64
	processes int // the largest number at once
	// sinceReset reports whether the kernel's peaks belong to this run alone.
	sinceReset bool
}

// WatchMemory begins to follow a process. The kernel's peaks are reset, so that loading and earlier runs do
// not count, or ignored if that is impossible.
func WatchMemory(root int) *MemoryWatch { return watchMemory(machine, root) }

func watchMemory(proc procFS, root int) *MemoryWatch {
	w := &MemoryWatch{proc: proc, root: root, stop: make(chan struct{}), done: make(chan struct{}),
		sinceReset: proc.forgetPeaks(proc.tree(root))}
	go w.run()
	return w
}

// run polls until the watch ends.
func (w *MemoryWatch) run() {
	defer close(w.done)
	tick := time.NewTicker(residentEvery)
	defer tick.Stop()
	tree := w.proc.tree(w.root)
	w.read(tree)
	for n := 1; ; n++ {
		select {
		case <-w.stop:
			w.read(w.proc.tree(w.root))
			return
		case <-tick.C:
		}
		if n%rescan == 0 {
			tree = w.proc.tree(w.root)
		}
		w.read(tree)
	}
}

// Again continues an ended watch with its peak.
func (w *MemoryWatch) Again() *MemoryWatch {
	w.End()
	<-w.done
	next := &MemoryWatch{proc: w.proc, root: w.root, stop: make(chan struct{}), done: make(chan struct{}),
		sinceReset: w.sinceReset, peak: w.peak, processes: w.processes}
	go next.run()
	return next
}

// End polls a last time and stops, without waiting for it. It may be called again.
func (w *MemoryWatch) End() { w.once.Do(func() { close(w.stop) }) }

// Peak ends the watch and returns the largest memory that was seen.
func (w *MemoryWatch) Peak() Peak {
	w.End()
	<-w.done
	p := Peak{Bytes: w.peak, Method: result.MemoryRSS}
	switch {
	case w.peak == 0:
		return Peak{Reason: "the engine's process could not be read in /proc"}
	case w.processes == 1 && w.sinceReset:
		p.Source = "VmHWM of the engine's process"
	case w.processes == 1:
		p.Source = fmt.Sprintf("VmRSS of the engine's process, every %v", residentEvery)
	default:
		p.Source = fmt.Sprintf("VmRSS of %d processes together, every %v; pages that they share count in each",
			w.processes, residentEvery)
	}
	return p
}

// read sums the memory of the processes.
func (w *MemoryWatch) read(tree []int) {
	var sum, highest int64
	n := 0
	for _, pid := range tree {
		now, peak := w.proc.resident(pid)
		if now == 0 {
			continue // it has ended
		}
		n++
		sum += now
		highest = max(highest, peak)
	}
	if w.processes = max(w.processes, n); w.sinceReset {
		sum = max(sum, highest)
	}
	w.peak = max(w.peak, sum)
}

// procFS is a folder with the files of proc(5).
type procFS string

// machine is the procFS of this machine.
const machine procFS = "/proc"

// file returns the path of a file of a process.
func (f procFS) file(pid int, name string) string {
	return filepath.Join(string(f), strconv.Itoa(pid), name)
}

// kin returns the parent and the group of a process, 0 if invisible (proc_pid_stat(5)).
func (f procFS) kin(pid int) (parent, group int) {
	text, err := os.ReadFile(f.file(pid, "stat"))
	if err != nil {
		return 0, 0
	}
	// pid (command) state ppid pgrp …; a command may contain any character.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 3 {
		return 0, 0
	}
	parent, _ = strconv.Atoi(string(fields[1]))
	group, _ = strconv.Atoi(string(fields[2]))
	return parent, group
}

// resident returns the resident memory of a process and its peak (proc_pid_status(5)).
func (f procFS) resident(pid int) (now, peak int64) {
	text, err := os.ReadFile(f.file(pid, "status"))
	if err != nil {
		return 0, 0
	}
	return statusBytes(text, "VmRSS:"), statusBytes(text, "VmHWM:")
}

// statusBytes finds a line such as "VmRSS:   123 kB".
func statusBytes(text []byte, key string) int64 {
	for line := range bytes.Lines(text) {
		rest, ok := bytes.CutPrefix(line, []byte(key))
		if fields := bytes.Fields(rest); ok && len(fields) == 2 {
			if n, err := strconv.ParseInt(string(fields[0]), 10, 64); err == nil {
				return n * 1024
			}
		}
	}
	return 0
}

// forgetPeaks resets the kernel's peaks (proc_pid_clear_refs(5)). It reports whether it could for all.
func (f procFS) forgetPeaks(tree []int) bool {
	all := true
	for _, pid := range tree {
		all = os.WriteFile(f.file(pid, "clear_refs"), []byte("5"), 0o200) == nil && all
	}
	return all
}

// tree returns a process, its group and all their descendants, even if they have left the group.
func (f procFS) tree(root int) []int { return f.descendants(root, map[int]bool{os.Getpid(): true}) }

// descendants returns a process, its group if it leads one, and all descendants, except the excluded ones,
// whose children count if their group is the process's.
func (f procFS) descendants(root int, seen map[int]bool) []int {
	entries, err := os.ReadDir(string(f))
	if err != nil {
		return nil
	}
	children, members := map[int][]int{}, []int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		parent, group := f.kin(pid)
		children[parent] = append(children[parent], pid)
		if pid == root || group == root {
			members = append(members, pid)
		}
	}
	var out []int
	seen = maps.Clone(seen)
	if seen == nil {
		seen = map[int]bool{}
	}
	for len(members) > 0 {
		pid := members[0]
		if members = members[1:]; !seen[pid] {
			seen[pid] = true
			out, members = append(out, pid), append(members, children[pid]...)
		}
	}
	return out
}
