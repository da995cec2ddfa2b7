package power

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/unit"
)

// ringOf generates a series like an H200's ring: an entry every 20 ms ± 15 ms, stamped in µs, between idle
// and full load, read once a second.
func ringOf(device string, n int, rng *rand.Rand, take func(Sample)) {
	offset := int64(1_900_000_000 * time.Second)
	watts := 400.0
	for i := range n {
		if i%50 == 0 {
			offset += rng.Int64N(400) - 200 // two clocks are never read at the same instant
		}
		watts = min(max(watts+60*rng.NormFloat64(), 80), 700)
		mono := int64(1000*time.Second) + int64(i)*int64(20*time.Millisecond) + rng.Int64N(15_000)*1000
		take(Sample{MonoNS: mono, UnixNS: mono + offset, Device: device, Source: "nvml.samples",
			Power: unit.Watts(math.Round(1000*watts) / 1000), Window: 20 * time.Millisecond})
	}
}

// TestPackLosesNothing checks that every sample is restored bit by bit.
func TestPackLosesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var want []Sample
	ringOf("gpu0", 2000, rng, func(s Sample) { want = append(want, s) })
	for i := range 3000 { // polled values of any kind, in any order
		s := Sample{MonoNS: rng.Int64() - rng.Int64(), UnixNS: rng.Int64() - rng.Int64(), Device: "gpu0",
			Source: []string{"rapl", "nvml.instant", ""}[rng.IntN(3)],
			Power:  unit.Watts(1000 * rng.NormFloat64()), Window: time.Duration(rng.Int64N(2) * rng.Int64()),
			SinceNS: rng.Int64N(2) * rng.Int64()}
		if i%3 == 0 {
			s.MonoNS, s.UnixNS = int64(i)*1e6, int64(i)*1e6+7
		}
		want = append(want, s)
	}
	for _, v := range []float64{0, math.Copysign(0, -1), math.Inf(1), math.MaxFloat64, 1e15, 1e-9, 0.1, -0.001,
		123.456} {
		want = append(want, Sample{MonoNS: math.MaxInt64, UnixNS: math.MinInt64, Device: "gpu0", Power: unit.Watts(v),
			SinceNS: math.MinInt64})
	}
	p := pack{device: "gpu0"}
	for _, s := range want {
		p.add(s)
	}
	got := p.appendTo(nil)
	if len(got) != len(want) {
		t.Fatalf("%d samples, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] || math.Signbit(float64(got[i].Power)) != math.Signbit(float64(want[i].Power)) {
			t.Fatalf("sample %d is %+v, want %+v", i, got[i], want[i])
		}
	}
	p.add(Sample{MonoNS: 1, Device: "gpu0", Power: unit.Watts(math.NaN())})
	if last := p.appendTo(nil)[len(want)]; !math.IsNaN(float64(last.Power)) {
		t.Errorf("NaN is restored as %v", last.Power)
	}
}

// TestSamplerMemory checks that an hour of eight GPUs, with telemetry and counters, stays below 20 MB by the
// sampler's count and by the runtime's.
func TestSamplerMemory(t *testing.T) {
	const gpus, seconds, most = 8, 3600, 20e6
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	w := newWorker(silent{}, &Sampler{Now: func() int64 { return 0 }})
	var samples int
	for g := range gpus {
		device := string(rune('a' + g))
		ringOf(device, 50*seconds, rand.New(rand.NewPCG(uint64(g), 1)), func(s Sample) {
			w.scratch.Samples = append(w.scratch.Samples, s)
			samples++
			if samples%50 != 0 {
				return
			}
			w.scratch.Telemetry = append(w.scratch.Telemetry,
				Telemetry{Device: device, TemperatureC: new(60.0), SMClockMHz: new(1980.0),
					MemClockMHz: new(3201.0), UtilizationPct: new(100.0), MemoryUsedBytes: new(int64(1 << 36)),
					Throttle: new(int64(4))})
			if samples%250 == 0 {
				w.scratch.Counters = append(w.scratch.Counters, Reading{Device: device, Source: "nvml.energy"})
			}
			w.flush()
		})
	}
	var packed int64
	for _, p := range w.packs {
		packed += p.bytes()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	heap := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%.2f bytes a sample, %.1f MB in all, %.1f MB on the heap", float64(packed)/float64(samples),
		float64(w.bytes())/1e6, float64(heap)/1e6)
	if each := float64(packed) / float64(samples); each > 10 {
		t.Errorf("a sample takes %.1f bytes, want 10 at most", each)
	}
	if w.bytes() > most || heap > most {
		t.Errorf("an hour of %d GPUs takes %.1f MB by the sampler's count and %.1f MB on the heap, want "+
			"%.0f MB at most", gpus, float64(w.bytes())/1e6, float64(heap)/1e6, most/1e6)
	}
	if math.Abs(float64(w.bytes()-heap)) > 0.15*float64(heap) {
		t.Errorf("the sampler counts %d bytes, the heap has %d", w.bytes(), heap)
	}
	trace, _ := w.collected()
	if len(trace.Samples) != samples || trace.Cost.Bytes != w.bytes() ||
		!slices.ContainsFunc(trace.Samples[:1], func(s Sample) bool { return s.Device == "a" }) {
		t.Errorf("%d samples, want %d; %d bytes", len(trace.Samples), samples, trace.Cost.Bytes)
	}
	runtime.KeepAlive(w)
}

// BenchmarkPack measures the cost of packing one sample.
func BenchmarkPack(b *testing.B) {
	var list []Sample
	ringOf("gpu0", 5000, rand.New(rand.NewPCG(1, 2)), func(s Sample) { list = append(list, s) })
	b.ReportAllocs()
	p := pack{device: "gpu0"}
	for i := 0; b.Loop(); i++ {
		if i%len(list) == 0 {
			p = pack{device: "gpu0"}
		}
		p.add(list[i%len(list)])
	}
	b.ReportMetric(float64(p.bytes())/float64(max(1, p.n)), "B/sample")
}

// silent is a meter without devices.
type silent struct{}

func (silent) Name() string                                { return "silent" }
func (silent) Devices() []Device                           { return nil }
func (silent) Interval() time.Duration                     { return time.Second }
func (silent) Poll(context.Context, *Trace) error          { return nil }
func (silent) Counters(context.Context) ([]Reading, error) { return nil, nil }
func (silent) Close() error                                { return nil }
