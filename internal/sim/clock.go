package sim

import (
	"sync/atomic"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/power"
)

// Clock is virtual time inside a testing/synctest bubble: it follows the bubble's
// time.Now, and hands the time on to the imitated library through the shared file,
// each time before somebody could ask that library.
type Clock struct {
	base  int64
	start time.Time
	wall  int64
	file  atomic.Pointer[File]
	// Jitter is how far an anchor may misread the wall clock, either way. Set it before
	// the clock is used.
	Jitter  time.Duration
	anchors int64
}

// virtualBase is CLOCK_MONOTONIC when a virtual clock starts, far from zero so that
// times before it are positive too; virtualWall is the wall clock less that.
const (
	virtualBase = int64(1000 * time.Second)
	virtualWall = int64(1_900_000_000 * time.Second)
)

// NewClock starts a virtual clock. Call it inside the bubble.
func NewClock() *Clock {
	return &Clock{base: virtualBase, start: time.Now(), wall: virtualWall}
}

// attach makes the clock that of a file.
func (c *Clock) attach(f *File) { c.file.Store(f) }

// detach makes the clock forget its file.
func (c *Clock) detach() { c.file.Store(nil) }

// Now is the virtual CLOCK_MONOTONIC.
func (c *Clock) Now() int64 { return c.base + int64(time.Since(c.start)) }

// Mono is Now for whoever calls the imitated library: it first waits for as long as
// that library's calls have taken, which cannot wait by themselves, and then tells
// it the time.
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

// Clocks are those of a meter.
func (c *Clock) Clocks() *power.Clocks { return &power.Clocks{Mono: c.Mono, Anchor: c.Anchor} }

// unix is what the wall clock of a simulation with virtual time shows.
func (f *File) unix(mono int64) int64 {
	at := mono + f.head.wallNS
	if d := f.head.wallAfter; d != 0 && mono >= f.head.epochNS+int64(d) {
		at += int64(f.head.wallStep)
	}
	return at
}

// StepWall makes the wall clock of a simulation jump once, after some time. Under
// real time it is the driver's stamps that jump.
func (f *File) StepWall(after, by time.Duration) {
	f.head.wallStep = by
	f.head.wallAfter = after
}
