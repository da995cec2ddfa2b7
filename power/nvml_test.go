package power

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/unit"
)

func notSupported(call string) error { return nvmlError{call, nvmlNotSupported, "Not Supported"} }

// bubble runs f in simulated time with a clock for it.
func bubble(t *testing.T, f func(t *testing.T, now func() int64)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		base := time.Now()
		f(t, func() int64 { return int64(time.Since(base)) + int64(time.Hour) })
	})
}

func mustPoll(t *testing.T, m Meter) Trace {
	t.Helper()
	var trace Trace
	if err := m.Poll(t.Context(), &trace); err != nil {
		t.Errorf("Poll: %v", err)
	}
	return trace
}

func TestVisibleGPUs(t *testing.T) {
	gpus := []nvmlIdentity{{UUID: "GPU-aa11-x"}, {UUID: "GPU-aa22-x"}, {UUID: "GPU-bb33-x"}}
	for _, c := range []struct {
		spec string
		want []int // nil: an error
	}{
		{"0", []int{0}},
		{"2,0", []int{2, 0}},
		{" 1 , 2 ", []int{1, 2}},
		{"0,7,1", []int{0}}, // ends at the first invalid entry
		{"1,-1,0", []int{1}},
		{"0,0,1", []int{0}},
		{"GPU-bb", []int{2}},
		{"GPU-aa22-x,GPU-bb33-x", []int{1, 2}},
		{"GPU-aa", nil}, // ambiguous
		{"GPU-cc", nil},
		{"", nil},
		{"-1", nil},
		{"NoDevFiles", nil},
		{"0,MIG-1234", nil},
	} {
		got, err := visibleGPUs(&c.spec, gpus)
		if !slices.Equal(got, c.want) || (err != nil) != (c.want == nil) {
			t.Errorf("visibleGPUs(%q) = %v, %v; want %v", c.spec, got, err, c.want)
		}
	}
	if got, err := visibleGPUs(nil, gpus); len(got) != 3 || err != nil {
		t.Errorf("unset: %v, %v; want all", got, err)
	}
	mig := "MIG-1234"
	if _, err := visibleGPUs(&mig, gpus); !strings.Contains(err.Error(), "slice of a GPU") {
		t.Errorf("MIG: %v", err)
	}
}

func TestOrderWarningOnlyForMixedIndices(t *testing.T) {
	mixed := []nvmlIdentity{{Name: "A"}, {Name: "B"}}
	for _, c := range []struct {
		spec, order string
		gpus        []nvmlIdentity
		want        bool
	}{
		{"1", "", mixed, true},
		{"1", "FASTEST_FIRST", mixed, true},
		{"1", "PCI_BUS_ID", mixed, false},
		{"GPU-12", "", mixed, false},
		{"1", "", []nvmlIdentity{{Name: "A"}, {Name: "A"}}, false},
	} {
		if got := orderWarning(&c.spec, c.order, c.gpus) != ""; got != c.want {
			t.Errorf("orderWarning(%q, %q, %v) given: %v, want %v", c.spec, c.order, c.gpus, got, c.want)
		}
	}
}

func TestDecodeNVMLValue(t *testing.T) {
	word := func(v uint64) (b [8]byte) { binary.NativeEndian.PutUint64(b[:], v); return b }
	half := func(v uint32) (b [8]byte) {
		b = word(math.MaxUint64) // what lies beside the value must not matter
		binary.NativeEndian.PutUint32(b[:], v)
		return b
	}
	for _, c := range []struct {
		kind uint32
		raw  [8]byte
		want float64
	}{
		{nvmlDouble, word(math.Float64bits(12.5)), 12.5},
		{nvmlUint, half(703000), 703000},
		{nvmlUlong, word(1 << 40), 1 << 40},
		{nvmlUlongLong, word(1 << 41), 1 << 41},
		{nvmlLongLong, word(math.MaxUint64), -1},
		{nvmlInt, half(math.MaxUint32), -1},
		{nvmlUshort, half(0xffff0007), 7},
	} {
		if got, err := decodeNVMLValue(c.kind, c.raw); got != c.want || err != nil {
			t.Errorf("decode(type %d) = %v, %v; want %v", c.kind, got, err, c.want)
		}
	}
	if _, err := decodeNVMLValue(7, [8]byte{}); err == nil {
		t.Error("an unknown type was decoded")
	}
}

