// Package powertest is the conformance suite of [power.Meter]. Fakes and meters over fake drivers run it in
// simulated time, meters over real sensors in real time.
package powertest

import (
	"cmp"
	"context"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

// Subject is a meter under test.
type Subject struct {
	// Meter is the meter under test.
	Meter power.Meter
	// Now is the clock of the meter's stamps.
	Now func() int64
	// OpenedNS is a value of Now from before the meter was opened.
	OpenedNS int64
	// Power is the constant power of every device; zero if unknown, as on real hardware.
	Power unit.Watts
	// NoCounter reports whether the meter lacks an energy counter.
	NoCounter bool
}

// Run runs the suite in simulated time. It calls open once per test inside a synctest bubble; anything that
// open starts must end with the test's context.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	t.Helper()
	each(t, func(t *testing.T, test func(*testing.T, Subject)) {
		synctest.Test(t, func(t *testing.T) { test(t, open(t)) })
	})
}

// RunReal runs the suite in real time; it takes about twenty seconds.
func RunReal(t *testing.T, open func(t *testing.T) Subject) {
	t.Helper()
	each(t, func(t *testing.T, test func(*testing.T, Subject)) { test(t, open(t)) })
}

func each(t *testing.T, run func(*testing.T, func(*testing.T, Subject))) {
	for name, test := range map[string]func(*testing.T, Subject){
		"Devices":      testDevices,
		"Samples":      testSamples,
		"Counters":     testCounters,
		"Energy":       testEnergy,
		"Close":        testClose,
		"CancelledCtx": testCancelled,
	} {
		t.Run(name, func(t *testing.T) { run(t, test) })
	}
}

// testDevices checks that devices have distinct names and do not change.
func testDevices(t *testing.T, s Subject) {
	defer closeMeter(t, s.Meter)
	before := s.Meter.Devices()
	if len(before) == 0 {
		t.Fatal("the meter has no devices")
	}
	seen := make(map[string]bool)
	for _, d := range before {
		if d.ID == "" || d.Kind == "" || d.Name == "" || seen[d.ID] {
			t.Errorf("device %+v lacks an id, a kind or a name, or appears twice", d)
		}
		seen[d.ID] = true
	}
	if s.Meter.Name() == "" || s.Meter.Interval() <= 0 {
		t.Errorf("Name = %q, Interval = %v: want both set", s.Meter.Name(), s.Meter.Interval())
	}
	if err := s.Meter.Poll(t.Context(), new(power.Trace)); err != nil {
		t.Errorf("Poll: %v", err)
	}
	if after := s.Meter.Devices(); !slices.Equal(before, after) {
		t.Errorf("Devices changed from %v to %v", before, after)
	}
}

// testSamples checks that each series is in order, without repetitions, and of known devices, and that each
// sample lies between opening and the poll that returned it.
func testSamples(t *testing.T, s Subject) {
	defer closeMeter(t, s.Meter)
	known := deviceIDs(s.Meter)
	opened := s.OpenedNS
	type series struct{ device, source string }
	last := make(map[series]int64)
	counts := make(map[string]int)
	for end := s.Now() + int64(4*time.Second); s.Now() < end; {
		time.Sleep(s.Meter.Interval())
		var trace power.Trace
		if err := s.Meter.Poll(t.Context(), &trace); err != nil {
			t.Fatalf("Poll: %v", err)
		}
		now := s.Now()
		for _, p := range trace.Samples {
			key := series{p.Device, p.Source}
			switch {
			case !known[p.Device] || p.Source == "":
				t.Errorf("sample of device %q, source %q", p.Device, p.Source)
			case p.MonoNS <= last[key]:
				t.Errorf("%v: stamp %d after %d", key, p.MonoNS, last[key])
			case p.MonoNS < opened || p.MonoNS > now:
				t.Errorf("%v: stamp %d outside [%d, %d]", key, p.MonoNS, opened, now)
			case p.Power < 0 || math.IsNaN(float64(p.Power)) || p.Window < 0 || p.UnixNS == 0:
				t.Errorf("%v: sample %+v", key, p)
			}
			last[key] = p.MonoNS
			counts[p.Device]++
		}
		for _, x := range trace.Telemetry {
			if !known[x.Device] || x.MonoNS < opened || x.MonoNS > now {
				t.Errorf("telemetry %+v outside [%d, %d] or of an unknown device", x, opened, now)
			}
		}
	}
	for id := range known {
		if counts[id] < 3 {
			t.Errorf("%s: %d samples in 4 s", id, counts[id])
		}
	}
}

