package nvml

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

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/powertest"
	"github.com/llenergymeasure/llem/power/sensors/internal/poll"
)

func notSupported(call string) error { return nvmlError{call, nvmlNotSupported, "Not Supported"} }

// bubble runs f in simulated time, with a clock.
func bubble(t *testing.T, f func(t *testing.T, now func() int64)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		base := time.Now()
		f(t, func() int64 { return int64(time.Since(base)) + int64(time.Hour) })
	})
}

func mustPoll(t *testing.T, m power.Meter) power.Trace {
	t.Helper()
	var trace power.Trace
	if err := m.Poll(t.Context(), &trace); err != nil {
		t.Errorf("Poll: %v", err)
	}
	return trace
}

func TestVisibleGPUs(t *testing.T) {
	gpus := []nvmlIdentity{{UUID: "GPU-aa11-x"}, {UUID: "GPU-aa22-x"}, {UUID: "GPU-bb33-x"}}
	for _, c := range []struct {
		spec string
		want []int // nil means an error
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
	} {
		got, err := visibleGPUs(&c.spec, gpus)
		if !slices.Equal(got.chosen, c.want) || (err != nil) != (c.want == nil) || got.missing != nil ||
			got.doubt != "" {
			t.Errorf("visibleGPUs(%q) = %+v, %v; want %v", c.spec, got, err, c.want)
		}
	}
	if got, err := visibleGPUs(nil, gpus); len(got.chosen) != 3 || err != nil {
		t.Errorf("unset: %v, %v; want all", got, err)
	}
	for spec, want := range map[string][]int{"MIG-1234": nil, "2,MIG-1234,0": {2}} {
		got, err := visibleGPUs(&spec, gpus)
		if !slices.Equal(got.chosen, want) || len(got.missing) != 1 || err != nil ||
			!strings.Contains(got.missing[0].Message, "slice of a GPU") {
			t.Errorf("%s: %+v, %v; want %v and the slice missing", spec, got, err, want)
		}
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
		b = word(math.MaxUint64) // bytes beside the value must not matter
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
		_, err := openNVML(t.Context(), lib, Options{}, power.SystemClocks())
		u, ok := errors.AsType[power.Unavailable](err)
		if !ok || u.Source != "nvml" || !strings.Contains(u.Message, want) || u.Next == "" {
			t.Errorf("code %d: %#v, want a reason with %q and a fix", code, err, want)
		}
	}
	lib := &fakeLib{}
	if _, err := openNVML(t.Context(), lib, Options{}, power.SystemClocks()); err == nil || lib.closed != 1 {
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
		"ring": {func(*fakeGPU) {}, sensor.SourceSamples, 20 * time.Millisecond, lookInterval},
		"ring 100 ms": {func(g *fakeGPU) { g.spacing = 100 * time.Millisecond }, sensor.SourceSamples,
			100 * time.Millisecond, lookInterval},
		"no ring": {func(g *fakeGPU) { g.noRing = notSupported("GetSamples") }, sensor.SourceInstant, 0,
			pointInterval},
		"empty ring": {func(g *fakeGPU) { g.depth = 0 }, sensor.SourceInstant, 0, pointInterval},
		"frozen ring": {func(g *fakeGPU) { g.frozenNS = g.startNS + int64(time.Second) }, sensor.SourceInstant, 0,
			pointInterval},
		"other clock": {func(g *fakeGPU) { g.wallStep = -time.Hour }, sensor.SourceInstant, 0, pointInterval},
		"average": {func(g *fakeGPU) { ampere(g); g.noRing, g.noInstant = notSupported("a"), notSupported("b") },
			sensor.SourceAverage, time.Second, pointInterval},
		"old average": {func(g *fakeGPU) {
			g.id.Architecture, g.noRing, g.noInstant = 5, notSupported("a"),
				notSupported("b")
		}, sensor.SourceAverage, 0, pointInterval},
		"A100 average": {func(g *fakeGPU) {
			ampere(g)
			g.id.Minor, g.noRing, g.noInstant = 0, notSupported("a"), notSupported("b")
		}, sensor.SourceAverage, 0, pointInterval},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, now func() int64) {
				lib := newFakeLib(1, 400, now)
				c.change(lib.gpus[0])
				m, err := openNVML(t.Context(), lib, Options{}, powertest.Clocks(now))
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
		m, err := openNVML(t.Context(), lib, Options{}, powertest.Clocks(now))
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Devices()) != 1 || len(m.Missing()) != 1 || m.Missing()[0].Source != "nvml gpu1" ||
			len(m.Warnings()) != 1 {
			t.Errorf("devices %v, missing %v, warnings %q", m.Devices(), m.Missing(), m.Warnings())
		}
		if readings, err := m.Counters(t.Context()); len(readings) != 1 || err != nil {
			t.Errorf("Counters = %v, %v", readings, err)
		}
	})
}

