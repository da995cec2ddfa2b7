package power

import (
	"context"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/clock"
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

// WithoutRing leaves the momentary value, which has a stamp of its own.
func WithoutRing(lib *FakeNVML) *FakeNVML {
	for _, g := range lib.gpus {
		g.noRing, g.fieldStamp = notSupported("ring"), true
	}
	return lib
}

// NewHopperModule has one GPU on a module.
func NewHopperModule(now func() int64) *FakeNVML { return newHopperModule(now) }

// Waving lets the momentary values change every 100 ms, each GPU at its own time.
func Waving(lib *FakeNVML) *FakeNVML {
	const refresh = int64(100 * time.Millisecond)
	for i, g := range lib.gpus {
		g.wave = func(ns int64) float64 { return 300 + float64((ns+int64(i)*refresh/8)/refresh%7) }
	}
	return lib
}

// OpenFakePerf opens the meter over an imagined kernel.
func OpenFakePerf(t testing.TB, watts float64, now func() int64) (*Perf, error) {
	kernel := &fakePerf{now: now, watts: watts}
	return openPerf(perfTree(t, nil), kernel.open, simulated(now))
}

// OpenFakeRemote opens the meter over an imagined exporter that renews its page
// every second.
func OpenFakeRemote(t *testing.T, watts float64, now func() int64) (*RemoteMeter, error) {
	return exporter(now, watts, time.Second).open(t, "w=http://n/m#p:W w=http://n/m#e:J", now)
}

// OpenHwmonAt opens the hardware monitor with a simulated clock.
func OpenHwmonAt(opts HwmonOptions, now func() int64) (*Hwmon, error) {
	return openHwmon(opts, simulated(now))
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

// Trace is what was collected.
func (b *Bench) Trace() Trace { t, _ := b.w.collected(); return t }

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
