// Package sampling reads the meters of a machine around an interval: the window of a run, or idle time.
//
//	before | edge | interval | edge | after
//
// Sampling begins before the interval and ends after it, and the energy counters are read at both limits until they
// change. What the trace means is computed elsewhere.
package sampling

import (
	"cmp"
	"context"
	"time"

	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/join"
	"github.com/llenergymeasure/llem/internal/tick"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

const (
	// snapTimeout is how long to wait for an energy counter to change at a limit; the slowest known refresh period is
	// 500 ms.
	snapTimeout = 600 * time.Millisecond
	// counterInterval is the time between counter readings in an interval, where they only detect a reset: one read of
	// NVML's counter keeps a core busy for 4 ms.
	counterInterval = 5 * time.Second
	// Settle is how long sampling continues after idle time, so that the last samples of every sensor arrive; it is
	// also the minimum after a window, see [Desk.Margins].
	Settle = 150 * time.Millisecond
	// stopWithin bounds the wait for sensors when sampling ends.
	stopWithin = 5 * time.Second
)

// Desk has the meters and the clock of an interval.
type Desk struct {
	// Meters are read by one interval at a time.
	Meters []power.Meter
	// Clock is the time of the meters.
	Clock tick.Clock
	// Counters is the time between counter readings in an interval; 0 is 5 s, enough to detect a reset.
	Counters time.Duration
	// OnPower, if set, receives the newest power of a device; it must return quickly.
	OnPower func(device string, w unit.Watts)
}

// Devices returns the devices of all meters.
func (d Desk) Devices() []power.Device {
	var all []power.Device
	for _, m := range d.Meters {
		all = append(all, m.Devices()...)
	}
	return all
}

// Sampler returns a sampler over all meters.
func (d Desk) Sampler() *power.Sampler {
	s := power.NewSampler(d.Meters...)
	s.CounterInterval, s.Now, s.OnPower = cmp.Or(d.Counters, counterInterval), d.Clock.Mono, d.OnPower
	return s
}

// Margins are how long sampling goes before the window and after it: until every meter was polled. What one that is
// polled twice a second shows is known from its first value on, and up to the window's end only by its next one. They
// are asked before sampling begins. The fast ones are ready in the time that the counters take.
func (d Desk) Margins() (before, after time.Duration) {
	var slowest time.Duration
	for _, m := range d.Meters {
		slowest = max(slowest, m.Interval())
	}
	if after = Settle + slowest; slowest > 2*Settle {
		before = after
	}
	return before, after
}

// Mark reads the counters at their next change. It does not wait for a sensor that does not answer.
func Mark(ctx context.Context, s *power.Sampler) {
	ctx, cancel := context.WithTimeout(ctx, snapTimeout+2*time.Second)
	defer cancel()
	s.Mark(ctx, snapTimeout)
}

// Stopped ends sampling, also after an error, within a time limit.
func Stopped(ctx context.Context, s *power.Sampler) power.Trace {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	return s.Stop(ctx)
}

// Stretch is an interval of idle time, with what was sampled.
type Stretch struct {
	Window attribute.Window
	Trace  power.Trace
}

// Idle samples while wait waits, with a counter edge on both sides.
func (d Desk) Idle(ctx context.Context, wait func(context.Context) error) (s Stretch, err error) {
	sampler := d.Sampler()
	sampler.Start(ctx)
	Mark(ctx, sampler)
	s.Window.Start = d.Clock.Mono()
	err = wait(ctx)
	s.Window.End = d.Clock.Mono()
	if err == nil {
		Mark(ctx, sampler)
		err = d.Clock.Sleep(ctx, Settle)
	}
	s.Trace = Stopped(ctx, sampler)
	return s, err
}

// restTries is how often idle time is sampled again while power is falling. An H200 falls from 140 to 80 W within
// 5 s after another process.
const restTries = 4

// Rest is [Desk.Idle], sampled again while the power of a GPU is falling; again is called before each time.
func (d Desk) Rest(ctx context.Context, wait func(context.Context) error, again func()) (Stretch, error) {
	s, err := d.Idle(ctx, wait)
	for range restTries {
		if err != nil || !s.falls(d.Devices()) {
			break
		}
		again()
		s, err = d.Idle(ctx, wait)
	}
	return s, err
}

// falls reports whether the power of a GPU fell significantly while it should be idle.
func (s Stretch) falls(devices []power.Device) bool {
	for _, d := range devices {
		if d.Kind != power.GPU || d.OverNetwork {
			continue
		}
		if i := join.Idle(s.Trace, d.ID, s.Window); join.Drifts(i) && i.DriftW < 0 {
			return true
		}
	}
	return false
}
