package power_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/internal/powerfake"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/powertest"
	"github.com/llenergymeasure/llem/unit"
)

// sampling runs f in simulated time with a sampler of one fake meter.
func sampling(t *testing.T, opts powerfake.FakeOptions, f func(t *testing.T, s *power.Sampler, now func() int64)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		now := bubbleClock()
		opts.Now = now
		s := power.NewSampler(powerfake.NewFake(opts))
		s.Now = now
		f(t, s, now)
	})
}

func TestMarkSnapsToTheCounter(t *testing.T) {
	// A step in the middle makes the edges of the counter matter.
	opts := powerfake.FakeOptions{GPUs: 2, Latency: 2 * time.Millisecond,
		Power: powerfake.Load{{For: 2 * time.Second, Power: 100}, {Power: 500}}.At}
	sampling(t, opts, func(t *testing.T, s *power.Sampler, now func() int64) {
		s.Start(t.Context())
		time.Sleep(2345 * time.Millisecond)
		first := s.Mark(t.Context(), time.Second)
		time.Sleep(1111 * time.Millisecond)
		second := s.Mark(t.Context(), time.Second)
		trace := s.Stop(t.Context())
		if len(first) != 2 || len(second) != 2 {
			t.Fatalf("%d and %d readings, want 2", len(first), len(second))
		}
		for i, a := range first {
			b := second[i]
			for _, r := range []power.Reading{a, b} {
				if !r.Snapped || r.SinceNS >= r.BeforeNS || time.Duration(r.AfterNS-r.SinceNS) > 10*time.Millisecond {
					t.Errorf("reading %+v: want snapped within 10 ms", r)
				}
				if !slices.Contains(trace.Counters, r) {
					t.Errorf("reading %+v is not in the trace", r)
				}
			}
			want := 500 * time.Duration(b.At()-a.At()).Seconds()
			if got := (b.Energy - a.Energy).Joules(); math.Abs(got-want) > 0.01*want {
				t.Errorf("%s: %.2f J between the marks, want %.2f J", a.Device, got, want)
			}
		}
	})
}

func TestMarkGivesUpAfterTheSnapTime(t *testing.T) {
	sampling(t, powerfake.FakeOptions{Refresh: time.Minute}, func(t *testing.T, s *power.Sampler, now func() int64) {
		s.Start(t.Context())
		begin := now()
		readings := s.Mark(t.Context(), 300*time.Millisecond)
		if len(readings) != 1 || readings[0].Snapped {
			t.Errorf("readings %+v, want one unsnapped reading", readings)
		}
		if took := time.Duration(now() - begin); took > 310*time.Millisecond {
			t.Errorf("Mark took %v", took)
		}
		trace := s.Stop(t.Context())
		// Polling continues during a mark.
		if n := len(trace.Samples); n < 13 {
			t.Errorf("%d samples in 300 ms", n)
		}
		if again := s.Mark(t.Context(), time.Second); again != nil {
			t.Errorf("Mark after Stop returned %v", again)
		}
	})
}

func TestTraceCoversStartToStop(t *testing.T) {
	sampling(t, powerfake.FakeOptions{}, func(t *testing.T, s *power.Sampler, now func() int64) {
		time.Sleep(10 * time.Second) // these samples are older than the sampler
		start := now()
		s.CounterInterval = time.Second // whatever a reading costs
		s.Start(t.Context())
		time.Sleep(5 * time.Second)
		trace := s.Stop(t.Context())
		if len(trace.Samples) != 250 || trace.Samples[0].MonoNS <= start || len(trace.Gaps) != 0 {
			t.Errorf("%d samples from %d on (start %d), gaps %v", len(trace.Samples), trace.Samples[0].MonoNS, start,
				trace.Gaps)
		}
		if got := powertest.Integral(trace.Samples, "gpu0", start, now()); math.Abs(got-1500) > 1 {
			t.Errorf("energy %.2f J, want 1500 J", got)
		}
		if n := len(trace.Counters); n < 6 || n > 7 { // every second, and at the end
			t.Errorf("%d counter readings in 5 s", n)
		}
		if trace.Cost.Elapsed != 5*time.Second || trace.Cost.Polls < 50 || trace.Cost.CPU <= 0 {
			t.Errorf("cost %+v", trace.Cost)
		}
		if again := s.Stop(t.Context()); len(again.Samples) != len(trace.Samples) {
			t.Error("the second Stop returned a different trace")
		}
	})
}

