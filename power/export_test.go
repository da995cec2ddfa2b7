package power

import (
	"context"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/clock"
)

// Doors for the tests in package power_test.

// FakeNVML is an imagined NVIDIA driver.
type FakeNVML = fakeLib

// NewFakeNVML has GPUs at constant power, with a ring and a counter.
func NewFakeNVML(gpus int, watts float64, now func() int64) *FakeNVML {
	return newFakeLib(gpus, watts, now)
}

// OpenFakeNVML opens the meter over the imagined driver.
func OpenFakeNVML(t *testing.T, lib *FakeNVML, now func() int64) *NVML {
	t.Helper()
	m, err := openNVML(context.Background(), lib, NVMLOptions{}, simulated(now))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// OpenRAPLAt opens RAPL with a simulated clock.
func OpenRAPLAt(opts RAPLOptions, now func() int64) (*RAPL, error) {
	return openRAPL(opts, simulated(now))
}

// OpenModelAt opens the model with a simulated clock.
func OpenModelAt(opts ModelOptions, now func() int64) (*Model, error) {
	return openModel(opts, simulated(now))
}

// simulated clocks follow now; the wall clock runs an hour ahead of it.
func simulated(now func() int64) Clocks {
	return Clocks{Mono: now, Anchor: func() clock.Anchor {
		at := now()
		return clock.Anchor{MonoNS: at, UnixNS: at + int64(time.Hour)}
	}}
}

// Bench drives a worker second by second without waiting.
type Bench struct{ w *worker }

// NewBench prepares a meter for Second.
func NewBench(m Meter, now func() int64) *Bench {
	s := NewSampler(m)
	s.Now, s.CounterInterval, s.startNS = now, time.Second, now()
	b := &Bench{newWorker(m, s)}
	b.w.begin(context.Background())
	return b
}

// Tick does what is due at the present time and returns when the next thing is.
func (b *Bench) Tick() int64 { return b.w.tick(context.Background()) }

// Samples is how many were collected.
func (b *Bench) Samples() int { t, _ := b.w.collected(); return len(t.Samples) }

// CPU is the processor time of the calling thread and of the meter's helpers.
func (b *Bench) CPU() time.Duration { return b.w.cpu() }

// MergeGaps is mergeGaps.
func MergeGaps(g []Gap, start int64) []Gap { return mergeGaps(g, start) }

// ZoneUnreadable is zoneUnreadable.
func ZoneUnreadable(device string, err error) Unavailable {
	return zoneUnreadable(raplFound{device: Device{ID: device}, dir: "/sys/class/powercap/intel-rapl:0"}, err)
}

// OpenFakeNVMLForBench opens the meter over the imagined driver.
func OpenFakeNVMLForBench(lib *FakeNVML, now func() int64) (*NVML, error) {
	return openNVML(context.Background(), lib, NVMLOptions{}, simulated(now))
}

// CounterInterval is the time between counter readings that cost so much.
func CounterInterval(set, cost time.Duration) time.Duration {
	return (&worker{sampler: &Sampler{CounterInterval: set}}).counterInterval(cost)
}
