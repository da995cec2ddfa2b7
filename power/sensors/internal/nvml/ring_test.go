package nvml

import (
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
)

// openRingAt opens one fake GPU for the tests of the ring.
func openRingAt(t *testing.T, now func() int64, wall *time.Duration) (*Meter, *fakeGPU) {
	t.Helper()
	lib := newFakeLib(1, 400, now)
	c := power.Clocks{Mono: now, Anchor: func() clock.Anchor {
		at := now()
		return clock.Anchor{MonoNS: at, UnixNS: at + int64(time.Hour) + int64(*wall)}
	}}
	m, err := openNVML(t.Context(), lib, Options{}, c)
	if err != nil {
		t.Fatal(err)
	}
	return m, lib.gpus[0]
}

func TestRingTakesEverySampleOnce(t *testing.T) {
	bubble(t, func(t *testing.T, now func() int64) {
		var wall time.Duration
		m, gpu := openRingAt(t, now, &wall)
		opened := now()
		gpu.extra = []nvmlSample{{StampUS: 0, Milliwatts: 1e9}} // an unused entry
		var all power.Trace
		for range 10 {
			time.Sleep(time.Second)
			if err := m.Poll(t.Context(), &all); err != nil {
				t.Error(err)
			}
		}
		if len(all.Samples) != 500 || len(all.Gaps) != 0 {
			t.Errorf("%d samples and gaps %v in 10 s at 50 Hz", len(all.Samples), all.Gaps)
		}
		if first := all.Samples[0].MonoNS; first <= opened {
			t.Errorf("first sample at %d, opened at %d", first, opened)
		}
		if len(all.Telemetry) != 10 {
			t.Errorf("%d telemetry rows in 10 s", len(all.Telemetry))
		}
	})
}

func TestRingReportsOverrunAndSilence(t *testing.T) {
	bubble(t, func(t *testing.T, now func() int64) {
		var wall time.Duration
		m, gpu := openRingAt(t, now, &wall)
		start := now()
		time.Sleep(5 * time.Second) // the ring holds 2.38 s
		trace := mustPoll(t, m)
		want := power.Gap{Device: "gpu0", Source: sensor.SourceSamples, StartNS: start,
			EndNS: start + int64(5*time.Second-119*20*time.Millisecond)}
		if len(trace.Gaps) != 1 || len(trace.Samples) != 119 {
			t.Fatalf("gaps %+v, %d samples", trace.Gaps, len(trace.Samples))
		}
		got := trace.Gaps[0]
		got.Reason = ""
		if got != want {
			t.Errorf("gap %+v, want %+v", got, want)
		}

		gpu.with(func() { gpu.frozenNS = now() })
		var silent power.Trace
		for range 10 {
			time.Sleep(time.Second)
			if err := m.Poll(t.Context(), &silent); err != nil {
				t.Error(err)
			}
		}
		gaps := silent.Gaps
		if len(gaps) == 0 || len(silent.Samples) != 0 {
			t.Fatalf("a stopped ring left gaps %v and %d samples", gaps, len(silent.Samples))
		}
		for i, g := range gaps[1:] {
			if g.StartNS != gaps[i].EndNS {
				t.Errorf("gap %+v does not follow %+v", g, gaps[i])
			}
		}
		if covered := time.Duration(gaps[len(gaps)-1].EndNS - gaps[0].StartNS); covered < 5*time.Second {
			t.Errorf("the gaps cover %v of 10 s", covered)
		}
	})
}

// TestRingSurvivesWallClockSteps: a step is reported, no sample is mapped to a wrong time, and the series
// continues.
func TestRingSurvivesWallClockSteps(t *testing.T) {
	for _, step := range []time.Duration{10 * time.Millisecond, -300 * time.Millisecond, 3 * time.Hour,
		-3 * time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, now func() int64) {
				var wall time.Duration
				m, gpu := openRingAt(t, now, &wall)
				var all power.Trace
				poll := func(n int) (failed int) {
					for range n {
						time.Sleep(time.Second)
						if m.Poll(t.Context(), &all) != nil {
							failed++
						}
					}
					return failed
				}
				poll(3)
				// Entries from before the step keep their stamps in the ring.
				old, _ := gpu.Samples(0)
				gpu.with(func() {
					gpu.wallStep, gpu.extra = step,
						old
					gpu.startNS = now() - now()%int64(20*time.Millisecond)
				})
				wall = step
				if failed := poll(1); failed != 1 {
					t.Error("the step was not reported")
				}
				poll(2)
				gpu.with(func() { gpu.extra = nil })
				poll(7)
				if n := len(all.Samples); n < 400 || n > 650 {
					t.Errorf("%d samples in 13 s", n)
				}
				for i, s := range all.Samples[1:] {
					if d := s.MonoNS - all.Samples[i].MonoNS; d < int64(19*time.Millisecond) {
						t.Fatalf("samples %v apart", time.Duration(d))
					}
				}
				if len(all.Gaps) == 0 {
					t.Error("the step left no gap")
				}
				last := all.Samples[len(all.Samples)-1].MonoNS
				if age := time.Duration(now() - last); age > 20*time.Millisecond {
					t.Errorf("the newest sample is %v old", age)
				}
			})
		})
	}
}

func TestRingSetsFutureSamplesAside(t *testing.T) {
	bubble(t, func(t *testing.T, now func() int64) {
		var wall time.Duration
		m, gpu := openRingAt(t, now, &wall)
		time.Sleep(time.Second)
		gpu.extra = []nvmlSample{{StampUS: gpu.wallUS(now() + int64(time.Minute)), Milliwatts: 1e9}}
		var trace power.Trace
		if err := m.Poll(t.Context(), &trace); err == nil || !strings.Contains(err.Error(), "future") {
			t.Errorf("error %v", err)
		}
		if len(trace.Samples) != 50 {
			t.Errorf("%d samples, want 50", len(trace.Samples))
		}
	})
}
