package join

import (
	"fmt"
	"slices"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// Other work on the machine is reported from a twentieth of its processors, where an engine on the processor
// loses about as much speed, or from half a processor: a GPU's engine keeps one or two busy, so half a
// processor is a considerable part of the power above idle. The daemons of an idle machine take about a
// hundredth of one.
const (
	otherShare = 0.05
	otherCores = 0.5
	// The kernel counts the machine's time in ticks of 10 ms and the time of processes in nanoseconds: the
	// difference is accurate to some ticks, plus 2 % of the busy time.
	otherTicks, otherSlack = 0.1, 0.02
)

// hostWork warns of processor time that other processes took in the window, because their energy is part of
// the processors' energy. A simulated run is not affected.
func (j *join) hostWork() {
	h := j.record.Harness
	seconds := j.whole().Duration().Seconds()
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
		"%.0f %% of the busy time", digits.SI(others, "s"), digits.SI(seconds, "s"), others/seconds,
		digits.Count(h.HostCores, "processor"), 100*others / *h.HostCPUS)
	const next = "stop them (top, systemctl), or use a machine without other users"
	if j.countsProcessors() {
		j.warn(codes.HostShared, text+": the energy per token includes theirs, about that share of the "+
			"processors' energy above idle; latencies may be longer and throughput lower; "+next)
		return
	}
	text += ": latencies may be longer and throughput lower"
	if j.record.Energy.NodeJ != nil {
		text += "; the energy of the whole machine includes theirs"
	}
	j.warn(codes.HostBusy, text+"; "+next)
}

// countsProcessors reports whether the run's energy includes the processors.
func (j *join) countsProcessors() bool {
	return j.record.Energy.TotalJ != nil && slices.ContainsFunc(j.record.Energy.Devices, func(d result.Device) bool {
		return d.Counted && d.Kind != string(power.GPU)
	})
}
