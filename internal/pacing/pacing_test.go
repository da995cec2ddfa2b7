package pacing

import (
	"context"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/clock"
)

// TestUntil: a wait ends no earlier than its time, at once for a time that is over, and with its context.
func TestUntil(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		Own()
		start, looked := clock.Mono(), 0
		for i := range int64(4) {
			at := start + i*int64(40*time.Millisecond)
			if !Until(t.Context(), at, func() { looked++ }) || clock.Mono() < at {
				t.Errorf("wait %d ended %d ns early", i, at-clock.Mono())
			}
		}
		if looked < 3 {
			t.Errorf("%d looks within three waits", looked)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if Until(ctx, clock.Mono()+int64(time.Hour), nil) {
			t.Error("an hour has passed")
		}
	}()
	<-done
}
