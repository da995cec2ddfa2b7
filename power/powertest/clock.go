package powertest

import (
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/power"
)

// Clocks returns clocks driven by now, in nanoseconds; the wall clock is one hour ahead.
func Clocks(now func() int64) power.Clocks {
	return power.Clocks{Mono: now, Anchor: func() clock.Anchor {
		at := now()
		return clock.Anchor{MonoNS: at, UnixNS: at + int64(time.Hour)}
	}}
}
