package clock

import (
	"context"
	"time"
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