func TestNVMLUnavailable(t *testing.T) {
	for code, want := range map[int]string{
		nvmlLibraryNotFound: "libnvidia-ml.so.1 was not found",
		nvmlDriverNotLoaded: "kernel driver is not loaded",
		nvmlNoPermission:    "no permission",
		nvmlVersionMismatch: "different versions",
		999:                 "Unknown Error",
	} {
		lib := &fakeLib{openErr: nvmlError{"nvmlInit", code, "Unknown Error"}}
		_, err := openNVML(t.Context(), lib, NVMLOptions{}, systemClocks())
		u, ok := errors.AsType[Unavailable](err)
		if !ok || u.Source != "nvml" || !strings.Contains(u.Reason, want) || u.Fix == "" {
			t.Errorf("code %d: %#v, want a reason with %q and a fix", code, err, want)
		}
	}
	lib := &fakeLib{}
	if _, err := openNVML(t.Context(), lib, NVMLOptions{}, systemClocks()); err == nil || lib.closed != 1 {
		t.Errorf("no GPU: error %v, library closed %d times", err, lib.closed)
	}
}

func TestNVMLPicksTheBestSource(t *testing.T) {
	ampere := func(g *fakeGPU) { g.id.Architecture, g.id.Major, g.id.Minor = nvmlAmpere, 8, 6 }
	for name, c := range map[string]struct {
		change   func(g *fakeGPU)
		source   string
		window   time.Duration
		interval time.Duration
	}{
		"ring":        {func(*fakeGPU) {}, SourceSamples, 20 * time.Millisecond, time.Second},
		"ring 100 ms": {func(g *fakeGPU) { g.spacing = 100 * time.Millisecond }, SourceSamples, 100 * time.Millisecond, time.Second},
		"no ring":     {func(g *fakeGPU) { g.noRing = notSupported("GetSamples") }, SourceInstant, 0, pointInterval},
		"empty ring":  {func(g *fakeGPU) { g.depth = 0 }, SourceInstant, 0, pointInterval},
		"frozen ring": {func(g *fakeGPU) { g.frozenNS = g.startNS + int64(time.Second) }, SourceInstant, 0, pointInterval},
		"other clock": {func(g *fakeGPU) { g.wallStep = -time.Hour }, SourceInstant, 0, pointInterval},
		"average":     {func(g *fakeGPU) { ampere(g); g.noRing, g.noInstant = notSupported("a"), notSupported("b") }, SourceAverage, time.Second, pointInterval},
		"old average": {func(g *fakeGPU) { g.id.Architecture, g.noRing, g.noInstant = 5, notSupported("a"), notSupported("b") }, SourceAverage, 0, pointInterval},
		"A100 average": {func(g *fakeGPU) {
			ampere(g)
			g.id.Minor, g.noRing, g.noInstant = 0, notSupported("a"), notSupported("b")
		}, SourceAverage, 0, pointInterval},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, now func() int64) {
				lib := newFakeLib(1, 400, now)
				c.change(lib.gpus[0])
				m, err := openNVML(t.Context(), lib, NVMLOptions{}, simulated(now))
				if err != nil {
					t.Fatal(err)
				}
				if m.Interval() != c.interval {
					t.Errorf("Interval = %v, want %v", m.Interval(), c.interval)
				}
				time.Sleep(m.Interval())
				trace := mustPoll(t, m)
				if len(trace.Samples) == 0 {
					t.Fatal("no samples")
				}
				s := trace.Samples[len(trace.Samples)-1]
				if s.Source != c.source || s.Window != c.window || s.Power != 400 || s.Device != "gpu0" {
					t.Errorf("sample %+v, want source %s and window %v", s, c.source, c.window)
				}
			})
		})
	}
}

