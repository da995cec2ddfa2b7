package clock

import (
	"context"
	"time"
)

// Sleep waits for d, or returns early with the context's cause. If the context has already ended, it returns
// the cause for any d. All waits of the program use it.
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