// testCounters checks that counters never fall, are read within the call, and belong to known devices.
func testCounters(t *testing.T, s Subject) {
	defer closeMeter(t, s.Meter)
	known := deviceIDs(s.Meter)
	last := make(map[string]unit.Energy)
	for range 15 {
		before := s.Now()
		readings, err := s.Meter.Counters(t.Context())
		after := s.Now()
		if err != nil {
			t.Fatalf("Counters: %v", err)
		}
		if s.NoCounter != (len(readings) == 0) {
			t.Fatalf("%d readings, NoCounter = %v", len(readings), s.NoCounter)
		}
		for _, r := range readings {
			if !known[r.Device] || r.Source == "" || r.Snapped {
				t.Errorf("reading %+v", r)
			}
			if r.BeforeNS < before || r.AfterNS < r.BeforeNS || after < r.AfterNS {
				t.Errorf("%s: stamps [%d, %d] outside the call [%d, %d]", r.Device, r.BeforeNS, r.AfterNS, before,
					after)
			}
			if e, ok := last[r.Device]; ok && r.Energy < e {
				t.Errorf("%s: the counter fell from %v to %v", r.Device, e, r.Energy)
			}
			last[r.Device] = r.Energy
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// testEnergy checks that the counter and the series agree between two snapped readings, and that both agree
// with a known power.
func testEnergy(t *testing.T, s Subject) {
	defer closeMeter(t, s.Meter)
	sampler := power.NewSampler(s.Meter)
	sampler.Now = s.Now
	sampler.Start(t.Context())
	time.Sleep(time.Second)
	first := sampler.Mark(t.Context(), 600*time.Millisecond)
	time.Sleep(5 * time.Second)
	second := sampler.Mark(t.Context(), 600*time.Millisecond)
	time.Sleep(time.Second)
	trace := sampler.Stop(t.Context())
	// Real drivers occasionally skip an entry.
	if len(trace.Errors) > 0 || (len(trace.Gaps) > 0 && s.Power > 0) {
		t.Errorf("errors %q, gaps %+v", trace.Errors, trace.Gaps)
	}
	if len(first) != len(second) || s.NoCounter != (len(first) == 0) {
		t.Fatalf("%d and %d readings, NoCounter = %v", len(first), len(second), s.NoCounter)
	}
	for i, a := range first {
		b := second[i]
		if !a.Snapped || !b.Snapped {
			t.Errorf("%s: the counter did not move within 600 ms", a.Device)
			continue
		}
		counter := (b.Energy - a.Energy).Joules()
		series := Integral(trace.Samples, a.Device, a.At(), b.At())
		t.Logf("%s: counter %.3f J, series %.3f J over %v", a.Device, counter, series, time.Duration(b.At()-a.At()))
		tolerance := 0.01
		if s.Power == 0 {
			tolerance = 0.2 // a real device whose load is not known
		} else if want := float64(s.Power) * time.Duration(b.At()-a.At()).Seconds(); math.Abs(
			counter-want) > tolerance*want {
			t.Errorf("%s: counter reports %.3f J, want %.3f J", a.Device, counter, want)
		}
		if math.Abs(series-counter) > tolerance*math.Max(series, counter) {
			t.Errorf("%s: series %.3f J and counter %.3f J disagree", a.Device, series, counter)
		}
	}
}

// testClose checks that Close may be called twice.
func testClose(t *testing.T, s Subject) {
	for range 2 {
		closeMeter(t, s.Meter)
	}
}

// testCancelled checks that a cancelled context is an error, after which the meter still works.
func testCancelled(t *testing.T, s Subject) {
	defer closeMeter(t, s.Meter)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Meter.Poll(ctx, new(power.Trace)); err == nil {
		t.Error("Poll with a cancelled context did not fail")
	}
	time.Sleep(s.Meter.Interval())
	if err := s.Meter.Poll(t.Context(), new(power.Trace)); err != nil {
		t.Errorf("Poll after a cancelled Poll: %v", err)
	}
}

// Integral returns the energy of a device's series between two instants in joules. Each sample holds back to
// the sample before it.
func Integral(samples []power.Sample, device string, from, to int64) float64 {
	var own []power.Sample
	for _, s := range samples {
		if s.Device == device {
			own = append(own, s)
		}
	}
	slices.SortFunc(own, func(a, b power.Sample) int { return cmp.Compare(a.MonoNS, b.MonoNS) })
	var joules float64
	for i, s := range own {
		start := s.MonoNS - int64(s.Window)
		if i > 0 {
			start = own[i-1].MonoNS
		}
		if d := min(s.MonoNS, to) - max(start, from); d > 0 {
			joules += float64(s.Power) * float64(d) / 1e9
		}
	}
	return joules
}

func deviceIDs(m power.Meter) map[string]bool {
	ids := make(map[string]bool)
	for _, d := range m.Devices() {
		ids[d.ID] = true
	}
	return ids
}

func closeMeter(t *testing.T, m power.Meter) {
	t.Helper()
	if err := m.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}
