package power_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/power"
)

// mostOfACore is what sampling may cost.
const mostOfACore = 1.0 // percent

// cost drives a meter through one simulated second per iteration, as the sampler
// does, and reports the processor time against that second.
func cost(b *testing.B, m power.Meter, c *manual) {
	b.Helper()
	bench := power.NewBench(m, c.now)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cpu := -bench.CPU()
	due := c.now()
	for b.Loop() {
		end := c.now() + int64(time.Second)
		for due <= end {
			c.ns = max(c.ns, due)
			due = bench.Tick()
		}
		c.ns = end
	}
	cpu += bench.CPU()
	share := 100 * cpu.Seconds() / float64(b.N)
	b.ReportMetric(share, "%core")
	b.ReportMetric(float64(bench.Samples())/float64(b.N), "samples/s")
	if share > mostOfACore {
		b.Errorf("sampling takes %.2f %% of a core, more than %g %%", share, mostOfACore)
	}
}

// BenchmarkSamplerNVMLRing: each GPU delivers fifty samples a second. The driver's
// own time is not in it.
func BenchmarkSamplerNVMLRing(b *testing.B) {
	for _, gpus := range []int{1, 8} {
		b.Run(fmt.Sprintf("gpus=%d", gpus), func(b *testing.B) {
			c := newManual()
			m, err := power.OpenFakeNVMLForBench(power.NewFakeNVML(gpus, 400, c.now), c.now)
			if err != nil {
				b.Fatal(err)
			}
			cost(b, m, c)
		})
	}
}

// BenchmarkSamplerNVMLPoints: each GPU is asked every 5 ms. The driver's own time, 1
// to 3 µs a call, is not in it: that is 0.02 to 0.06 % of a core per GPU.
func BenchmarkSamplerNVMLPoints(b *testing.B) {
	for _, gpus := range []int{1, 8} {
		b.Run(fmt.Sprintf("gpus=%d", gpus), func(b *testing.B) {
			c := newManual()
			m, err := power.OpenFakeNVMLForBench(power.Waving(power.WithoutRing(power.NewFakeNVML(gpus, 400, c.now))),
				c.now)
			if err != nil {
				b.Fatal(err)
			}
			cost(b, m, c)
		})
	}
}

// BenchmarkSamplerHwmon: eight cards, on files of this machine's disk or memory.
func BenchmarkSamplerHwmon(b *testing.B) {
	s, c := newSysfs(b), newManual()
	for i := range 8 {
		s.write(s.card(i, amd, fmt.Sprintf("0000:%02x:00.0", i+1), "amdgpu")+"/power1_average", "300000000")
	}
	m, err := power.OpenHwmonAt(power.HwmonOptions{SysfsRoot: s.root, ProcRoot: s.root}, c.now)
	if err != nil {
		b.Fatal(err)
	}
	cost(b, m, c)
}

// BenchmarkSamplerRAPL: two sockets with memory, on files in memory if there are
// any such.
func BenchmarkSamplerRAPL(b *testing.B) {
	x, c := newTree(b), newManual()
	if dir, err := os.MkdirTemp("/dev/shm",
		"llem-rapl-"); err == nil { //nolint:usetesting // files in memory, as sysfs is
		x.root = dir
		b.Cleanup(func() {
			if err := os.RemoveAll(dir); err != nil {
				b.Error(err)
			}
		})
	}
	for i := range 2 {
		x.zone(fmt.Sprintf("intel-rapl:%d", i), fmt.Sprintf("package-%d", i), 1e9, raplRange)
		x.zone(fmt.Sprintf("intel-rapl:%d:0", i), "dram", 1e9, raplRange)
	}
	if _, err := os.Stat(filepath.Join(x.root, "class")); err != nil {
		b.Fatal(err)
	}
	m, err := power.OpenRAPLAt(power.RAPLOptions{SysfsRoot: x.root}, c.now)
	if err != nil {
		b.Fatal(err)
	}
	cost(b, m, c)
}

// BenchmarkSamplerModel reads this machine's /proc.
func BenchmarkSamplerModel(b *testing.B) {
	c := newManual()
	m, err := power.OpenModelAt(power.ModelOptions{}, c.now)
	if err != nil {
		b.Skip(err)
	}
	cost(b, m, c)
}

// BenchmarkSamplerWaitingPoints is the real thing at up to 200 polls a second, over
// GPUs whose value changes every 100 ms.
func BenchmarkSamplerWaitingPoints(b *testing.B) {
	for _, gpus := range []int{1, 8} {
		b.Run(fmt.Sprintf("gpus=%d", gpus), func(b *testing.B) {
			var share float64
			for b.Loop() {
				m, err := power.OpenFakeNVMLForBench(
					power.Waving(power.WithoutRing(power.NewFakeNVML(gpus, 400, clock.Mono))), clock.Mono)
				if err != nil {
					b.Fatal(err)
				}
				s := power.NewSampler(m)
				s.Start(b.Context())
				time.Sleep(2 * time.Second)
				share = max(share, 100*s.Stop(b.Context()).Cost.Share())
			}
			b.ReportMetric(share, "%core")
		})
	}
}

// BenchmarkSamplerWaiting is the real thing over a fake meter at rest: timers,
// threads and locks, in real time.
func BenchmarkSamplerWaiting(b *testing.B) {
	var share float64
	for b.Loop() {
		s := power.NewSampler(power.NewFake(power.FakeOptions{GPUs: 8}))
		s.Start(b.Context())
		time.Sleep(2 * time.Second)
		share = max(share, 100*s.Stop(b.Context()).Cost.Share())
	}
	b.ReportMetric(share, "%core")
}

// BenchmarkProcesses asks the driver of this machine for the processes on its GPUs,
// as a sampler does twice a second.
func BenchmarkProcesses(b *testing.B) {
	m, err := power.OpenNVML(b.Context(), power.NVMLOptions{})
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
