package sampling

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/join"
	"github.com/llenergymeasure/llem/internal/tenants"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// CPUTimes are processor times at one instant: of this program, and of the machine.
type CPUTimes struct {
	Self time.Duration
	Host tenants.HostTimes
}

// ReadCPU returns the current times.
func ReadCPU(h *tenants.HostCPU) CPUTimes {
	var u unix.Rusage
	t := CPUTimes{Host: h.Read()}
	if unix.Getrusage(unix.RUSAGE_SELF, &u) == nil {
		t.Self = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return t
}

// Spent has the processor times at the limits of a window, and the time of processes of the run that began in it.
type Spent struct {
	From, To  CPUTimes
	Newcomers time.Duration
}

// Harness returns the cost of measuring a window.
func (s Spent) Harness(t power.Cost, anchor clock.Anchor) *result.Harness {
	h := &result.Harness{CPUS: (s.To.Self - s.From.Self).Seconds(), SamplerCPUPct: 100 * t.Share(),
		SamplerPolls: t.Polls, SamplerBytes: t.Bytes, ClockSlackNS: anchor.SlackNS}
	from, to := s.From.Host, s.To.Host
	if from.All >= 0 && to.All > from.All {
		h.HostCPUS, h.HostCores = new((to.All - from.All).Seconds()), to.Cores
	}
	if others, ok := tenants.OtherCPU(from, to, s.Newcomers); ok {
		h.OtherCPUS = new(others.Seconds())
	}
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) == nil {
		h.PeakBytes = u.Maxrss * 1024
	}
	return h
}

// Tenants sets which other processes were on the GPUs of a window.
func (d Desk) Tenants(m *join.Material, p *tenants.Processes) {
	for i := range m.Devices {
		dev := &m.Devices[i]
		if dev.Kind != power.GPU || dev.Modelled {
			continue
		}
		if dev.WorkHidden = true; !dev.OverNetwork && tenants.Listed(d.Meters, dev.ID) {
			dev.Others, dev.WorkHidden = p.Others(dev.ID, m.Window)
		}
	}
}