func TestFailingMeterLeavesAGap(t *testing.T) {
	sampling(t, powerfake.FakeOptions{FailAfter: 3 * time.Second},
		func(t *testing.T, s *power.Sampler, now func() int64) {
			start := now()
			s.Start(t.Context())
			time.Sleep(8 * time.Second)
			trace := s.Stop(t.Context())
			if len(trace.Gaps) != 1 {
				t.Fatalf("gaps %+v", trace.Gaps)
			}
			g := trace.Gaps[0]
			last := trace.Samples[len(trace.Samples)-1].MonoNS
			if g.Device != "gpu0" || g.StartNS != last || g.EndNS != now() ||
				!strings.Contains(g.Reason, "disappeared") {
				t.Errorf("gap %+v, last sample %d, now %d", g, last, now())
			}
			if last-start > int64(3*time.Second) {
				t.Error("samples after the failure")
			}
			if len(trace.Errors) != 2 || !strings.HasPrefix(trace.Errors[0], "fake: ") {
				t.Errorf("errors %q, want one of the series and one of the counter", trace.Errors)
			}
		})
}

func TestDropoutsAndResets(t *testing.T) {
	opts := powerfake.FakeOptions{
		Dropouts:   []powerfake.Dropout{{From: time.Second, To: 1500 * time.Millisecond}},
		ResetAfter: 3 * time.Second,
	}
	sampling(t, opts, func(t *testing.T, s *power.Sampler, now func() int64) {
		start := now()
		s.Start(t.Context())
		time.Sleep(5500 * time.Millisecond)
		trace := s.Stop(t.Context())
		if len(trace.Gaps) != 2 {
			t.Fatalf("gaps %+v", trace.Gaps)
		}
		drop, reset := trace.Gaps[0], trace.Gaps[1]
		if drop.StartNS-start != int64(980*time.Millisecond) || drop.EndNS-start != int64(1480*time.Millisecond) {
			t.Errorf("dropout %v to %v", time.Duration(drop.StartNS-start), time.Duration(drop.EndNS-start))
		}
		if !strings.Contains(reset.Reason, "backwards") || reset.EndNS-start < int64(3*time.Second) {
			t.Errorf("reset %+v", reset)
		}
		if n := len(trace.Samples); n != 250 {
			t.Errorf("%d samples, want 275 less 25", n)
		}
	})
}

func TestOnPowerIsSlow(t *testing.T) {
	sampling(t, powerfake.FakeOptions{GPUs: 2}, func(t *testing.T, s *power.Sampler, now func() int64) {
		calls := make(map[string]int)
		s.OnPower = func(device string, w unit.Watts) {
			if w != 300 {
				t.Errorf("%s: %v", device, w)
			}
			calls[device]++
		}
		s.Start(t.Context())
		time.Sleep(10 * time.Second)
		s.Stop(t.Context())
		for _, d := range []string{"gpu0", "gpu1"} {
			if calls[d] < 45 || calls[d] > 51 {
				t.Errorf("%s: %d calls in 10 s, want at most 5 a second", d, calls[d])
			}
		}
	})
}

// scripted is a meter whose Poll is written by the test.
type scripted struct {
	power.Meter
	poll func(context.Context, *power.Trace) error
}

func (m scripted) Name() string { return "scripted" }

func (m scripted) Poll(ctx context.Context, t *power.Trace) error { return m.poll(ctx, t) }

func TestPanicIsContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := bubbleClock()
		good := powerfake.NewFake(powerfake.FakeOptions{Now: now})
		polls := 0
		bad := scripted{good, func(context.Context, *power.Trace) error {
			if polls++; polls > 3 {
				panic("broken sensor")
			}
			return nil
		}}
		s := power.NewSampler(bad, powerfake.NewFake(powerfake.FakeOptions{Now: now}))
		s.Now = now
		s.Start(t.Context())
		time.Sleep(3 * time.Second)
		trace := s.Stop(t.Context())
		if polls != 4 {
			t.Errorf("polled %d times, want no more after the panic", polls)
		}
		if len(trace.Errors) != 1 || trace.Errors[0] != "scripted: panic: broken sensor" {
			t.Errorf("errors %q", trace.Errors)
		}
		if len(trace.Gaps) != 1 || trace.Gaps[0].EndNS != now() || len(trace.Samples) != 150 {
			t.Errorf("gaps %+v, %d samples", trace.Gaps, len(trace.Samples))
		}
	})
}

// TestStuckMeterHoldsNobodyUp: Mark and Stop return the data of the other meters.
func TestStuckMeterHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := bubbleClock()
		release := make(chan struct{})
		polls := 0
		stuck := scripted{powerfake.NewFake(powerfake.FakeOptions{Now: now}),
			func(context.Context, *power.Trace) error {
				if polls++; polls > 2 {
					<-release
				}
				return nil
			}}
		s := power.NewSampler(stuck, powerfake.NewFake(powerfake.FakeOptions{Now: now}))
		s.Now = now
		s.Start(t.Context())
		time.Sleep(2 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if readings := s.Mark(ctx, 200*time.Millisecond); len(readings) != 1 || !readings[0].Snapped {
			t.Errorf("readings %+v", readings)
		}
		trace := s.Stop(ctx)
		if len(trace.Samples) < 100 || len(trace.Errors) != 2 {
			t.Errorf("%d samples, errors %q", len(trace.Samples), trace.Errors)
		}
		close(release)
		s.Stop(t.Context())
	})
}

