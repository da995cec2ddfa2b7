package measure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/about"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/effective"
	"github.com/llenergymeasure/llem/internal/join"
	"github.com/llenergymeasure/llem/internal/scratch"
	"github.com/llenergymeasure/llem/internal/tenants"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// running is the engine of one run.
type running struct {
	*liveEngine
	loaded backend.Loaded
	// memory follows an engine on a processor; nil for others.
	memory *tenants.MemoryWatch
}

// obtain returns an engine for the run: the previous run's engine if it can serve, otherwise a new one, after
// measuring the machine without it. An engine that is returned with an error must also be finished.
func (d *desk) obtain(ctx context.Context, in input, p *tenants.Processes) (*running, idles, error) {
	if d.Engines.Serves(d.Engine, d.Experiment, len(d.Meters) > 0) {
		e := &running{liveEngine: d.Engines.kept}
		d.Engines.kept = nil
		known, err := d.adapt(ctx, e, in, p)
		if err == nil || ctx.Err() != nil {
			return e, known, err
		}
		d.warn(codes.EngineRestarted,
			fmt.Sprintf("the previous run's engine could not apply the settings of this run (%v): "+
				"it was restarted", err))
		if err := e.close(); err != nil {
			return nil, idles{}, err
		}
	} else if err := d.Engines.Close(); err != nil {
		return nil, idles{}, err
	}
	bare, err := d.measureBare(ctx, p)
	if err != nil {
		return nil, bare, err
	}
	p.Poll(ctx, d.Meters)
	p.EngineStarts()
	var e *running
	err = p.Watch(ctx, d.Meters, func() (err error) {
		e, err = d.start(ctx, in)
		return err
	})
	if e != nil {
		p.EngineLoaded(e.loaded.PID)
	}
	return e, bare, err
}

// adapt gives the engine of an earlier run the settings of this one. The bare machine cannot be measured any
// more: its idle power is known from before the engine's start.
func (d *desk) adapt(ctx context.Context, e *running, in input, p *tenants.Processes) (idles, error) {
	d.phase(event.Load, d.Experiment.Backend+" is loaded")
	began := d.Clock.Mono()
	if err := backend.Adapt(ctx, e.session, d.spec(in, e.log)); err != nil {
		return idles{}, err
	}
	e.runs++
	p.Inherit(&e.processes, 0)
	known := map[string]result.Idle{}
	for id, idle := range e.bare {
		idle.AgeS = max(d.Clock.Time().Sub(e.since).Seconds(), 1e-3)
		known[id] = idle
	}
	d.ready(e, began)
	return idles{known: known}, nil
}

// start launches an engine and loads the model.
func (d *desk) start(ctx context.Context, in input) (*running, error) {
	d.phase(event.Load, d.Experiment.Backend+" "+in.dtype())
	began := d.Clock.Mono()
	log, err := d.engineLog()
	if err != nil {
		return nil, err
	}
	e := &running{liveEngine: &liveEngine{serves: d.Experiment, log: log, meters: d.Meters}}
	spec := d.spec(in, log)
	if log == "" {
		spec.LogPath = d.LogPath
	}
	if e.session, err = d.Backend.Start(ctx, spec); err != nil {
		e.session = nil // which may hold a nil pointer
		return e, err
	}
	e.runs = 1
	d.ready(e, began)
	return e, nil
}

// engineLog creates the file for the output of an engine that may serve several runs; each run gets its part.
// An engine for a single run writes to that run's file.
func (d *desk) engineLog() (string, error) {
	if d.Engines == nil {
		return "", nil
	}
	f, err := scratch.File("engine", ".log")
	if err != nil {
		return "", fmt.Errorf("create a file for the engine's log: %w", err)
	}
	return f.Name(), f.Close()
}

// spec returns the specification for the engine.
func (d *desk) spec(in input, log string) backend.Spec {
	e := d.engineSettings()
	return backend.Spec{
		Model: e.Model, Path: in.model.Path, Synthetic: in.model.Synthetic, DType: in.dtype(), Seed: e.Seed,
		BatchSize: e.BatchSize(), MaxContext: in.maxContext(),
		Decoding: backend.Decoding(e.Decoding), Options: json.RawMessage(e.Section), LogPath: log,
		Container: d.container(), Symptoms: d.Engine.Symptoms,
		Progress: func(phase string, fraction float64) {
			d.emit(event.Progress{Phase: event.Load, Fraction: fraction, Detail: phase})
		},
	}
}

// engineSettings returns the experiment with the settings that the study leaves open. Batches must not be
// larger than one round of the workload, even if it is repeated.
func (d *desk) engineSettings() study.Experiment {
	e := d.Experiment
	size := min(e.BatchSize(), e.Workload.Prompts)
	if s, err := about.Read(&d.Engine, e.Section); err == nil && d.Engine.Settle != nil {
		d.Engine.Settle(s, size, d.Threads)
		e.Section = engine.Encode(s)
	}
	return e
}

// ready records the engine's properties, and begins to follow its memory if it runs on a processor. Memory on
// a GPU is seen with the processes there.
func (d *desk) ready(e *running, began int64) {
	e.loaded = e.session.Loaded()
	d.record.Timing.LoadS = d.Clock.Since(began)
	code := codes.Engine
	if d.Engine.Simulated {
		code = codes.Simulated
	}
	for _, n := range e.loaded.Notes {
		d.record.Warn(code, n)
		if e.runs == 1 { // already reported when the engine was started
			d.show(code, n)
		}
	}
	e.describe(&d.record.Backend)
	d.compareSettings(e.loaded)
	if pid := e.loaded.PID; pid > 0 && !e.onGPU() {
		e.memory = tenants.WatchMemory(pid)
	}
}

// onGPU reports whether the model runs on a GPU.
func (e *running) onGPU() bool { return join.EngineOf(e.loaded).OnGPU() }

// describe records the engine's properties.
func (e *running) describe(b *result.Backend) {
	l := e.loaded
	b.Version, b.Device, b.DType, b.Attention = l.Version, l.Device, l.DType, l.Attention
	b.Threads, b.GPUs, b.Versions, b.EngineRun = l.Threads, l.DeviceUUIDs, l.Versions, e.runs
	b.Tier = string(join.EngineOf(l).Tier)
	if i := l.Image; i != nil {
		b.Image, b.ImageID, b.ImageDigest = i.Name, i.ID, i.Digest
	}
}

// compareSettings compares the requested settings of the engine with the used ones.
func (d *desk) compareSettings(l backend.Loaded) {
	asked := d.engineSettings()
	r := effective.Of(&d.Engine, asked.Section, asked.DType, l.Settings)
	b := &d.record.Backend
	b.Effective, b.Overridden, b.Unread, b.Settings = r.Used, r.Overridden, r.Unread, r.Others
	for _, text := range r.Messages {
		d.warn(codes.SettingOverridden, text)
	}
}

// finish ends the engine, or keeps it for the next run, and writes the run's log.
func (e *running) finish(d *desk, keep bool) error {
	if e.memory != nil {
		e.memory.End()
	}
	if keep && d.Engines != nil {
		d.Engines.kept = e.liveEngine
		return e.handOver(d.LogPath)
	}
	err := e.stop() // first, so that its last output is in the log
	return errors.Join(err, e.handOver(d.LogPath), e.close())
}
