// Package tick has a clock that tests can replace, and the processor time of a thread.
package tick

import (
	"context"
	"time"

	"github.com/llenergymeasure/llem/clock"
)

// Clock is a replaceable clock. The zero value is the machine's clock.
type Clock struct{ mono func() int64 }

// virtualStart is CLOCK_MONOTONIC when virtual clocks start, so large that earlier times are positive too.
const virtualStart = int64(1000 * time.Second)

// Virtual returns a clock for a testing/synctest bubble, in which it must be called: timers and time.Now are
// virtual there, but CLOCK_MONOTONIC is not. It starts now and follows time.Now.
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

// Time returns the wall clock's time, which also governs deadlines of contexts.
func (Clock) Time() time.Time { return time.Now() }

// Since returns the seconds since a time of the monotonic clock.
func (c Clock) Since(mono int64) float64 { return float64(c.Mono()-mono) / 1e9 }

// Sleep waits for d, or returns early with the context's cause.
func (Clock) Sleep(ctx context.Context, d time.Duration) error { return clock.Sleep(ctx, d) }
