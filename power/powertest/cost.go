package powertest

import (
	"runtime"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/tick"
	"github.com/llenergymeasure/llem/power"
)

// mostOfACore is the limit for the cost of polling, in percent of a core.
const mostOfACore = 1.0

// Cost drives a meter through one simulated second per iteration, with one reading of the counters, and
// reports the processor time per second. The benchmark fails above one percent of a core. Cost advances at,
// the meter's clock.
func Cost(b *testing.B, m power.Meter, at *int64) {
	b.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cpu, samples, due := -spent(m), 0, *at
	for b.Loop() {
		var t power.Trace
		end := *at + int64(time.Second)
		for due <= end {
			*at = max(*at, due)
			_ = m.Poll(b.Context(), &t) // a sampler records an error and polls again
			due = *at + int64(m.Interval())
		}
		*at = end
		_, _ = m.Counters(b.Context())
		samples += len(t.Samples)
	}
	cpu += spent(m)
	share := 100 * cpu.Seconds() / float64(b.N)
	b.ReportMetric(share, "%core")
	b.ReportMetric(float64(samples)/float64(b.N), "samples/s")
	if share > mostOfACore {
		b.Errorf("sampling takes %.2f %% of a core, more than %g %%", share, mostOfACore)
	}
}

// spent returns the processor time of this thread and of the meter's helpers.
func spent(m power.Meter) time.Duration {
	if h, ok := m.(power.Helped); ok {
		return tick.ThreadCPU() + h.HelperCPU()
	}
	return tick.ThreadCPU()
}
