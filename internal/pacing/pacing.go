// Package pacing waits for absolute times of CLOCK_MONOTONIC on a thread of its own.
//
// A timer of Go's runtime is late by half a millisecond in the median, because it is served by whatever thread polls
// next. The kernel wakes a thread that sleeps in clock_nanosleep with an absolute time within tens of microseconds;
// the default slack of 50 µs, which it may add to save wakeups, is set to 1 ns.
package pacing

import (
	"context"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/clock"
)

// slice bounds one sleep, so that the end of a context is noticed.
const slice = int64(50 * time.Millisecond)

// Own binds the calling goroutine to its thread for the rest of its life and makes the thread's timers exact. The
// thread ends with the goroutine.
func Own() {
	runtime.LockOSThread()
	// Without it the waits are longer by up to 50 µs, and the lag that is measured tells.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
}

// Until waits until a time of CLOCK_MONOTONIC in nanoseconds; it returns false if ctx ends first. It calls waits, if
// not nil, a few times a second.
func Until(ctx context.Context, at int64, waits func()) bool {
	for {
		if ctx.Err() != nil {
			return false
		}
		now := clock.Mono()
		if now >= at {
			return true
		}
		to := unix.NsecToTimespec(min(at, now+slice))
		// An early return, as by a signal, is followed by another wait.
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &to, nil)
		if waits != nil {
			waits()
		}
	}
}
