package sensors

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/powertest"
)

// openFakePerf opens the meter over a fake kernel.
func openFakePerf(t testing.TB, watts float64, now func() int64) (*perfMeter, error) {
	kernel := &fakePerf{now: now, watts: watts}
	return openPerf(perfTree(t, nil), kernel.open, powertest.Clocks(now))
}

// openFakeRemote opens the meter over a fake exporter that refreshes its page every second.
func openFakeRemote(t *testing.T, watts float64, now func() int64) (*remoteMeter, error) {
	return exporter(now, watts, time.Second).open(t, "w=http://n/m#p:W w=http://n/m#e:J", now)
}

// without lists all families but the given ones.
func without(families ...string) []string {
	return slices.DeleteFunc([]string{"nvml", "hwmon", "rapl", "perf", "model", "remote"},
		func(f string) bool { return slices.Contains(families, f) })
}

// bubble runs f in simulated time, with a clock.
func bubble(t *testing.T, f func(t *testing.T, now func() int64)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, bubbleClock()) })
}

func mustPoll(t *testing.T, m power.Meter) power.Trace {
	t.Helper()
	var trace power.Trace
	if err := m.Poll(t.Context(), &trace); err != nil {
		t.Errorf("Poll: %v", err)
	}
	return trace
}
