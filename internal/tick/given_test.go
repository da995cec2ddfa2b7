package tick

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/clock"
)

// TestVirtual: in a bubble, the monotonic clock advances with the virtual time, and only
// with it.
func TestVirtual(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Virtual()
		start, wall := c.Mono(), c.Time()
		if start <= 0 || c.Mono() != start {
			t.Errorf("%d, then %d ns without a wait", start, c.Mono())
		}
		if err := c.Sleep(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := c.Since(start); got != 3600 {
			t.Errorf("%v s after an hour", got)
		}
		if a := c.Anchor(); a.MonoNS != c.Mono() || !a.Time(start).Equal(wall) {
			t.Errorf("anchor %+v does not map the start to %v", a, wall)
		}
	})
}

// TestZeroClock is the machine's.
func TestZeroClock(t *testing.T) {
	var c Clock
	if d := c.Mono() - clock.Mono(); d > 0 || d < -int64(time.Minute) {
		t.Errorf("differs from CLOCK_MONOTONIC by %d ns", d)
	}
	if d := c.Anchor().Unix(c.Mono()) - c.Time().UnixNano(); d > int64(time.Minute) || d < -int64(time.Minute) {
		t.Errorf("differs from the wall clock by %d ns", d)
	}
}
