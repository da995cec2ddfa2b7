package clock

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestSleep: Sleep waits the whole time, or returns the cause when the context ends.
func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := Sleep(t.Context(), time.Hour); err != nil || time.Since(start) != time.Hour {
			t.Errorf("%v after %v, want nil after an hour", err, time.Since(start))
		}
		ctx, end := context.WithCancelCause(t.Context())
		why := errors.New("why")
		time.AfterFunc(time.Minute, func() { end(why) })
		start = time.Now()
		if err := Sleep(ctx, time.Hour); !errors.Is(err, why) || time.Since(start) != time.Minute {
			t.Errorf("%v after %v, want the cause after a minute", err, time.Since(start))
		}
		if err := Sleep(ctx, 0); !errors.Is(err, why) {
			t.Errorf("%v of no wait, want the cause of the ended context", err)
		}
		if err := Sleep(t.Context(), -1); err != nil {
			t.Errorf("%v of no wait", err)
		}
	})
}
