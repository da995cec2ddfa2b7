package clock

import (
	"testing"
	"time"
)

func TestMonoAdvancesWithTime(t *testing.T) {
	before, start := Mono(), time.Now()
	time.Sleep(5 * time.Millisecond)
	elapsed, want := time.Duration(Mono()-before), time.Since(start)
	if diff := (elapsed - want).Abs(); diff > 5*time.Millisecond {
		t.Errorf("monotonic clock advanced %v while time advanced %v", elapsed, want)
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
