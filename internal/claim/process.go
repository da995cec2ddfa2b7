package claim

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
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

// ended reports whether it was a process of this machine and has ended. A stopped process has not.
func (p process) ended() bool {
	if p.Machine == "" || p.Start == 0 || p.Machine != Machine() {
		return false
	}
	now, there := kin.Read(p.PID)
	return !there || now.Start != p.Start || now.Dead()
}
