package join

import (
	"fmt"
	"slices"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// Other work on the machine is told from a twentieth of its processors on, where an engine on the processor loses
// about as much of its speed, and from half a processor on in any case: a GPU's engine keeps one or two busy, so that
// half of one is a good part of what the processors draw above idle. The daemons of an idle machine take a hundredth
// of one.
const (
	otherShare = 0.05
	otherCores = 0.5
	// The kernel counts the time of the machine in ticks of 10 ms and that of processes in nanoseconds: the
	// difference is known to some ticks, and to a fiftieth of what was busy.
	otherTicks, otherSlack = 0.1, 0.02
)

// hostWork warns of processor time that others took in the window, which is in the energy of the processors. Of a
// simulated run they change nothing.
func (j *join) hostWork() {
	h := j.record.Harness
	seconds := j.Window.Duration().Seconds()
	if h == nil || h.OtherCPUS == nil || h.HostCPUS == nil || h.HostCores == 0 || seconds <= 0 ||
		result.Measured.Of(j.record.Backend.Name) == result.Simulated {
		return
	}
	cores := float64(h.HostCores)
	others := *h.OtherCPUS
	if others <= min(otherShare*cores, otherCores)*seconds+otherTicks+otherSlack**h.HostCPUS {
		return
	}
	text := fmt.Sprintf("other processes took %s of processor time in the window of %s: %.2g of %s on average, and "+
		"%.0f %% of what was busy", digits.SI(others, "s"), digits.SI(seconds, "s"), others/seconds,
		digits.Count(h.HostCores, "processor"), 100*others / *h.HostCPUS)
	const next = "stop them (top, systemctl), or run on a machine of your own"
	if j.countsProcessors() {
		j.warn(codes.HostShared, text+": the energy per token has theirs in it, by about that share of what the "+
			"processors drew above idle, latencies may be longer and throughput lower; "+next)
		return
	}
	text += ": latencies may be longer for it, and throughput lower"
	if j.record.Energy.NodeJ != nil {
		text += "; the energy of the whole machine has theirs in it"
	}
	j.warn(codes.HostBusy, text+"; "+next)
}

// countsProcessors reports whether the energy of the processors is part of the run's.
func (j *join) countsProcessors() bool {
	return j.record.Energy.TotalJ != nil && slices.ContainsFunc(j.record.Energy.Devices, func(d result.Device) bool {
		return d.Counted && d.Kind != string(power.GPU)
	})
}
