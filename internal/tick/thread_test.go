package tick

import (
	"testing"
	"time"
)

// TestOnThread: computing takes processor time, waiting does not.
func TestOnThread(t *testing.T) {
	x := 0
	busy := OnThread(func() {
		for range 5_000_000 {
			x++
		}
	})
	idle := OnThread(func() { time.Sleep(20 * time.Millisecond) })
	if busy <= idle {
		t.Errorf("%v of processor time for computing, %v for waiting", busy, idle)
	}
}
