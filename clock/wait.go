package clock

import (
	"context"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Sleep waits for d, or returns early with the context's cause. It is the one wait of the
// program: a context that has ended gives its cause, whatever d is.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ThreadCPU returns the processor time of the calling thread. Two readings can be
// compared only by a goroutine that is locked to its thread.
func ThreadCPU() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// OnThread runs f on a thread of its own and returns the processor time it took.
func OnThread(f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := ThreadCPU()
	f()
	return ThreadCPU() - start
}