func TestNVMLWithoutPowerOrEnergy(t *testing.T) {
	bubble(t, func(t *testing.T, now func() int64) {
		lib := newFakeLib(2, 400, now)
		mute := func(g *fakeGPU) {
			g.noRing, g.noInstant, g.noAverage = notSupported("a"), notSupported("b"), notSupported("c")
		}
		mute(lib.gpus[0]) // the counter is left
		mute(lib.gpus[1])
		lib.gpus[1].noEnergy = notSupported("d")
		m, err := openNVML(t.Context(), lib, NVMLOptions{}, simulated(now))
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Devices()) != 1 || len(m.Missing()) != 1 || m.Missing()[0].Source != "nvml gpu1" || len(m.Warnings()) != 1 {
			t.Errorf("devices %v, missing %v, warnings %q", m.Devices(), m.Missing(), m.Warnings())
		}
		if readings, err := m.Counters(t.Context()); len(readings) != 1 || err != nil {
			t.Errorf("Counters = %v, %v", readings, err)
		}
	})
}

// TestPointKeepsHeldValues: field 186 moves every 100 ms but is polled every
// 20 ms; each poll counts, with a stamp of its own.
func TestPointKeepsHeldValues(t *testing.T) {
	bubble(t, func(t *testing.T, now func() int64) {
		lib := newFakeLib(1, 400, now)
		lib.gpus[0].noRing, lib.gpus[0].fieldStamp = notSupported("a"), true
		m, err := openNVML(t.Context(), lib, NVMLOptions{}, simulated(now))
		if err != nil {
			t.Fatal(err)
		}
		var all []Sample
		for range 50 {
			time.Sleep(m.Interval())
			all = append(all, mustPoll(t, m).Samples...)
		}
		if len(all) < 49 {
			t.Errorf("%d samples of 50 polls", len(all))
		}
		for i, s := range all[1:] {
			if s.MonoNS <= all[i].MonoNS {
				t.Errorf("stamp %d after %d", s.MonoNS, all[i].MonoNS)
			}
		}
	})
}

func TestNVMLReadsOtherGPUsWhenOneIsLost(t *testing.T) {
	bubble(t, func(t *testing.T, now func() int64) {
		lib := newFakeLib(2, 400, now)
		m, err := openNVML(t.Context(), lib, NVMLOptions{}, simulated(now))
		if err != nil {
			t.Fatal(err)
		}
		s := NewSampler(m)
		s.Now = now
		s.Start(t.Context())
		time.Sleep(2500 * time.Millisecond)
		lost := now()
		gpu := lib.gpus[1]
		gpu.with(func() { gpu.lost = nvmlError{"nvml", 15, "GPU is lost"} })
		time.Sleep(4 * time.Second)
		trace := s.Stop(t.Context())
		if len(trace.Gaps) != 1 || trace.Gaps[0].Device != "gpu1" || trace.Gaps[0].EndNS != now() || trace.Gaps[0].StartNS > lost {
			t.Errorf("gaps %+v", trace.Gaps)
		}
		if len(trace.Errors) != 2 { // the series and the counter
			t.Errorf("errors %q", trace.Errors)
		}
		last := trace.Counters[len(trace.Counters)-1]
		if last.Device != "gpu0" || last.AfterNS < lost {
			t.Errorf("the other counter stopped: %+v", last)
		}
	})
}

func TestNVMLHelpers(t *testing.T) {
	bubble(t, func(t *testing.T, now func() int64) {
		lib := newFakeLib(3, 400, now)
		spec := "2,0"
		m, err := openNVML(context.Background(), lib, NVMLOptions{VisibleDevices: &spec}, simulated(now))
		if err != nil {
			t.Fatal(err)
		}
		devices := m.Devices()
		if len(devices) != 2 || devices[0].ID != "gpu2" || devices[0].UUID != lib.gpus[2].id.UUID {
			t.Errorf("devices %+v", devices)
		}
		facts := m.Facts()
		if facts[0].Index != 2 || *facts[1].UUID != lib.gpus[0].id.UUID {
			t.Errorf("facts %+v", facts)
		}
		if used, err := m.MemoryUsed(t.Context()); used["gpu2"] != unit.Bytes(1<<30) || err != nil {
			t.Errorf("MemoryUsed = %v, %v", used, err)
		}
		if list, err := m.Processes(t.Context()); list["gpu0"][0].PID != 42 || err != nil {
			t.Errorf("Processes = %v, %v", list, err)
		}
		if readings, err := m.Counters(t.Context()); err != nil || readings[0].Device != "gpu2" || readings[1].Device != "gpu0" {
			t.Errorf("Counters = %v, %v", readings, err)
		}
	})
}
