package clock

import (
	"testing"
	"time"
)

func TestMonoAdvancesWithTime(t *testing.T) {
	// The inner interval lies within the outer one, however long this goroutine waits for a processor in between.
	outer := time.Now()
	before := Mono()
	inner := time.Now()
	time.Sleep(5 * time.Millisecond)
	least := time.Since(inner)
	elapsed := time.Duration(Mono() - before)
	if most := time.Since(outer); elapsed < least-time.Microsecond || elapsed > most+time.Microsecond {
		t.Errorf("monotonic clock advanced %v while time advanced %v to %v", elapsed, least, most)
	}
}

func TestAnchorRoundTrip(t *testing.T) {
	a := Now()
	if a.SlackNS < 0 || a.SlackNS > int64(10*time.Millisecond) {
		t.Errorf("slack = %d ns, want a small non-negative width", a.SlackNS)
	}
	for _, mono := range []int64{a.MonoNS, a.MonoNS + 12345, a.MonoNS - 1e12} {
		if got := a.FromUnix(a.Unix(mono)); got != mono {
			t.Errorf("FromUnix(Unix(%d)) = %d", mono, got)
		}
	}
	if diff := time.Since(a.Time(Mono())).Abs(); diff > time.Second {
		t.Errorf("anchored time differs from the wall clock by %v", diff)
	}
}
