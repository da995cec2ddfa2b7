package sampling

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/powerfake"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/internal/tenants"
	"github.com/llenergymeasure/llem/internal/tick"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

// paced is a meter with an interval of its own.
type paced struct {
	power.Meter
	every time.Duration
}

// Interval returns the interval of the test.
func (p paced) Interval() time.Duration { return p.every }

// TestMargins: a meter that is polled rarely is polled before the window and after it, or its series would not cover
// the window; others hold nothing up.
func TestMargins(t *testing.T) {
	for name, q := range map[string]struct {
		intervals     []time.Duration
		before, after time.Duration
	}{
		"none": {nil, 0, Settle},
		"fast": {[]time.Duration{200 * time.Millisecond, 50 * time.Millisecond}, 0, Settle + 200*time.Millisecond},
		"a wall meter": {[]time.Duration{100 * time.Millisecond, 500 * time.Millisecond}, Settle + 500*time.Millisecond,
			Settle + 500*time.Millisecond},
	} {
		var d Desk
		for _, every := range q.intervals {
			d.Meters = append(d.Meters, paced{every: every})
		}
		if before, after := d.Margins(); before != q.before || after != q.after {
			t.Errorf("%s: %v before and %v after, want %v and %v", name, before, after, q.before, q.after)
		}
	}
}

// TestFalls: power that falls is of a machine that comes to rest; power that rises is not, nor a remote sensor's.
func TestFalls(t *testing.T) {
	const ms = int64(time.Millisecond)
	gpu0 := power.Device{ID: "gpu0", Kind: power.GPU}
	remote := gpu0
	remote.OverNetwork = true
	for name, q := range map[string]struct {
		device power.Device
		slope  float64 // in watts per millisecond
		want   bool
	}{
		"steady":       {gpu0, 0, false},
		"falls":        {gpu0, -0.01, true},
		"rises":        {gpu0, 0.01, false},
		"falls afar":   {remote, -0.01, false},
		"no GPU falls": {power.Device{ID: gpu0.ID, Kind: power.CPU}, -0.01, false},
	} {
		s := Stretch{Window: attribute.Window{Start: 1000 * ms, End: 4000 * ms}}
		for at := int64(520); at <= 4500; at += 20 {
			s.Trace.Samples = append(s.Trace.Samples, power.Sample{MonoNS: at * ms, Device: "gpu0",
				Source: sensor.SourceFake, Window: 20 * time.Millisecond,
				Power: unit.Watts(110 + q.slope*float64(at) + float64(at/20%3))})
		}
		if got := s.falls([]power.Device{q.device}); got != q.want {
			t.Errorf("%s: %v, want %v", name, got, q.want)
		}
	}
}

// TestRest: idle time is sampled again while power falls, and not forever; its limits lie between counter edges.
func TestRest(t *testing.T) {
	for name, q := range map[string]struct {
		power func(time.Duration) unit.Watts
		again int
	}{
		"steady": {nil, 0},
		"settles": {func(at time.Duration) unit.Watts {
			return unit.Watts(80 + 200*math.Exp(-at.Seconds()))
		}, 2},
		"never settles": {func(at time.Duration) unit.Watts { return unit.Watts(1000 - 20*at.Seconds()) }, restTries},
	} {
		synctest.Test(t, func(t *testing.T) {
			clock := tick.Virtual()
			d := Desk{Clock: clock, Meters: []power.Meter{
				powerfake.NewFake(powerfake.FakeOptions{Power: q.power, Now: clock.Mono})}}
			again := 0
			s, err := d.Rest(t.Context(), func(ctx context.Context) error { return clock.Sleep(ctx, 2*time.Second) },
				func() { again++ })
			if err != nil || again != q.again {
				t.Errorf("%s: again %d times, want %d; %v", name, again, q.again, err)
			}
			if s.Window.Duration() != 2*time.Second {
				t.Errorf("%s: %v of idle time", name, s.Window.Duration())
			}
			c := s.Trace.Counters
			if len(c) == 0 || c[0].BeforeNS > s.Window.Start || c[len(c)-1].AfterNS < s.Window.End {
				t.Errorf("%s: the counters were not read around the idle time", name)
			}
		})
	}
}

// TestHarness: the cost of sampling is a share of one processor, and what others took is what is left.
func TestHarness(t *testing.T) {
	second := time.Second
	s := Spent{From: CPUTimes{Self: second, Host: tenants.HostTimes{Cores: 4}},
		To: CPUTimes{Self: 3 * second, Host: tenants.HostTimes{All: 10 * second, Processes: 9 * second, Own: 4 * second,
			Cores: 4}}, Newcomers: second}
	h := s.Harness(power.Cost{CPU: second, Elapsed: 4 * second, Polls: 7, Bytes: 9}, clock.Anchor{SlackNS: 5})
	if h.CPUS != 2 || h.SamplerCPUPct != 25 || h.SamplerPolls != 7 || h.SamplerBytes != 9 || h.ClockSlackNS != 5 {
		t.Errorf("the program's own cost: %+v", h)
	}
	if *h.HostCPUS != 10 || *h.OtherCPUS != 4 || h.HostCores != 4 {
		t.Errorf("the machine: %v s, others %v s on %d processors", *h.HostCPUS, *h.OtherCPUS, h.HostCores)
	}
}