// TestPointRecordsChanges: field 186 changes every 100 ms. Each change becomes a sample within one poll, with
// the interval that contains it, and the refresh period is measured.
func TestPointRecordsChanges(t *testing.T) {
	const refresh = 100 * time.Millisecond
	bubble(t, func(t *testing.T, now func() int64) {
		lib := newFakeLib(1, 400, now)
		lib.gpus[0].noRing, lib.gpus[0].fieldStamp = notSupported("a"), true
		lib.gpus[0].wave = func(ns int64) float64 { return 300 + float64(ns/int64(refresh)%7) }
		m, err := openNVML(t.Context(), lib, Options{}, powertest.Clocks(now))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Millisecond) // out of phase with the sensor
		trace, polls := power.Trace{}, 0
		for end := now() + int64(5*time.Second); now() < end; polls++ {
			if err := m.Poll(t.Context(), &trace); err != nil {
				t.Fatal(err)
			}
			time.Sleep(m.Interval())
		}
		if polls > 450 {
			t.Errorf("%d polls in 5 s: there is nothing to see after a change", polls)
		}
		changed := 0
		for i, s := range trace.Samples {
			if i > 0 && s.MonoNS <= trace.Samples[i-1].MonoNS {
				t.Errorf("stamp %d after %d", s.MonoNS, trace.Samples[i-1].MonoNS)
			}
			if s.SinceNS == 0 {
				continue
			}
			changed++
			update := s.MonoNS - s.MonoNS%int64(refresh)
			if update < s.SinceNS || s.MonoNS-s.SinceNS > int64(pointInterval) {
				t.Errorf("update at %d outside [%d, %d]", update, s.SinceNS, s.MonoNS)
			}
		}
		if changed < 48 || changed > 50 {
			t.Errorf("%d changes in 5 s, want about 50", changed)
		}
		got := m.Refreshes()
		if len(got) != 1 || got[0].Source != sensor.SourceInstant || got[0].Device != "gpu0" ||
			(got[0].Period-refresh).Abs() > pointInterval {
			t.Errorf("refreshes %+v, want 100 ms", got)
		}
		if n := len(trace.Samples); n > 65 {
			t.Errorf("%d samples of 50 changes: held values should be few", n)
		}
	})
}

