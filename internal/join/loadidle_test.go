package join

import (
	"math"
	"testing"
)

// TestIdleBetweenArrivals: one request a second of 480 ms leaves 520 ms of idle power each.
func TestIdleBetweenArrivals(t *testing.T) {
	m, rec := offered(1000, 20_000)
	Compute(m, rec, nil)
	l := rec.Load
	if want := 0.52 * rec.Window.DurationS; math.Abs(l.IdleS-want) > 1 {
		t.Errorf("idle for %v s, want about %v", l.IdleS, want)
	}
	if l.IdleJ == nil {
		t.Fatalf("no idle energy: %s", l.EnergyReason)
	}
	if want := idleW * l.IdleS; l.IdleJ.CI95[0] > want || l.IdleJ.CI95[1] < want ||
		math.Abs(l.IdleJ.Value-want) > 0.1*want {
		t.Errorf("idle %v J in %v, want %v", l.IdleJ.Value, l.IdleJ.CI95, want)
	}
}
