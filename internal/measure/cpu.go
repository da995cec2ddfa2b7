package measure

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/tenants"
)

// cpuTimes are processor times at one instant: of this program, and of the machine.
type cpuTimes struct {
	self time.Duration
	host tenants.HostTimes
}

func readCPU(h *tenants.HostCPU) cpuTimes {
	var u unix.Rusage
	t := cpuTimes{host: h.Read()}
	if unix.Getrusage(unix.RUSAGE_SELF, &u) == nil {
		t.self = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return t
}
