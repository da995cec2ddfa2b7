package power

import "github.com/llenergymeasure/llem/clock"

// Clocks are the time sources of a meter, so that tests run in simulated time.
type Clocks struct {
	// Mono returns CLOCK_MONOTONIC in nanoseconds.
	Mono func() int64
	// Anchor reads the monotonic and the wall clock together.
	Anchor func() clock.Anchor
}

// SystemClocks returns the clocks of this machine.
func SystemClocks() Clocks { return Clocks{Mono: clock.Mono, Anchor: clock.Now} }
