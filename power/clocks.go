package power

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/clock"
)

// clocks are the time sources of a meter, so that tests run in simulated time.
type clocks struct {
	mono   func() int64
	anchor func() clock.Anchor
}

func systemClocks() clocks { return clocks{mono: clock.Mono, anchor: clock.Now} }

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
