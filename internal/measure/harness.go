package measure

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/clock"
	"github.com/llenergymeasure/llem/power"
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

// harness records what measuring cost during the window.
func (r *run) harness(m *Material, anchor clock.Anchor) {
	h := &result.Harness{
		CPUS: (r.cpuEnd.self - r.cpuStart.self).Seconds(), SamplerCPUPct: 100 * m.Trace.Cost.Share(), SamplerPolls: m.Trace.Cost.Polls,
		ClockSlackNS: anchor.SlackNS, Errors: append([]string{}, m.Trace.Errors...), Gaps: []result.Gap{},
	}
	if r.cpuStart.host >= 0 && r.cpuEnd.host > r.cpuStart.host {
		v := (r.cpuEnd.host - r.cpuStart.host).Seconds()
		h.HostCPUS = &v
	}
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) == nil {
		h.PeakBytes = u.Maxrss * 1024
	}
	for _, g := range m.Trace.Gaps {
		h.Gaps = append(h.Gaps, result.Gap(g))
	}
	r.record.Harness = h
}

// processLister is a meter that knows which processes use its devices. It must not
// be asked while a sampler polls it.
type processLister interface {
	Processes(ctx context.Context) (map[string][]power.GPUProcess, error)
}

// neighbours collects the processes on every device. Process ids may be those of
// another namespace, so what counts is who was there before the engine, and who
// came during the window.
func (r *run) neighbours(ctx context.Context, into *[]string) {
	for _, m := range r.Meters {
		l, ok := m.(processLister)
		if !ok {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		all, err := l.Processes(ctx)
		cancel()
		if err != nil && len(all) == 0 {
			continue
		}
		for device, list := range all {
			for _, p := range list {
				*into = append(*into, fmt.Sprintf("%s: process %d", device, p.PID))
			}
		}
	}
	slices.Sort(*into)
	*into = slices.Compact(*into)
}

// shared warns of other processes on the GPUs that ran the model: what they draw is
// in every number.
func (r *run) shared(before, after []string) {
	if there := r.onCounted(r.foreign); len(there) > 0 {
		r.note("gpu_shared", "other processes were on the GPU before the engine was started ("+strings.Join(there, ", ")+
			"): their power is in the baseline and in the energy; stop them, or choose another GPU with CUDA_VISIBLE_DEVICES")
	}
	came := slices.DeleteFunc(r.onCounted(after), func(p string) bool { return slices.Contains(before, p) })
	if len(came) > 0 {
		r.note("gpu_shared", "another process came onto the GPU during the window ("+strings.Join(came, ", ")+
			"): its energy is in this result, which is not that of the model alone; run it again on an idle GPU")
	}
}

// onCounted leaves out the processes on devices that are no part of the energy.
func (r *run) onCounted(processes []string) []string {
	var out []string
	for _, p := range processes {
		device, _, _ := strings.Cut(p, ":")
		if !slices.ContainsFunc(r.record.Energy.Devices, func(d result.Device) bool { return d.Device == device && !d.Counted }) {
			out = append(out, p)
		}
	}
	return out
}