func TestSamplingEndsWithItsContext(t *testing.T) {
	sampling(t, powerfake.FakeOptions{}, func(t *testing.T, s *power.Sampler, now func() int64) {
		ctx, cancel := context.WithCancel(t.Context())
		s.Start(ctx)
		time.Sleep(2 * time.Second)
		cancel()
		time.Sleep(2 * time.Second)
		trace := s.Stop(t.Context())
		if len(trace.Samples) != 100 || len(trace.Errors) != 0 || len(trace.Gaps) != 0 {
			t.Errorf("%d samples, errors %q, gaps %v", len(trace.Samples), trace.Errors, trace.Gaps)
		}
	})
}

func TestErrorsAreRecordedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := bubbleClock()
		fake := powerfake.NewFake(powerfake.FakeOptions{Now: now})
		polls := 0
		s := power.NewSampler(scripted{fake, func(ctx context.Context, trace *power.Trace) error {
			polls++
			if polls%2 == 0 {
				return errors.Join(errors.New("one"), errors.New("two"))
			}
			return fake.Poll(ctx, trace)
		}})
		s.Now = now
		s.Start(t.Context())
		time.Sleep(3 * time.Second)
		trace := s.Stop(t.Context())
		if len(trace.Errors) != 1 || trace.Errors[0] != "scripted: one; two" {
			t.Errorf("errors %q", trace.Errors)
		}
		// The fake delivers the missed samples later, so nothing is missing.
		if len(trace.Gaps) != 0 {
			t.Errorf("gaps %+v", trace.Gaps)
		}
	})
}

func TestMergeGaps(t *testing.T) {
	gap := func(device string, from, to int64) power.Gap {
		return power.Gap{Device: device, Source: "s", StartNS: from, EndNS: to}
	}
	got := power.MergeGaps([]power.Gap{gap("a", 30, 40), gap("a", 5, 20), gap("b", 20, 30), gap("a", 20, 25),
		gap("a", 1, 8), gap("c", 9, 9)}, 10)
	want := []power.Gap{gap("a", 10, 25), gap("a", 30, 40), gap("b", 20, 30)}
	if !slices.Equal(got, want) {
		t.Errorf("MergeGaps = %v, want %v", got, want)
	}
}

func TestFakeNoiseIsSeeded(t *testing.T) {
	run := func(seed uint64) []power.Sample {
		c := newManual()
		m := powerfake.NewFake(powerfake.FakeOptions{Noise: 0.05, Seed: seed, Now: c.now})
		c.pass(20 * time.Second)
		var trace power.Trace
		if err := m.Poll(t.Context(), &trace); err != nil {
			t.Fatal(err)
		}
		return trace.Samples
	}
	a, b, other := run(1), run(1), run(2)
	var sum, squares float64
	for i := range a {
		if a[i].Power != b[i].Power {
			t.Fatal("the same seed gave different numbers")
		}
		x := float64(a[i].Power)/300 - 1
		sum, squares = sum+x, squares+x*x
	}
	n := float64(len(a))
	if sd := math.Sqrt(squares/n - sum*sum/n/n); sd < 0.045 || sd > 0.055 {
		t.Errorf("relative standard deviation %.4f, want 0.05", sd)
	}
	if a[0].Power == other[0].Power {
		t.Error("another seed gave the same numbers")
	}
}

func TestLoads(t *testing.T) {
	load := powerfake.Load{{For: time.Second, Power: 100}, {For: time.Second, Power: 200}, {Power: 50}}
	square := powerfake.Square(100*time.Millisecond, 0.25, 10, 90)
	for _, c := range []struct {
		got, want unit.Watts
	}{
		{load.At(0), 100}, {load.At(999 * time.Millisecond), 100}, {load.At(time.Second), 200},
		{load.At(time.Hour), 50}, {powerfake.Load(nil).At(5), 0},
		{square(0), 90}, {square(24 * time.Millisecond), 90}, {square(26 * time.Millisecond),
			10}, {square(99 * time.Millisecond), 10},
	} {
		if c.got != c.want {
			t.Errorf("load gives %v, want %v", c.got, c.want)
		}
	}
}

// TestCounterReadingsStayCheap: an expensive counter is read less often, unless the caller sets the interval.
func TestCounterReadingsStayCheap(t *testing.T) {
	for _, c := range []struct{ set, cost, want time.Duration }{
		{0, 10 * time.Microsecond, time.Second},
		{0, 4 * time.Millisecond, time.Second},
		{0, 34 * time.Millisecond, 6800 * time.Millisecond}, // eight GPUs
		{time.Second, 34 * time.Millisecond, time.Second},
		{time.Millisecond, 0, 10 * time.Millisecond}, // the self-test reads this often, but no more often
	} {
		if got := power.CounterInterval(c.set, c.cost); got != c.want {
			t.Errorf("set %v, cost %v: interval %v, want %v", c.set, c.cost, got, c.want)
		}
	}
}