// TestPointLearnsAFasterRefresh: the pause after a change does not hide that the sensor became faster, and
// the intervals remain correct meanwhile.
func TestPointLearnsAFasterRefresh(t *testing.T) {
	bubble(t, func(t *testing.T, now func() int64) {
		lib := newFakeLib(1, 400, now)
		lib.gpus[0].noRing = notSupported("a")
		refresh := int64(100 * time.Millisecond)
		lib.gpus[0].wave = func(ns int64) float64 { return 300 + float64(ns/refresh%7) }
		m, err := openNVML(t.Context(), lib, Options{}, powertest.Clocks(now))
		if err != nil {
			t.Fatal(err)
		}
		trace := power.Trace{}
		run := func(d time.Duration) {
			for end := now() + int64(d); now() < end; {
				if err := m.Poll(t.Context(), &trace); err != nil {
					t.Fatal(err)
				}
				time.Sleep(m.Interval())
			}
		}
		run(5 * time.Second)
		refresh = int64(20 * time.Millisecond)
		run(20 * time.Second)
		if got := m.Refreshes()[0].Period; got != 20*time.Millisecond {
			t.Errorf("refresh %v, want 20 ms", got)
		}
		for i, s := range trace.Samples[1:] {
			if s.SinceNS != 0 && s.SinceNS >= s.MonoNS {
				t.Errorf("sample %d: update in [%d, %d]", i, s.SinceNS, s.MonoNS)
			}
		}
	})
}

// TestPointsShowTheyWork: while one GPU fails, the others have no gap.
func TestPointsShowTheyWork(t *testing.T) {
	bubble(t, func(t *testing.T, now func() int64) {
		lib := waving(withoutRing(newFakeLib(3, 400, now)))
		lib.gpus[2].noRing, lib.gpus[2].wave = nil, nil
		m, err := openNVML(t.Context(), lib, Options{}, powertest.Clocks(now))
		if err != nil {
			t.Fatal(err)
		}
		s := power.NewSampler(m)
		s.Now = now
		s.Start(t.Context())
		time.Sleep(3 * time.Second)
		gpu := lib.gpus[1]
		gpu.with(func() { gpu.noInstant = nvmlError{"field", 15, "GPU is lost"} })
		time.Sleep(2 * time.Second)
		gpu.with(func() { gpu.noInstant = nil })
		time.Sleep(2 * time.Second)
		trace := s.Stop(t.Context())
		if len(trace.Gaps) != 1 || trace.Gaps[0].Device != "gpu1" ||
			time.Duration(trace.Gaps[0].EndNS-trace.Gaps[0].StartNS).Round(500*time.Millisecond) != 2*time.Second {
			t.Errorf("gaps %+v, want two seconds of gpu1", trace.Gaps)
		}
	})
}

// TestPointHoldsAConstantValue: a constant value leaves no gap in the series.
func TestPointHoldsAConstantValue(t *testing.T) {
	bubble(t, func(t *testing.T, now func() int64) {
		lib := newFakeLib(1, 400, now)
		lib.gpus[0].noRing = notSupported("a")
		m, err := openNVML(t.Context(), lib, Options{}, powertest.Clocks(now))
		if err != nil {
			t.Fatal(err)
		}
		trace := power.Trace{}
		for range 400 {
			if err := m.Poll(t.Context(), &trace); err != nil {
				t.Fatal(err)
			}
			time.Sleep(m.Interval())
		}
		for i, s := range trace.Samples {
			if s.SinceNS != 0 {
				t.Errorf("sample %d claims a change", i)
			}
			if i > 0 && s.MonoNS-trace.Samples[i-1].MonoNS > int64(poll.HoldMost) {
				t.Errorf("%v without a sample", time.Duration(s.MonoNS-trace.Samples[i-1].MonoNS))
			}
		}
		if r := m.Refreshes()[0]; r.Period != 0 || r.Changes != 0 {
			t.Errorf("refresh %+v, want unknown", r)
		}
	})
}

// TestRingBesidePolledGPU: a ring is not read every 5 ms if another GPU has none, and still loses no sample.
func TestRingBesidePolledGPU(t *testing.T) {
	bubble(t, func(t *testing.T, now func() int64) {
		lib := newFakeLib(2, 400, now)
		lib.gpus[1].noRing = notSupported("a")
		m, err := openNVML(t.Context(), lib, Options{}, powertest.Clocks(now))
		if err != nil {
			t.Fatal(err)
		}
		if m.Interval() != pointInterval {
			t.Errorf("Interval = %v", m.Interval())
		}
		reads := 0
		ring := 0
		for range 400 {
			time.Sleep(m.Interval())
			before := ring
			for _, s := range mustPoll(t, m).Samples {
				if s.Device == "gpu0" {
					ring++
				}
			}
			if ring != before {
				reads++
			}
		}
		if ring < 95 || reads > 21 {
			t.Errorf("%d samples of the ring in 2 s by %d reads, want 95 or more by 21 or less", ring, reads)
		}
	})
}

