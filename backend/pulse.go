package backend

import (
	"context"
	"errors"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Pulse is a stretch of load and the pause after it. With On zero it is a pause
// alone.
type Pulse struct {
	// On is the time under load.
	On time.Duration `json:"on_ns"`
	// Off is the pause after it.
	Off time.Duration `json:"off_ns"`
}

// Edge is when a pulse really began and ended, in CLOCK_MONOTONIC nanoseconds.
type Edge struct {
	// OnNS is when the load began.
	OnNS int64 `json:"on_ns"`
	// OffNS is when it ended.
	OffNS int64 `json:"off_ns"`
}

// pulseWork is the command of a pattern.
type pulseWork struct {
	Device  string  `json:"device"`
	Pattern []Pulse `json:"pattern,omitempty"`
}

// pulsed is what a worker says of a pattern that it has run.
type pulsed struct {
	Name        string   `json:"name"`
	DeviceUUIDs []string `json:"device_uuids,omitempty"`
	PID         int      `json:"pid"`
	Edges       []Edge   `json:"edges,omitempty"`
}

// Pulser is a worker that runs no model but a load with known edges, for whoever
// wants to know how a power sensor sees it. One call at a time.
type Pulser struct {
	w      *worker
	device string
	about  pulsed
}

// StartPulser starts a worker that can make a load and prepares the device: cuda
// (all visible GPUs), cuda:N or cpu.
func StartPulser(ctx context.Context, name string, cmd Command, device string, opt WorkerOptions) (*Pulser, error) {
	w, err := startWorker(ctx, name, cmd, opt)
	if err != nil {
		return nil, err
	}
	p := &Pulser{w: w, device: device}
	if err := p.prepare(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// prepare checks the clock, without which no edge means anything, and runs an
// empty pattern.
func (p *Pulser) prepare(outer context.Context) error {
	if !p.w.shared {
		return note.Failf(codes.ClassClock, "run both in one time namespace",
			"the %s worker does not read the clock of this process", p.w.name)
	}
	ctx, cancel := withTimeout(outer, p.w.opt.HelloTimeout)
	defer cancel()
	r, err := p.w.ask(ctx, p.command(nil), "preparing a load", eventPulsed)
	if err != nil {
		return p.w.late(outer, err, "did not prepare a load within %v", p.w.opt.HelloTimeout)
	}
	if r.Pulsed == nil {
		return p.w.protocolError("a pulsed event without content")
	}
	p.about = *r.Pulsed
	return nil
}

func (p *Pulser) command(pattern []Pulse) command {
	return command{Op: "pulse", Pulse: &pulseWork{Device: p.device, Pattern: pattern}}
}

// Name says what runs on what.
func (p *Pulser) Name() string { return p.about.Name }

// Devices are the UUIDs of the GPUs under load; none on a CPU.
func (p *Pulser) Devices() []string { return p.about.DeviceUUIDs }

// PID is the process of the worker.
func (p *Pulser) PID() int { return p.about.PID }

// Pulse runs a pattern and returns the edges of its pulses in their order. Pulses
// begin at fixed times after the first one, so that a pattern does not drift. The
// end of ctx ends the load within two seconds.
func (p *Pulser) Pulse(ctx context.Context, pattern []Pulse) ([]Edge, error) {
	const doing = "running a load"
	id, err := p.w.write(ctx, p.command(pattern), doing)
	if err != nil {
		return nil, err
	}
	r, err := p.w.next(ctx, id, doing)
	if err == nil {
		return p.edges(r, pattern)
	}
	if ctx.Err() == nil {
		return nil, err
	}
	if _, answered := errors.AsType[*note.Failure](err); !answered {
		p.w.cancel(id)
	}
	return nil, context.Cause(ctx)
}

// edges checks what the worker says: a number that is off would look like a fault
// of the sensor.
func (p *Pulser) edges(r reply, pattern []Pulse) ([]Edge, error) {
	if r.Event != eventPulsed || r.Pulsed == nil {
		return nil, p.w.protocolError("event %q during a load", r.Event)
	}
	want := 0
	for _, pulse := range pattern {
		if pulse.On > 0 {
			want++
		}
	}
	if len(r.Pulsed.Edges) != want {
		return nil, p.w.protocolError("%d pulses for a pattern of %d", len(r.Pulsed.Edges), want)
	}
	var last int64
	for i, e := range r.Pulsed.Edges {
		if e.OnNS < last || e.OffNS <= e.OnNS {
			return nil, p.w.protocolError("pulse %d lies at [%d, %d] after %d", i, e.OnNS, e.OffNS, last)
		}
		last = e.OffNS
	}
	return r.Pulsed.Edges, nil
}

// Close stops the worker: politely, then TERM, then KILL. It may be called again.
func (p *Pulser) Close() error { return p.w.Close() }
