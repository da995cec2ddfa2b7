package doctor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

// otherPulses is the number of pulses for the other ways to read. Their values change about ten times a
// second, so the pulses are longer.
const otherPulses = 36

// others fits how the ways to read that are not the series respond to a load: polled values beside a ring,
// and the counter's differences. They are polled without the sampler, which would delay them.
func (t *tester) others(ctx context.Context, load Load) error {
	polls := t.otherCalls(load)
	if len(polls) == 0 {
		return nil
	}
	t.say("%d longer pulses, for the other ways to read (17 s)", otherPulses)
	rng := rand.New(rand.NewPCG(5, 6))
	pattern := []backend.Pulse{{Off: 1200 * time.Millisecond}} // an average over a second forgets the time before
	for range otherPulses {
		pattern = append(pattern,
			backend.Pulse{On: time.Duration(60+300*rng.Float64()) * time.Millisecond,
				Off: time.Duration(60+300*rng.Float64()) * time.Millisecond})
	}
	pattern[len(pattern)-1].Off += 1200 * time.Millisecond
	span := attribute.Window{Start: t.Now()}
	stop := make(chan struct{})
	polled := make(chan error, 1)
	go func() { polled <- t.pollAll(ctx, polls, stop) }()
	edges, err := load.Pulse(ctx, pattern)
	close(stop)
	if pollErr := <-polled; err == nil {
		err = pollErr
	}
	if err != nil {
		return err
	}
	span.End = t.Now()
	for _, p := range polls {
		k, err := attribute.FitKernel(p.samples, windows(edges), span)
		if err != nil {
			t.skip(fmt.Sprintf("window and lag of %s (%s)", p.device.Device, p.call.Source), err.Error())
			continue
		}
		s := kernelOf(p.call.Source, k, len(edges))
		s.Energy = p.call.Energy
		p.device.Others = append(p.device.Others, *s)
	}
	return nil
}

// poll is one way to read and its values.
type poll struct {
	device  *Device
	call    sensor.Call
	samples []power.Sample

	value   float64
	sinceNS int64 // start of the last call that returned the old value; 0 before the first change
	changed int64 // when the value was first seen; 0 for the first value
}

// otherCalls returns the calls of the devices under load whose values change slowly enough to be followed,
// except the series itself.
func (t *tester) otherCalls(load Load) []*poll {
	var out []*poll
	for _, m := range t.Meters {
		c, ok := m.(caller)
		if !ok {
			continue
		}
		for _, id := range m.Devices() {
			d := t.device(id.ID)
			if !under(load, d) {
				continue
			}
			for _, call := range c.Calls(id.ID) {
				fast := slices.ContainsFunc(d.Refresh, func(r Refresh) bool {
					return r.Source == call.Source && r.PeriodMS < float64(minPeriod.Milliseconds())
				})
				works := slices.ContainsFunc(d.Calls,
					func(c CallCost) bool { return c.Source == call.Source && c.Error == "" })
				if works && !fast && call.Source != d.series && call.Source != sensor.SourceSamples {
					out = append(out, &poll{device: d, call: call})
				}
			}
		}
	}
	return out
}

// pollPause is the pause between two rounds of polls.
const pollPause = 3 * time.Millisecond

// pollAll reads all calls in turn until stop.
func (t *tester) pollAll(ctx context.Context, polls []*poll, stop <-chan struct{}) error {
	for {
		for _, p := range polls {
			if err := p.read(t.Now); err != nil {
				return err
			}
		}
		select {
		case <-stop:
			return nil
		default:
		}
		if err := t.Sleep(ctx, pollPause); err != nil {
			return err
		}
	}
}

// read reads one value. A counter's samples are the mean power between two updates; a polled value belongs to
// the time of its change.
func (p *poll) read(now func() int64) error {
	before := now()
	v, _, err := p.call.Read()
	if err != nil {
		return fmt.Errorf("%s: %w", p.call.Name, err)
	}
	after := now()
	switch {
	case p.sinceNS == 0:
		p.value = v
	case v != p.value:
		s := power.Sample{MonoNS: after, Device: p.device.Device, Source: p.call.Source, Power: unit.Watts(v),
			SinceNS: p.sinceNS}
		at := p.sinceNS + (after-p.sinceNS)/2
		if p.call.Energy {
			s.Window = time.Duration(at - p.changed)
			s.Power = unit.Watts((v - p.value) / s.Window.Seconds())
		} else if p.call.Source == sensor.SourceAverage {
			s.Window = time.Second // start of the search
		}
		if p.changed != 0 || !p.call.Energy {
			p.samples = append(p.samples, s)
		}
		p.value, p.changed = v, at
	}
	p.sinceNS = before
	return nil
}