// TestMIGIsRefused: the power of the GPU is not the power of a slice.
func TestMIGIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T, now func() int64) {
		lib := newFakeLib(2, 400, now)
		lib.gpus[0].id.MIG = true
		m, err := openNVML(t.Context(), lib, Options{}, powertest.Clocks(now))
		if err != nil {
			t.Fatal(err)
		}
		if d := m.Devices(); len(d) != 1 || d[0].ID != "gpu1" {
			t.Errorf("devices %+v", d)
		}
		check := func(u power.Unavailable) {
			t.Helper()
			if u.Source != "nvml gpu0" || !strings.Contains(u.Message, "MIG mode") ||
				!strings.Contains(u.Next, "nvidia-smi -i 0 -mig 0") {
				t.Errorf("missing %+v", u)
			}
		}
		if missing := m.Missing(); len(missing) == 1 {
			check(missing[0])
		} else {
			t.Errorf("missing %+v", missing)
		}
		only := "0"
		_, err = openNVML(t.Context(), lib, Options{VisibleDevices: &only}, powertest.Clocks(now))
		if u, ok := errors.AsType[power.Unavailable](err); ok {
			check(u)
		} else {
			t.Errorf("the only GPU is in MIG mode, yet: %v", err)
		}
		slice := "MIG-41b3359c-e721-56e5-8009-12e5797ed514"
		_, err = openNVML(t.Context(), lib, Options{VisibleDevices: &slice}, powertest.Clocks(now))
		if u, ok := errors.AsType[power.Unavailable](err); !ok || !strings.Contains(u.Message, "slice of a GPU") ||
			!strings.Contains(u.Next, "-mig 0") {
			t.Errorf("a slice was requested: %v", err)
		}
	})
}

func TestNVMLReadsOtherGPUsWhenOneIsLost(t *testing.T) {
	bubble(t, func(t *testing.T, now func() int64) {
		lib := newFakeLib(2, 400, now)
		m, err := openNVML(t.Context(), lib, Options{}, powertest.Clocks(now))
		if err != nil {
			t.Fatal(err)
		}
		s := power.NewSampler(m)
		s.Now = now
		s.Start(t.Context())
		time.Sleep(2500 * time.Millisecond)
		lost := now()
		gpu := lib.gpus[1]
		gpu.with(func() { gpu.lost = nvmlError{"nvml", 15, "GPU is lost"} })
		time.Sleep(4 * time.Second)
		trace := s.Stop(t.Context())
		if len(trace.Gaps) != 1 || trace.Gaps[0].Device != "gpu1" || trace.Gaps[0].EndNS != now() ||
			trace.Gaps[0].StartNS > lost {
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
		m, err := openNVML(context.Background(), lib, Options{VisibleDevices: &spec}, powertest.Clocks(now))
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
		if used, err := m.MemoryUsed(t.Context()); used["gpu2"] != digits.Bytes(1<<30) || err != nil {
			t.Errorf("MemoryUsed = %v, %v", used, err)
		}
		if list, err := m.Processes(t.Context()); list["gpu0"][0].PID != 42 || err != nil {
			t.Errorf("Processes = %v, %v", list, err)
		}
		if readings, err := m.Counters(t.Context()); err != nil || readings[0].Device != "gpu2" ||
			readings[1].Device != "gpu0" {
			t.Errorf("Counters = %v, %v", readings, err)
		}
	})
}
