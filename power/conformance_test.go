package power_test

import (
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/powerfake"
	"github.com/llenergymeasure/llem/power/powertest"
)

// bubbleClock returns CLOCK_MONOTONIC of a synctest bubble.
func bubbleClock() func() int64 {
	base := time.Now()
	return func() int64 { return int64(time.Since(base)) + int64(time.Hour) }
}

func TestFakeConforms(t *testing.T) {
	powertest.Run(t, func(t *testing.T) powertest.Subject {
		now := bubbleClock()
		opened := now()
		m := powerfake.NewFake(powerfake.FakeOptions{GPUs: 2, Latency: time.Millisecond, Now: now})
		return powertest.Subject{Meter: m, Now: now, OpenedNS: opened, Power: 300}
	})
}

// manual is a clock that a test advances.
type manual struct{ ns int64 }

func newManual() *manual { return &manual{ns: int64(time.Hour)} }

func (m *manual) now() int64 { return m.ns }

func (m *manual) pass(d time.Duration) { m.ns += int64(d) }
