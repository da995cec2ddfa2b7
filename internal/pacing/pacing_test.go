package pacing

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/clock"
)

// TestUntil: a wait ends no earlier than its time, at once for a time that is over, and with its context.
func TestUntil(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		p := New()
		start, looked := clock.Mono(), 0
		for i := range int64(4) {
			at := start + i*int64(40*time.Millisecond)
			if !p.Until(t.Context(), at, func() { looked++ }) || clock.Mono() < at {
				t.Errorf("wait %d ended %d ns early", i, at-clock.Mono())
			}
		}
		if !p.Until(t.Context(), clock.Mono()+int64(200*time.Millisecond), func() { looked++ }) || looked < 1 {
			t.Errorf("%d looks within a long wait", looked)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if p.Until(ctx, clock.Mono()+int64(time.Hour), nil) || Until(ctx, clock.Mono()+int64(time.Hour)) {
			t.Error("an hour has passed")
		}
	}()
	<-done
}

// TestLearns: the estimate is what nine of ten wake-ups come later by, within its bound.
func TestLearns(t *testing.T) {
	for name, q := range map[string]struct {
		late func(i int) int64
		want int64 // in µs, ± 10
	}{
		"always 60 µs":              {func(int) int64 { return 60_000 }, 60},
		"one of twenty is late":     {func(i int) int64 { return []int64{30_000, 5e6}[(i%20)/19] }, 30},
		"a busy machine":            {func(int) int64 { return 3e6 }, 100},
		"woken early by signals":    {func(int) int64 { return -1e6 }, 0},
		"evenly from 0 to 80 µs":    {func(i int) int64 { return int64(i*7919%81) * 1000 }, 72},
		"never late":                {func(int) int64 { return 0 }, 0},
		"late first, then punctual": {func(i int) int64 { return max(0, int64(500-i)) * 1e6 }, 0},
	} {
		p := Pacer{}
		for i := range 2000 {
			p.learn(q.late(i))
		}
		if got := (p.early + 500) / 1000; got < q.want-10 || got > q.want+10 {
			t.Errorf("%s: %d µs, want %d", name, got, q.want)
		}
	}
}

// TestTimeline: work comes in the order of its times, and of its indices.
func TestTimeline(t *testing.T) {
	var line Timeline
	for i, at := range []int64{30, 10, 20, 10, 40} {
		line.Add(Due{at, i})
	}
	var got []int
	for line.Next().At < 35 {
		got = append(got, line.Take().I)
	}
	if want := []int{1, 3, 2, 0}; !slices.Equal(got, want) || line.Take().At != 40 || line.Next().At < 1e18 {
		t.Errorf("the order is %v, want %v", got, want)
	}
}
