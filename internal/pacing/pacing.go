// Package pacing waits for absolute times of CLOCK_MONOTONIC on a thread of its own.
//
// A timer of Go's runtime is late by half a millisecond in the median, because it is served by whatever thread polls
// next. The kernel wakes a thread that sleeps in clock_nanosleep with an absolute time within tens of microseconds;
// the default slack of 50 µs, which it may add to save wakeups, is set to 1 ns. What is left is learnt: the thread is
// woken earlier by as much as it usually comes late, and turns idly until the time has come.
package pacing

import (
	"context"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/clock"
)

const (
	// slice bounds one sleep, so that the end of a context is noticed.
	slice = int64(50 * time.Millisecond)
	// mostEarly bounds how much earlier a thread is woken, and so how long it turns idly.
	mostEarly = int64(100 * time.Microsecond)
	// later and sooner are how far the estimate follows a wake-up that is later or sooner: by their ratio, nine of ten
	// come sooner.
	later, sooner = int64(9 * time.Microsecond), int64(time.Microsecond)
)

// Pacer waits on the thread of the goroutine that made it.
type Pacer struct {
	// early is about how late nine of ten wake-ups come, in nanoseconds.
	early int64
}

// New binds the calling goroutine to its thread for the rest of its life and makes the thread's timers exact. The
// thread ends with the goroutine.
func New() *Pacer {
	runtime.LockOSThread()
	// Without it the waits are longer by up to 50 µs, and the lag that is measured tells.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	return &Pacer{}
}

// Until waits until a time of CLOCK_MONOTONIC in nanoseconds; it returns false if ctx ends first. In a long wait it
// calls waits, if not nil, some times a second.
func (p *Pacer) Until(ctx context.Context, at int64, waits func()) bool {
	for {
		if ctx.Err() != nil {
			return false
		}
		now := clock.Mono()
		if now >= at-p.early {
			for now < at {
				now = clock.Mono()
			}
			return true
		}
		to := min(at-p.early, now+slice)
		p.learn(sleep(to))
		if waits != nil && to < at-p.early {
			waits()
		}
	}
}

// learn follows how late wake-ups come.
func (p *Pacer) learn(late int64) {
	switch {
	case late < 0: // a signal
	case late > p.early:
		p.early = min(mostEarly, p.early+later)
	default:
		p.early = max(0, p.early-sooner)
	}
}

// Until waits like a [Pacer], on any thread, and is later.
func Until(ctx context.Context, at int64) bool {
	for ctx.Err() == nil {
		now := clock.Mono()
		if now >= at {
			return true
		}
		sleep(min(at, now+slice))
	}
	return false
}

// sleep sleeps until a time, and returns how much later it is.
func sleep(to int64) int64 {
	spec := unix.NsecToTimespec(to)
	// An early return, as by a signal, is followed by another wait.
	_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &spec, nil)
	return clock.Mono() - to
}
