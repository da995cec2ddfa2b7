package powertest

import (
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/power"
)

// Clocks run by now, in nanoseconds; the wall clock runs an hour ahead of it.
func Clocks(now func() int64) power.Clocks {
	return power.Clocks{Mono: now, Anchor: func() clock.Anchor {
		at := now()
		return clock.Anchor{MonoNS: at, UnixNS: at + int64(time.Hour)}
	}}
}
