package power

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/clock"
)

// Clocks are the time sources of a meter, so that tests run in simulated time.
type Clocks struct {
	// Mono is CLOCK_MONOTONIC in nanoseconds.
	Mono func() int64
	// Anchor reads the monotonic and the wall clock together.
	Anchor func() clock.Anchor
}

func systemClocks() Clocks { return Clocks{Mono: clock.Mono, Anchor: clock.Now} }

// threadCPU is the processor time of the calling thread. Two readings can be
// compared only by a goroutine that is locked to its thread.
func threadCPU() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// onThread runs f on a thread of its own and returns the processor time it took.
func onThread(f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := threadCPU()
	f()
	return threadCPU() - start
}
