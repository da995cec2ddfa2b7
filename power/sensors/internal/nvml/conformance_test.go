package nvml

import (
	"testing"
	"time"

	"github.com/llenergymeasure/llem/power/powertest"
)

// bubbleClock returns CLOCK_MONOTONIC of a synctest bubble.
func bubbleClock() func() int64 {
	base := time.Now()
	return func() int64 { return int64(time.Since(base)) + int64(time.Hour) }
}

func TestNVMLConforms(t *testing.T) {
	powertest.Run(t, func(t *testing.T) powertest.Subject {
		now := bubbleClock()
		opened := now()
		m := openFake(t, newFakeLib(2, 450, now), now)
		return powertest.Subject{Meter: m, Now: now, OpenedNS: opened, Power: 450}
	})
}

func TestNVMLPointsConform(t *testing.T) {
	powertest.Run(t, func(t *testing.T) powertest.Subject {
		now := bubbleClock()
		opened := now()
		m := openFake(t, withoutRing(newFakeLib(2, 450, now)), now)
		return powertest.Subject{Meter: m, Now: now, OpenedNS: opened, Power: 450}
	})
}

func TestGraceHopperConforms(t *testing.T) {
	powertest.Run(t, func(t *testing.T) powertest.Subject {
		now := bubbleClock()
		opened := now()
		return powertest.Subject{Meter: openFake(t, newHopperModule(now), now), Now: now,
			OpenedNS: opened}
	})
}
