package measure

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
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

// mostSampled is how much memory the series of a window should take at most; an hour
// of eight GPUs takes 15 MB.
const mostSampled = 20e6

// harness records what measuring cost during the window.
func (d *desk) harness(m *measured) {
	h := &result.Harness{
		CPUS: (m.cpuEnd.self - m.cpuStart.self).Seconds(), SamplerCPUPct: 100 * m.trace.Cost.Share(),
		SamplerPolls: m.trace.Cost.Polls,
		SamplerBytes: m.trace.Cost.Bytes,
		ClockSlackNS: m.anchor.SlackNS,
	}
	if m.cpuStart.host >= 0 && m.cpuEnd.host > m.cpuStart.host {
		v := (m.cpuEnd.host - m.cpuStart.host).Seconds()
		h.HostCPUS = &v
	}
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) == nil {
		h.PeakBytes = u.Maxrss * 1024
	}
	if h.SamplerBytes > mostSampled {
		d.record.Warn(note.SamplerMemory,
			fmt.Sprintf("the sampled series took %.0f MB of memory during the window, more than %.0f MB: use a "+
				"shorter window or fewer devices",
				float64(h.SamplerBytes)/1e6, mostSampled/1e6))
	}
	d.record.Harness = h
}
