package sim

import (
	"sync/atomic"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/power"
)

// Clock is virtual time inside a testing/synctest bubble: it follows the bubble's time.Now, and passes the
// time to the fake library through the shared file before each call of the library.
type Clock struct {
	base  int64
	start time.Time
	wall  int64
	file  atomic.Pointer[File]
	// Jitter is the largest error of an anchor's wall clock, in either direction. Set it before the clock is
	// used.
	Jitter  time.Duration
	anchors int64
}

// virtualBase is CLOCK_MONOTONIC when a virtual clock starts, so large that earlier times are positive too;
// virtualWall is the wall clock minus it.
const (
	virtualBase = int64(1000 * time.Second)
	virtualWall = int64(1_900_000_000 * time.Second)
)

// NewClock starts a virtual clock. Call it inside the bubble.
func NewClock() *Clock {
	return &Clock{base: virtualBase, start: time.Now(), wall: virtualWall}
}

// attach sets the file to which the clock passes its time.
func (c *Clock) attach(f *File) { c.file.Store(f) }

// detach removes the file.
func (c *Clock) detach() { c.file.Store(nil) }

// Now returns the virtual CLOCK_MONOTONIC.
func (c *Clock) Now() int64 { return c.base + int64(time.Since(c.start)) }

// Mono is Now for callers of the fake library. It first waits for the duration of the library's calls, which
// cannot wait themselves, and then passes the time to the library.
func (c *Clock) Mono() int64 {
	f := c.file.Load()
	if f == nil {
		return c.Now()
	}
	if spent := f.head.spentNS.Swap(0); spent > 0 {
		time.Sleep(time.Duration(spent))
	}
	now := c.Now()
	f.head.nowNS.Store(now)
	return now
}

// Anchor reads the virtual clocks.
func (c *Clock) Anchor() clock.Anchor {
	now := c.Mono()
	a := clock.Anchor{MonoNS: now, UnixNS: now + c.wall}
	if f := c.file.Load(); f != nil {
		a.UnixNS = f.unix(now)
	}
	if c.Jitter > 0 {
		c.anchors++
		a.UnixNS += int64((2*uniform(7, ringNoise+400, c.anchors) - 1) * float64(c.Jitter))
	}
	return a
}

// Clocks returns the clocks for a meter.
func (c *Clock) Clocks() *power.Clocks { return &power.Clocks{Mono: c.Mono, Anchor: c.Anchor} }

// unix returns the wall clock of a simulation with virtual time.
func (f *File) unix(mono int64) int64 {
	at := mono + f.head.wallNS
	if d := f.head.wallAfter; d != 0 && mono >= f.head.epochNS+int64(d) {
		at += int64(f.head.wallStep)
	}
	return at
}

// StepWall makes the wall clock of a simulation jump once, after some time. In real time, the driver's stamps
// jump.
func (f *File) StepWall(after, by time.Duration) {
	f.head.wallStep = by
	f.head.wallAfter = after
}
