package unit

import (
	"testing"
	"time"
)

func TestEnergyIsExact(t *testing.T) {
	var sum Energy
	for range 10 {
		sum += FromJoules(0.1)
	}
	if sum != Joule {
		t.Errorf("ten times 0.1 J = %d µJ, want %d", sum, Joule)
	}
	if got := Watts(250).For(1500 * time.Millisecond); got != 375*Joule {
		t.Errorf("250 W for 1.5 s = %v, want 375 J", got)
	}
}
