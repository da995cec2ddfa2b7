// Package portowner tells whose process listens on a port.
//
// Between the search for a free port and the engine's start another program may take the port. The engine then
// fails at once, or after minutes, when it has loaded its model; until then the other program would answer in its
// place.
package portowner

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// listening returns the sockets that listen on a port of IPv4 or IPv6, by their inodes.
func listening(port int) map[string]bool {
	const stateListen = "0A"
	suffix := fmt.Appendf(nil, ":%04X", port)
	out := map[string]bool{}
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		for line := range bytes.Lines(table) {
			f := bytes.Fields(line)
			if len(f) > 9 && bytes.HasSuffix(f[1], suffix) && string(f[3]) == stateListen {
				out["socket:["+string(f[9])+"]"] = true
			}
		}
	}
	return out
}

// holds reports whether a process has one of the sockets open; known is false without the permission to find out.
func holds(pid int, sockets map[string]bool) (yes, known bool) {
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	list, err := os.ReadDir(dir)
	if err != nil {
		return false, false
	}
	for _, e := range list {
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && sockets[target] {
			return true, true
		}
	}
	return false, true
}

// Check refuses a server that listens on the port but is not one of the engine's processes. If that is unknown, it
// is accepted.
func Check(name string, port int, processes []int) error {
	sockets := listening(port)
	if len(sockets) == 0 {
		return nil
	}
	for _, pid := range processes {
		if yes, known := holds(pid, sockets); yes || !known {
			return nil
		}
	}
	return note.Failf(codes.ClassPortInUse, "try again: another process took the port",
		"another program answers on port %d, which was free before %s was started there", port, name)
}
