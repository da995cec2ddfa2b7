// Package scratch creates the temporary files and folders of this program, and removes what a killed one has left.
//
// Each name identifies its owner: the process, with its start time, and the system in which that process has its
// id: one boot, one PID namespace. [Sweep] removes files of processes of this system that are gone. Files of
// another system, such as a container that shares the folder, are left alone.
package scratch

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"

	"github.com/llenergymeasure/llem/internal/kin"
)

// Dir creates a folder of the given kind in $TMPDIR. The caller removes it.
func Dir(kind string) (string, error) { return os.MkdirTemp("", pattern(kind)) }

// File creates a file of the given kind in $TMPDIR, whose name ends in suffix. The caller closes and removes it.
func File(kind, suffix string) (*os.File, error) { return os.CreateTemp("", pattern(kind)+suffix) }

// pattern returns the pattern of this process's names: llem-KIND-SYSTEM.PID.START-RANDOM.
func pattern(kind string) string {
	own, ok := kin.Read(os.Getpid())
	system := kin.System()
	if !ok || system == "" {
		return "llem-" + kind + "-*" // nothing can tell later that this process is gone
	}
	return fmt.Sprintf("llem-%s-%s.%d.%d-*", kind, system, own.PID, own.Start)
}

// names finds the system, the process and its start in a name.
var names = regexp.MustCompile(`^llem-[a-z0-9]+-([0-9a-f]{8})\.([0-9]+)\.([0-9]+)-`)

// Sweep removes files in $TMPDIR that processes of this user left when they were killed. A file that cannot be
// removed is not an error: the next Sweep tries again.
func Sweep() {
	here := kin.System()
	if here == "" {
		return
	}
	entries, err := os.ReadDir(os.TempDir())
	if err != nil {
		return
	}
	for _, e := range entries {
		m := names.FindStringSubmatch(e.Name())
		if m == nil || m[1] != here || !own(e) || lives(m[2], m[3]) {
			continue
		}
		_ = os.RemoveAll(filepath.Join(os.TempDir(), e.Name()))
	}
}

// own reports whether a file belongs to this user: a name proves nothing in a folder that all share.
func own(e os.DirEntry) bool {
	info, err := e.Info()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// lives reports whether the process with this start time still exists.
func lives(pid, start string) bool {
	n, err := strconv.Atoi(pid)
	if err != nil {
		return true
	}
	p, ok := kin.Read(n)
	return ok && strconv.FormatUint(p.Start, 10) == start && !p.Dead()
}
