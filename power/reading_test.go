package power_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/internal/powerfake"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

// TestAt: a reading holds at the middle of its call, a snapped one at the middle of the interval that
// contains the update.
func TestAt(t *testing.T) {
	for name, q := range map[string]struct {
		r    power.Reading
		want int64
	}{
		"any":                    {power.Reading{BeforeNS: 100, AfterNS: 140}, 120},
		"snapped":                {power.Reading{BeforeNS: 100, AfterNS: 140, Snapped: true, SinceNS: 60}, 100},
		"snapped, unknown since": {power.Reading{BeforeNS: 100, AfterNS: 140, Snapped: true}, 120},
		"not snapped":            {power.Reading{BeforeNS: 100, AfterNS: 140, SinceNS: 60}, 120},
	} {
		if got := q.r.At(); got != q.want {
			t.Errorf("%s: at %d, want %d", name, got, q.want)
		}
	}
}

// TestSaw: polls of a process merge into one interval with the largest load, in any order.
func TestSaw(t *testing.T) {
	at := func(device string, pid int, from, to int64, busy *float64, worked int64) power.Presence {
		return power.Presence{Device: device, PID: pid, FirstNS: from, LastNS: to, BusyPct: busy, BusyNS: worked}
	}
	var trace power.Trace
	little, much := new(3.0), new(97.0)
	for _, p := range []power.Presence{at("gpu0", 7, 20, 30, nil, 0), at("gpu0", 7, 10, 15, much, 15),
		at("gpu0", 7, 22, 40, little, 0), at("gpu0", 8, 1, 2, nil, 0), at("gpu1", 7, 50, 60, little, 0),
		at("gpu0", 7, 25, 26, nil, 0)} {
		trace.Saw(p)
	}
	want := []power.Presence{at("gpu0", 7, 10, 40, much, 15), at("gpu0", 8, 1, 2, nil, 0),
		at("gpu1", 7, 50, 60, little, 0)}
	if !slices.Equal(trace.Processes, want) {
		t.Errorf("%v, want %v", trace.Processes, want)
	}
}

// TestBetweenReads: a counter that keeps a core busy is read at most half of the time.
func TestBetweenReads(t *testing.T) {
	const ms = int64(time.Millisecond)
	for took, want := range map[int64]time.Duration{0: 2 * time.Millisecond, 4 * ms: 8 * time.Millisecond,
		300 * ms: 20 * time.Millisecond} {
		if got := power.BetweenReads([]power.Reading{{BeforeNS: 7, AfterNS: 8},
			{BeforeNS: ms, AfterNS: ms + took}}); got != want {
			t.Errorf("after reads of %v: %v, want %v", time.Duration(took), got, want)
		}
	}
}

// counted is a meter with two counters: the fast one changes at each read, the slow one every 100 ms.
type counted struct {
	power.Meter
	now   func() int64
	reads []power.Reading // of the fast one
}

func (m *counted) Counters(context.Context) ([]power.Reading, error) {
	before := m.now()
	time.Sleep(time.Millisecond)
	fast := power.Reading{Device: "gpu0", BeforeNS: before, AfterNS: m.now(), Energy: unit.Energy(len(m.reads))}
	slow := fast
	slow.Device, slow.Energy = "gpu1", unit.Energy(before/int64(100*time.Millisecond))
	m.reads = append(m.reads, fast)
	return []power.Reading{fast, slow}, nil
}

// TestMarkKeepsTheFirstChange: Mark returns the first change of each counter, even if others change later.
// The update follows the start of the last read that did not see it.
func TestMarkKeepsTheFirstChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := bubbleClock()
		m := &counted{Meter: powerfake.NewFake(powerfake.FakeOptions{GPUs: 2, Now: now}), now: now}
		s := power.NewSampler(m)
		s.Now = now
		s.CounterInterval = time.Hour
		s.Start(t.Context())
		time.Sleep(30 * time.Millisecond)
		synctest.Wait()
		already := len(m.reads)
		got := s.Mark(t.Context(), time.Second)
		s.Stop(t.Context())
		if len(got) != 2 || !got[0].Snapped || !got[1].Snapped {
			t.Fatalf("%+v, want two snapped readings", got)
		}
		first, second := m.reads[already], m.reads[already+1]
		if got[0].Energy != second.Energy || got[0].SinceNS != first.BeforeNS {
			t.Errorf("%+v, want the first change, %+v, since the read before it began, %d", got[0], second,
				first.BeforeNS)
		}
		if from, to := got[1].SinceNS%1e8, got[1].AfterNS%1e8; from < to {
			t.Errorf("%+v, want an interval that contains a change of the slow counter", got[1])
		}
	})
}
