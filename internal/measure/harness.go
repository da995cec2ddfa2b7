package measure

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/tenants"
	"github.com/llenergymeasure/llem/result"
)

// mostSampled is the memory that the series of a window should not exceed; an hour of eight GPUs takes 15 MB.
const mostSampled = 20e6

// harness records the cost of measuring during the window.
func (d *desk) harness(m *measured) {
	h := &result.Harness{
		CPUS: (m.cpuEnd.self - m.cpuStart.self).Seconds(), SamplerCPUPct: 100 * m.trace.Cost.Share(),
		SamplerPolls: m.trace.Cost.Polls,
		SamplerBytes: m.trace.Cost.Bytes,
		ClockSlackNS: m.anchor.SlackNS,
	}
	from, to := m.cpuStart.host, m.cpuEnd.host
	if from.All >= 0 && to.All > from.All {
		h.HostCPUS, h.HostCores = new((to.All - from.All).Seconds()), to.Cores
	}
	if others, ok := tenants.OtherCPU(from, to, m.newcomers); ok {
		h.OtherCPUS = new(others.Seconds())
	}
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) == nil {
		h.PeakBytes = u.Maxrss * 1024
	}
	if h.SamplerBytes > mostSampled {
		d.record.Warn(codes.SamplerMemory,
			fmt.Sprintf("the sampled series took %.0f MB of memory during the window, more than %.0f MB: use a "+
				"shorter window or fewer devices",
				float64(h.SamplerBytes)/1e6, mostSampled/1e6))
	}
	d.record.Harness = h
}
