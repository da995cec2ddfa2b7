package claim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/kin"
)

// process identifies a process. Workers of the same machine need not wait for the end of its term to find that it
// has ended.
type process struct {
	// Machine is a hash of the machine's name, its boot, and its table of processes.
	Machine string `json:"machine"`
	PID     int    `json:"pid"`
	// Start distinguishes it from later processes with its id, in clock ticks since the boot.
	Start uint64 `json:"start"`
}

func thisProcess() process {
	p, _ := kin.Read(os.Getpid())
	return process{Machine(), os.Getpid(), p.Start}
}

// Machine identifies this machine until its next boot, without naming it; empty if it is unknown.
func Machine() string {
	name, err1 := os.Hostname()
	boot, err2 := os.ReadFile("/proc/sys/kernel/random/boot_id")
	table, err3 := os.Readlink("/proc/self/ns/pid")
	if err1 != nil || err2 != nil || err3 != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(name + "\n" + strings.TrimSpace(string(boot)) + "\n" + table))
	return hex.EncodeToString(sum[:8])
}

// boot identifies the boot of this machine, without naming it.
func boot() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(string(id))))
	return hex.EncodeToString(sum[:8])
}

// joinPrefix begins the names of files with which workers join.
const joinPrefix = ".new-"

// joining returns the name of the file with which a worker joins: its process is in the name, because a worker that is
// killed may leave the file empty.
func (id Identity) joining() string {
	p := id.Process
	return fmt.Sprintf("%s%s.%d.%d.%s", joinPrefix, p.Machine, p.PID, p.Start, id.Token)
}

// joiner returns the process that joins with a file; the zero value, of which nothing is known, if the name is another.
func joiner(name string) (p process) {
	parts := strings.Split(strings.TrimPrefix(name, joinPrefix), ".")
	if len(parts) != 4 {
		return process{}
	}
	pid, err1 := strconv.Atoi(parts[1])
	start, err2 := strconv.ParseUint(parts[2], 10, 64)
	if err1 != nil || err2 != nil {
		return process{}
	}
	return process{Machine: parts[0], PID: pid, Start: start}
}

// ended reports whether it was a process of this machine and has ended. A stopped process has not.
func (p process) ended() bool {
	if p.Machine == "" || p.Start == 0 || p.Machine != Machine() {
		return false
	}
	now, there := kin.Read(p.PID)
	return !there || now.Start != p.Start || now.Dead()
}
