package backend

import (
	"context"
	"errors"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Pulse is a period of load and the pause after it. If On is zero, it is a pause only.
type Pulse struct {
	// On is the time under load.
	On time.Duration `json:"on_ns"`
	// Off is the pause after it.
	Off time.Duration `json:"off_ns"`
}

// Edge is when a pulse really began and ended, in nanoseconds of CLOCK_MONOTONIC.
type Edge struct {
	// OnNS is when the load began.
	OnNS int64 `json:"on_ns"`
	// OffNS is when the load ended.
	OffNS int64 `json:"off_ns"`
}

// pulseWork is the command to run a pattern.
type pulseWork struct {
	Device  string  `json:"device"`
	Pattern []Pulse `json:"pattern,omitempty"`
}

// pulsed is a worker's reply after a pattern.
type pulsed struct {
	Name        string   `json:"name"`
	DeviceUUIDs []string `json:"device_uuids,omitempty"`
	PID         int      `json:"pid"`
	Edges       []Edge   `json:"edges,omitempty"`
}

// Pulser is a worker that runs a load with known edges instead of a model, to test how a power sensor responds.
// Its methods must not be called concurrently.
type Pulser struct {
	w      *worker
	device string
	about  pulsed
}

// StartPulser starts a worker that can generate a load and prepares the device: cuda (all visible GPUs), cuda:N or
// cpu.
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

// prepare checks the clock, without which edges are meaningless, and runs an empty pattern.
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

// Name returns the program and the device it loads.
func (p *Pulser) Name() string { return p.about.Name }

// Devices returns the UUIDs of the GPUs under load; none for a CPU.
func (p *Pulser) Devices() []string { return p.about.DeviceUUIDs }

// PID returns the process id of the worker.
func (p *Pulser) PID() int { return p.about.PID }

// Pulse runs a pattern and returns the edges of its pulses in order. Pulses begin at fixed times after the first
// one, so that a pattern does not drift. When ctx ends, the load ends within two seconds.
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

// edges checks the worker's reply: a wrong number would look like a fault of the sensor.
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
			return nil, p.w.protocolError("pulse %d is at [%d, %d], after %d", i, e.OnNS, e.OffNS, last)
		}
		last = e.OffNS
	}
	return r.Pulsed.Edges, nil
}

// Close stops the worker: first a stop request, then TERM, then KILL. It may be called again.
func (p *Pulser) Close() error { return p.w.Close() }
