package server

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Engines fork: schedulers, workers, MPI ranks. The kill of the group reaches most of
// them; those in a session of their own do not belong to it. Each holds its part of the
// GPU's memory until it is really gone, and the next engine takes what is free then.

// member is a process of an engine. Its start tells it from a later one with its number.
type member struct {
	pid, parent, group int
	start              string
	dead               bool // a zombie: it holds nothing any more
}

// processes reads all processes of the machine.
func processes() []member {
	names, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var out []member
	for _, e := range names {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if m, ok := inspect(pid); ok {
			out = append(out, m)
		}
	}
	return out
}

// inspect reads one process (proc_pid_stat(5)).
func inspect(pid int) (member, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return member{}, false
	}
	// The name may hold anything; the fields begin behind its last bracket.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 20 {
		return member{}, false
	}
	m := member{pid: pid, start: string(f[19]), dead: f[0][0] == 'Z' || f[0][0] == 'X'}
	m.parent, _ = strconv.Atoi(string(f[1]))
	m.group, _ = strconv.Atoi(string(f[2]))
	return m, true
}

// family is a process, its group and all that descends from them; none where the process is
// not known (0).
func family(root int) map[int]member {
	out := map[int]member{}
	if root == 0 { // the group of the kernel's own
		return out
	}
	all := processes()
	for grew := true; grew; {
		grew = false
		for _, m := range all {
			if _, known := out[m.pid]; known {
				continue
			}
			_, child := out[m.parent]
			if m.pid == root || m.group == root || child {
				out[m.pid], grew = m, true
			}
		}
	}
	return out
}

// left are those of an engine's processes that are still there, and how many more are
// dead and wait for their parent to take note: the known ones and, unless group is 0, all
// of its group.
func left(group int, known map[int]member) (living []int, dead int) {
	for _, m := range processes() {
		was, is := known[m.pid]
		switch {
		case is && was.start != m.start, !is && (group == 0 || m.group != group):
		case m.dead:
			dead++
		default:
			living = append(living, m.pid)
		}
	}
	return living, dead
}

// goneWithin bounds the wait for the end of an engine's processes: a driver that cleans
// up after a killed one takes seconds.
const goneWithin = 30 * time.Second

// notedWithin bounds the wait for the first process of the machine to take note of dead
// ones. They hold nothing any more; some first processes never do.
const notedWithin = 3 * time.Second

// bury waits until none of an engine's processes is left; those that have left its group
// are killed first.
func bury(name string, group int, known map[int]member, within time.Duration) error {
	began := time.Now()
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		living, dead := left(group, known)
		took := time.Since(began)
		if len(living) == 0 && (dead == 0 || took > notedWithin) {
			return nil
		}
		if took > within && len(living) > 0 {
			return note.Failf(codes.ClassHung,
				"see `ps -o pid,stat,wchan:30,args` for what they wait for; a process in state D waits for its driver",
				"%s has stopped, but %d of its processes are still there after %v (%s): they may hold the "+
					"GPU's memory", name, len(living), within, fmt.Sprint(living))
		}
		for _, pid := range living {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(wait)
	}
}
