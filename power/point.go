package power

import (
	"fmt"
	"time"

	"github.com/llenergymeasure/llem/unit"
)

// pointSeries polls a single value of power. A sample is recorded when the value
// has changed, and now and then while it is held (see changes), so that the series
// can be integrated as steps. A driver's own stamp of a value is not used: some
// drivers renew it without a new value.
type pointSeries struct {
	device  string
	source  string
	window  time.Duration
	every   time.Duration
	clocks  Clocks
	read    func() (unit.Watts, error)
	changes changes

	afterNS int64 // end of the newest poll; 0 if it failed
}

// newPoint makes a series that is polled every so often. The window is the
// sensor's averaging time, zero where it is not known.
func newPoint(device, source string, window, every time.Duration, c Clocks,
	read func() (unit.Watts, error)) *pointSeries {
	return &pointSeries{device: device, source: source, window: window, every: every, clocks: c, read: read,
		changes: changes{interval: every}}
}

func (p *pointSeries) interval() time.Duration { return p.every }

// resting says that nothing is to be expected of a poll now.
func (p *pointSeries) resting(now int64) bool { return p.afterNS != 0 && now < p.changes.rest() }

func (p *pointSeries) poll(t *Trace) error {
	before := p.clocks.Mono()
	p.afterNS = 0
	power, err := p.read()
	if err != nil {
		return err
	}
	return p.take(t, power, before, p.clocks.Mono())
}

// take notes the power that a call returned between two instants.
func (p *pointSeries) take(t *Trace, power unit.Watts, before, after int64) error {
	p.afterNS = after
	seen := p.changes.poll(float64(power), before, after)
	if !seen.record {
		return nil
	}
	p.record(t, seen.sinceNS)
	if p.changes.frozen(p.afterNS) {
		// Beside a sample this is a remark, not a gap.
		return fmt.Errorf("the power has read exactly %v for %v: the sensor may have stopped", power, frozenAfter)
	}
	return nil
}

func (p *pointSeries) record(t *Trace, sinceNS int64) {
	t.Samples = append(t.Samples, Sample{
		MonoNS: p.afterNS, UnixNS: p.clocks.Anchor().Unix(p.afterNS), Device: p.device, Source: p.source,
		Power: unit.Watts(p.changes.value), Window: p.window, SinceNS: sinceNS,
	})
}

// affirm records the value of the newest poll even if it is held. When another
// device of the meter fails, a device without a sample would count as failing too.
func (p *pointSeries) affirm(t *Trace) {
	if p.afterNS > p.changes.recordedNS {
		p.changes.recordedNS = p.afterNS
		p.record(t, 0)
	}
}

func (p *pointSeries) refresh() SourceRefresh { return p.changes.profile(p.device, p.source) }
