package poll

import (
	"testing"
	"time"
)

const ms = int64(time.Millisecond)

// TestChangesAfterAPause: an unobserved change is recorded without an interval; neither it nor a long pause
// affects the refresh period.
func TestChangesAfterAPause(t *testing.T) {
	c := Changes{Interval: 5 * time.Millisecond}
	at := int64(time.Hour)
	for i := range int64(20) {
		at += 5 * ms
		c.Poll(float64(i), at, at+1)
	}
	if c.refresh != 5*time.Millisecond {
		t.Fatalf("refresh %v", c.refresh)
	}
	at += 3600 * 1000 * ms
	if v := c.Poll(99, at, at+1); !v.record || v.SinceNS != 0 {
		t.Errorf("after a pause: %+v, want a held sample", v)
	}
	if c.frozen(at + 1) {
		t.Error("a sensor that was not polled for an hour is reported as frozen")
	}
	at += 5 * ms
	if v := c.Poll(98, at, at+1); v.SinceNS != at-5*ms {
		t.Errorf("after polling resumed: %+v", v)
	}
	if c.refresh != 5*time.Millisecond {
		t.Errorf("refresh %v after a pause", c.refresh)
	}
}

func TestChangesHold(t *testing.T) {
	for _, x := range []struct {
		interval, refresh, want time.Duration
	}{
		{5 * time.Millisecond, 0, 40 * time.Millisecond},
		{5 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond},
		{5 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond},
		{5 * time.Millisecond, time.Second, 250 * time.Millisecond},
		{50 * time.Millisecond, 0, 50 * time.Millisecond},
		{500 * time.Millisecond, 30 * time.Second, 500 * time.Millisecond},
	} {
		c := Changes{Interval: x.interval, refresh: x.refresh}
		at := int64(time.Hour)
		c.Poll(1, at, at)
		for {
			at += int64(x.interval)
			if c.Poll(1, at, at).record {
				break
			}
		}
		if got := time.Duration(at - int64(time.Hour)); got != x.want {
			t.Errorf("interval %v, refresh %v: held %v, want %v", x.interval, x.refresh, got, x.want)
		}
	}
}

func TestChangesRefreshForgets(t *testing.T) {
	c := Changes{Interval: 5 * time.Millisecond}
	at, value := int64(time.Hour), 0.0
	run := func(n int, every int64) {
		for range n {
			for range every / 5 {
				at += 5 * ms
				c.Poll(value, at, at+1)
			}
			value++
		}
	}
	run(200, 100)
	run(100, 20)
	if c.refresh != 20*time.Millisecond {
		t.Errorf("refresh %v, want the current 20 ms", c.refresh)
	}
	if len(c.steps) > stepsKept {
		t.Errorf("%d steps kept", len(c.steps))
	}
}

func TestChangesFrozen(t *testing.T) {
	c := Changes{Interval: time.Second}
	at, said := int64(time.Hour), 0
	for range 200 {
		at += 1000 * ms
		c.Poll(1, at, at)
		if c.frozen(at) {
			said++
		}
	}
	if said != 1 {
		t.Errorf("reported %d times as frozen, want once", said)
	}
	at += 1000 * ms
	c.Poll(2, at, at)
	if c.frozen(at) {
		t.Error("reported as frozen although it changed")
	}
}
