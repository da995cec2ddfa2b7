package measure

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTimes are processor times at one instant: of this program, and of the whole
// machine (negative if it cannot be read).
type cpuTimes struct{ self, host time.Duration }

func readCPU() cpuTimes {
	var u unix.Rusage
	t := cpuTimes{host: -1}
	if unix.Getrusage(unix.RUSAGE_SELF, &u) == nil {
		t.self = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	f, err := os.Open("/proc/stat")
	if err != nil {
		return t
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	if s.Scan() {
		t.host = hostCPU(s.Text())
	}
	return t
}

// hostCPU is the busy time in the first line of /proc/stat: user, nice, system,
// irq, softirq; a tick is 10 ms on every Linux that Go supports.
func hostCPU(line string) time.Duration {
	fields := strings.Fields(line)
	if len(fields) < 8 || fields[0] != "cpu" {
		return -1
	}
	var ticks int64
	for _, i := range []int{1, 2, 3, 6, 7} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return -1
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
