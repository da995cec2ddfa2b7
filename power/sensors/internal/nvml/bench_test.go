package nvml

import (
	"fmt"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/powertest"
)

// BenchmarkSamplerNVMLRing: each GPU delivers fifty samples a second. The driver's own time is not included.
func BenchmarkSamplerNVMLRing(b *testing.B) {
	for _, gpus := range []int{1, 8} {
		b.Run(fmt.Sprintf("gpus=%d", gpus), func(b *testing.B) {
			at := int64(time.Hour)
			now := func() int64 { return at }
			m := openFake(b, newFakeLib(gpus, 400, now), now)
			powertest.Cost(b, m, &at)
		})
	}
}

// BenchmarkSamplerNVMLPoints: each GPU is polled every 5 ms. The driver's own time, 1 to 3 µs per call or
// 0.02 to 0.06 % of a core per GPU, is not included.
func BenchmarkSamplerNVMLPoints(b *testing.B) {
	for _, gpus := range []int{1, 8} {
		b.Run(fmt.Sprintf("gpus=%d", gpus), func(b *testing.B) {
			at := int64(time.Hour)
			now := func() int64 { return at }
			m := openFake(b, waving(withoutRing(newFakeLib(gpus, 400, now))),
				now)
			powertest.Cost(b, m, &at)
		})
	}
}

// BenchmarkSamplerWaitingPoints runs in real time at up to 200 polls a second, over GPUs whose value changes
// every 100 ms.
func BenchmarkSamplerWaitingPoints(b *testing.B) {
	for _, gpus := range []int{1, 8} {
		b.Run(fmt.Sprintf("gpus=%d", gpus), func(b *testing.B) {
			var share float64
			for b.Loop() {
				m := openFake(b,
					waving(withoutRing(newFakeLib(gpus, 400, clock.Mono))), clock.Mono)
				s := power.NewSampler(m)
				s.Start(b.Context())
				time.Sleep(2 * time.Second)
				share = max(share, 100*s.Stop(b.Context()).Cost.Share())
			}
			b.ReportMetric(share, "%core")
		})
	}
}

// BenchmarkProcesses polls the processes on this machine's GPUs, as a sampler does twice a second.
func BenchmarkProcesses(b *testing.B) {
	m, err := Open(b.Context(), Options{})
	if err != nil {
		b.Skip(err)
	}
	defer m.Close()
	n := 0
	for b.Loop() {
		all, err := m.Processes(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		n = len(all["gpu0"])
	}
	b.ReportMetric(float64(n), "processes")
}
