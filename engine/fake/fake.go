// Package fake is an engine that computes nothing on a simulated GPU: for demonstrations, documentation and
// automatic tests on machines without a GPU.
//
// It needs only the shape of a model. From the shape it derives the duration and the power of each step, by the
// roofline of an imagined accelerator (see gpu.go); a child process then passes the time in real time and writes
// the power where a simulated meter reads it (package sim). All results are labelled: the device is modelled, its
// name is "simulated GPU", and every result carries a warning.
package fake

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/scratch"
	"github.com/llenergymeasure/llem/internal/self"
	"github.com/llenergymeasure/llem/internal/shape"
	"github.com/llenergymeasure/llem/internal/sim"
	"github.com/llenergymeasure/llem/note"
)

// name of the backend in study files.
const name = "fake"

// warning states what a result of this backend is worth.
const warning = "simulated: the GPU does not exist; time, power and energy follow a made-up model and say nothing " +
	"about real hardware"

// launcher starts simulated engines.
type launcher struct {
	// Command starts a worker process; the running program itself by default.
	Command *backend.Command
	// Options bound how long the worker may take.
	Options backend.WorkerOptions
	// Simulation is the shared file of the simulated GPU. Without it nobody reads the engine's power.
	Simulation string
}

// Name implements backend.Backend.
func (launcher) Name() string { return name }

// Probe implements backend.Backend without starting a process: the engine is
// part of this program.
func (launcher) Probe(context.Context) (backend.Info, error) { return new(worker).Info() }

// Start implements backend.Backend.
func (b launcher) Start(ctx context.Context, spec backend.Spec) (backend.Session, error) {
	cmd, err := b.command()
	if err != nil {
		return nil, err
	}
	cmd.Env = append(slices.Clip(cmd.Env), sim.Env+"="+b.Simulation)
	return backend.StartWorker(ctx, name, cmd, spec, b.Options)
}

func (b launcher) command() (backend.Command, error) {
	if b.Command != nil {
		return *b.Command, nil
	}
	return self.Command(name)
}

// WorkerMain runs the engine's process, with its environment. It returns when the parent sends stop.
func WorkerMain(getenv func(string) string) error {
	f, err := openFile(getenv(sim.Env))
	if err != nil {
		return err
	}
	w := &worker{file: f}
	if list := getenv("CUDA_VISIBLE_DEVICES"); list != "" {
		w.scale = f.Visible(list)
	}
	return errors.Join(backend.ServeWorker(w), f.Close())
}

// openFile maps the shared file of the simulation, or a temporary one that is removed at once.
func openFile(path string) (*sim.File, error) {
	if path != "" {
		return sim.Open(path)
	}
	dir, err := scratch.Dir("simulation")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the simulated GPU: %w", err)
	}
	defer os.RemoveAll(dir) // the mapping stays
	return sim.CreateCard(filepath.Join(dir, "gpu"))
}

// worker implements backend.Engine: a simulated engine for the model that it is asked to load.
type worker struct {
	*sim.Engine
	file *sim.File
	// scale is the part of the power on each GPU; nil is all of it on every usable GPU.
	scale []float64
	// path is the loaded model; resident reports that it need not be loaded again.
	path     string
	resident bool
}

var (
	_ backend.Engine    = (*worker)(nil)
	_ backend.Adaptable = (*worker)(nil)
)

// Info implements backend.Engine.
func (e *worker) Info() (backend.Info, error) {
	info, err := e.Engine.Info()
	info.Notes = append(info.Notes, warning)
	return info, err
}

// Adapt implements backend.Adaptable: the model, and the time to load it, stay.
func (e *worker) Adapt(spec backend.Spec) (backend.Loaded, error) {
	if e.Engine == nil || spec.Path != e.path {
		return backend.Loaded{}, backend.NeedsRestart("another model is loaded")
	}
	e.resident = true
	return e.Load(context.Background(), spec, func(string, float64) {})
}

// Load implements backend.Engine.
func (e *worker) Load(ctx context.Context, spec backend.Spec, progress func(string, float64)) (backend.Loaded, error) {
	o := settings{BatchSize: max(1, spec.BatchSize), Batching: sim.Static, Speed: 1}
	if err := engine.Decode(spec.Options, &o); err != nil {
		return backend.Loaded{}, &note.Failure{Class: codes.ClassConfig, Message: "read the fake section", Err: err,
			Next: "fake.batching is static or continuous, fake.speed is above 0"}
	}
	read := shape.FromHFFolder
	if filepath.Ext(spec.Path) == ".gguf" {
		read = shape.FromGGUF
	}
	config, err := read(spec.Path)
	if err != nil {
		return backend.Loaded{}, note.Failf(codes.ClassUnsupportedModel,
			"use random:SHAPE, such as random:llama-3.1-8b",
			"the shape of %s is unknown: %v", spec.Model, err)
	}
	options := engineOptions(config, spec, o)
	options.Scale = e.scale
	if e.resident {
		options.Model.Load = 0
	}
	e.Engine, e.path = sim.NewEngine(e.file, options), spec.Path
	l, err := e.Engine.Load(ctx, spec, progress)
	if err != nil {
		return l, err
	}
	l.Parameters = config.Parameters().Total
	l.Settings = map[string]string{"dtype": l.DType, "batch_size": strconv.Itoa(options.BatchSize),
		"batching": o.Batching, "speed": strconv.FormatFloat(o.Speed, 'g', -1, 64)}
	if o.Batching == sim.Continuous {
		l.Settings["prefix_cache"] = strconv.FormatBool(options.PrefixCache)
	}
	l.Info, err = e.Info()
	return l, err
}

// Run implements backend.Engine.
func (e *worker) Run(ctx context.Context, w backend.Workload) (*backend.Log, error) {
	if e.Engine == nil {
		return nil, note.Failf(codes.ClassProtocol, "load it first", "run before load")
	}
	log, err := e.Engine.Run(ctx, w)
	e.Steps() // the truth stays in the shared file; the product sees only the log
	return log, err
}

// Close implements backend.Engine.
func (e *worker) Close() {
	if e.Engine != nil {
		e.Engine.Close()
	}
}
