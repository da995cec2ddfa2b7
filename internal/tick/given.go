// Package tick has a clock that is given to what runs by it, which tests replace, and the
// processor time of a thread.
package tick

import (
	"context"
	"time"

	"github.com/llenergymeasure/llem/clock"
)

// Clock is a clock that is given to what runs by it. The zero value is the machine's own.
type Clock struct{ mono func() int64 }

// virtualStart is the CLOCK_MONOTONIC at which virtual clocks start, far from zero so
// that times before it are positive too.
const virtualStart = int64(1000 * time.Second)

// Virtual returns a clock for a testing/synctest bubble, in which it is called: timers and
// time.Now are virtual there, CLOCK_MONOTONIC is not. It starts now and follows time.Now.
func Virtual() Clock {
	start := time.Now()
	return Clock{mono: func() int64 { return virtualStart + int64(time.Since(start)) }}
}

// Mono returns CLOCK_MONOTONIC in nanoseconds.
func (c Clock) Mono() int64 {
	if c.mono == nil {
		return clock.Mono()
	}
	return c.mono()
}

// Anchor ties the monotonic clock to the wall clock.
func (c Clock) Anchor() clock.Anchor {
	if c.mono == nil {
		return clock.Now()
	}
	return clock.Anchor{MonoNS: c.mono(), UnixNS: time.Now().UnixNano()}
}

// Time returns the time of the wall clock, by which contexts end, too.
func (Clock) Time() time.Time { return time.Now() }

// Since returns the seconds since a time of the monotonic clock.
func (c Clock) Since(mono int64) float64 { return float64(c.Mono()-mono) / 1e9 }

// Sleep waits for d, or returns early with the context's cause.
func (Clock) Sleep(ctx context.Context, d time.Duration) error { return clock.Sleep(ctx, d) }
