package poll

import (
	"fmt"
	"time"

	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

// Point polls a single power value. It records a sample when the value has changed, and occasionally while it
// is unchanged (see Changes), so that the series can be integrated as steps. The driver's own stamps are not
// used, because some drivers update them without a new value.
type Point struct {
	// Device and Source name the value in the trace.
	Device, Source string
	// Window is the sensor's averaging time; zero if unknown.
	Window time.Duration

	every   time.Duration
	clocks  power.Clocks
	read    func() (unit.Watts, error)
	changes Changes

	afterNS int64 // end of the newest poll; 0 if it failed
}

// New returns a series that is polled at an interval. The window is the sensor's averaging time, zero if
// unknown.
func New(device, source string, window, every time.Duration, c power.Clocks,
	read func() (unit.Watts, error)) *Point {
	return &Point{Device: device, Source: source, Window: window, every: every, clocks: c, read: read,
		changes: Changes{Interval: every}}
}

// Interval returns the time between two polls.
func (p *Point) Interval() time.Duration { return p.every }

// Resting reports whether the value is not expected to have changed yet.
func (p *Point) Resting(now int64) bool { return p.afterNS != 0 && now < p.changes.rest() }

// Rest returns the time until which a poll is pointless; 0 if it may return a new value now.
func (p *Point) Rest() int64 { return p.changes.rest() }

// Read returns the value now, without recording it.
func (p *Point) Read() (unit.Watts, error) { return p.read() }

// Poll reads the value and appends a sample if it is worth one.
func (p *Point) Poll(t *power.Trace) error {
	before := p.clocks.Mono()
	p.afterNS = 0
	power, err := p.read()
	if err != nil {
		return err
	}
	return p.Take(t, power, before, p.clocks.Mono())
}

// Failed records that there is no value now.
func (p *Point) Failed() { p.afterNS = 0 }

// Take records the power that a call returned between two instants.
func (p *Point) Take(t *power.Trace, power unit.Watts, before, after int64) error {
	p.afterNS = after
	seen := p.changes.Poll(float64(power), before, after)
	if !seen.record {
		return nil
	}
	p.record(t, seen.SinceNS)
	if p.changes.frozen(p.afterNS) {
		// With a sample, this is a warning, not a gap.
		return fmt.Errorf("the power has read exactly %v for %v: the sensor may have stopped", power, frozenAfter)
	}
	return nil
}

func (p *Point) record(t *power.Trace, sinceNS int64) {
	t.Samples = append(t.Samples, power.Sample{
		MonoNS: p.afterNS, UnixNS: p.clocks.Anchor().Unix(p.afterNS), Device: p.Device, Source: p.Source,
		Power: unit.Watts(p.changes.value), Window: p.Window, SinceNS: sinceNS,
	})
}

// Affirm records the value of the latest poll even if it is unchanged. When another device of the meter
// fails, a device without a sample would count as failed too.
func (p *Point) Affirm(t *power.Trace) {
	if p.afterNS > p.changes.recordedNS {
		p.changes.recordedNS = p.afterNS
		p.record(t, 0)
	}
}

// Refresh returns how often the value changed.
func (p *Point) Refresh() sensor.SourceRefresh { return p.changes.Profile(p.Device, p.Source) }
