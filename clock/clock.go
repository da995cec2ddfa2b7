// Package clock reads the clock that all parts of llem share.
//
// Power samples, engine steps and measuring windows are stamped in nanoseconds of CLOCK_MONOTONIC. It is the
// clock of Python's time.monotonic_ns and of std::chrono::steady_clock. It never jumps with the wall clock,
// and it is the same in all processes of a kernel (except in time namespaces, which the worker handshake
// detects). Go's time.Time hides its monotonic reading, hence this package.
package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// Mono returns CLOCK_MONOTONIC in nanoseconds.
func Mono() int64 {
	var ts unix.Timespec
	// The call cannot fail for this clock on Linux: the only documented errors
	// are a bad pointer and an unknown clock.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}

// Anchor ties the monotonic clock to the wall clock at one instant.
type Anchor struct {
	MonoNS int64 // CLOCK_MONOTONIC
	UnixNS int64 // wall clock at the same instant
	// SlackNS is the width of the monotonic interval in which the wall clock was read. The error of the
	// anchor is at most half of it.
	SlackNS int64
}

// Now reads both clocks a few times and keeps the tightest pair.
func Now() Anchor {
	var best Anchor
	for i := range 5 {
		before := Mono()
		wall := time.Now().UnixNano()
		after := Mono()
		a := Anchor{MonoNS: before + (after-before)/2, UnixNS: wall, SlackNS: after - before}
		if i == 0 || a.SlackNS < best.SlackNS {
			best = a
		}
	}
	return best
}

// Unix maps a monotonic stamp to wall-clock nanoseconds.
func (a Anchor) Unix(mono int64) int64 { return a.UnixNS + (mono - a.MonoNS) }

// FromUnix maps a wall-clock stamp in nanoseconds to the monotonic clock.
func (a Anchor) FromUnix(unix int64) int64 { return a.MonoNS + (unix - a.UnixNS) }

// Time maps a monotonic stamp to a wall-clock time in UTC.
func (a Anchor) Time(mono int64) time.Time { return time.Unix(0, a.Unix(mono)).UTC() }
