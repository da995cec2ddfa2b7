package power_test

import (
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/powerfake"
	"github.com/llenergymeasure/llem/power"
)

// BenchmarkSamplerWaiting measures timers, threads and locks in real time, over an idle fake meter.
func BenchmarkSamplerWaiting(b *testing.B) {
	var share float64
	for b.Loop() {
		s := power.NewSampler(powerfake.NewFake(powerfake.FakeOptions{GPUs: 8}))
		s.Start(b.Context())
		time.Sleep(2 * time.Second)
		share = max(share, 100*s.Stop(b.Context()).Cost.Share())
	}
	b.ReportMetric(share, "%core")
}
