package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/sensors"
)

// Scenario is one simulated measurement.
type Scenario struct {
	Name string
	// GPUs are the sensors of each GPU; empty means one GPU with DefaultSensors.
	GPUs   []Sensors
	Engine EngineOptions
	// Prompts has the length of every prompt; OutputTokens is the number of tokens to generate for each.
	Prompts      []int
	OutputTokens int
	// Workload, if set, is run instead of Prompts: its requests may have times of their own.
	Workload *backend.Workload
	// Bare and Resident are how long the idle machine is measured before and after the model is loaded; zero
	// means not at all.
	Bare, Resident time.Duration
	// Warmup is the number of runs before the measured one.
	Warmup int
	// CounterInterval is the time between readings of the counters; 0 is five seconds.
	CounterInterval time.Duration
	// WallStep makes the wall clock jump once, WallAfter the start of the measured
	// window.
	WallStep, WallAfter time.Duration
	// Inject, if set, changes the simulation when the measured window starts. The
	// argument is the time since the epoch.
	Inject func(f *File, elapsed time.Duration)
}

// Idle is a measurement of the idle machine.
type Idle struct {
	Window Span
	Trace  power.Trace
	Joules float64 // true energy over all GPUs
}

// Outcome has the measured values and the truth.
type Outcome struct {
	Log    *backend.Log
	Loaded backend.Loaded
	Window Span
	Trace  power.Trace
	Anchor clock.Anchor
	// Devices and Warnings are reported by the meter.
	Devices  []power.Device
	Warnings note.List
	// Bare and Resident are nil if they were not measured.
	Bare, Resident *Idle

	Truth Truth
	// Steps and Curves are the inputs of Truth: the true steps of the window's run, and the true power of
	// every GPU.
	Steps  []TrueStep
	Curves []Curve
}

// Limits of a measurement, as in internal/measure.
const (
	snapTimeout     = 600 * time.Millisecond
	counterInterval = 5 * time.Second
	settle          = 150 * time.Millisecond
)

// Run measures a scenario through the library of [Build] in virtual time: call it inside a testing/synctest
// bubble, one at a time per process. The order of events is as in a real measurement. dir holds the shared
// file meanwhile.
func Run(ctx context.Context, library, dir string, s Scenario) (out *Outcome, err error) {
	c := NewClock()
	f, err := Create(filepath.Join(dir, fmt.Sprintf("sim-%d", clock.Mono())),
		Options{GPUs: s.GPUs, BareW: s.Engine.Model.BareW, Clock: c})
	if err != nil {
		return nil, err
	}
	defer func() {
		c.detach()
		os.Remove(f.Path())
		err = errors.Join(err, f.Close())
	}()
	// The library reads the process's environment when it is opened. Nothing else uses this variable.
	if err := os.Setenv(Env, f.Path()); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.Unsetenv(Env)) }()
	meter, err := openGPUs(ctx, library, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, meter.Close()) }()
	s.Engine.Now = c.Now
	engine := NewEngine(f, s.Engine)
	defer engine.Close()
	r := &runner{Scenario: s, clock: c, file: f, meter: meter, engine: engine,
		out: &Outcome{Devices: meter.Devices()}}
	if w, ok := meter.(power.Warner); ok {
		r.out.Warnings = w.Warnings()
	}
	if err := r.run(ctx); err != nil {
		return nil, err
	}
	return r.out, nil
}

// openGPUs opens the simulated GPUs through the library.
func openGPUs(ctx context.Context, library string, c *Clock) (power.Meter, error) {
	meters, missing := sensors.Open(ctx, sensors.Options{Library: library, Clocks: c.Clocks(), Only: []string{"nvml"}})
	if len(meters) == 0 {
		return nil, missing[0]
	}
	return meters[0], nil
}

// runner is the state of one simulated measurement.
type runner struct {
	Scenario
	clock  *Clock
	file   *File
	meter  power.Meter
	engine *Engine
	out    *Outcome
}

func (r *runner) run(ctx context.Context) (err error) {
	if r.Bare > 0 {
		if r.out.Bare, err = r.idle(ctx, r.Bare); err != nil {
			return err
		}
	}
	longest := 0
	for _, p := range r.work().Requests {
		longest = max(longest, len(p.Tokens))
	}
	spec := backend.Spec{Model: "simulated", DType: "bfloat16", BatchSize: r.Engine.BatchSize,
		MaxContext: longest + r.OutputTokens}
	if r.out.Loaded, err = r.engine.Load(ctx, spec, func(string, float64) {}); err != nil {
		return err
	}
	r.out.Loaded.SharedClock = true
	if r.Resident > 0 {
		if r.out.Resident, err = r.idle(ctx, r.Resident); err != nil {
			return err
		}
	}
	work := r.work()
	for range r.Warmup {
		short := work
		short.Requests = work.Requests[:min(len(work.Requests), max(1, r.Engine.BatchSize))]
		if _, err := r.engine.Run(ctx, short); err != nil {
			return err
		}
	}
	r.engine.Steps()
	return r.window(ctx, work)
}

// work returns the workload.
func (r *runner) work() backend.Workload {
	if r.Workload != nil {
		return *r.Workload
	}
	w := backend.Workload{OutputTokens: r.OutputTokens}
	for i, n := range r.Prompts {
		ids := make([]int32, n)
		for j := range ids {
			ids[j] = int32((i*31 + j*7) % Vocab)
		}
		w.Requests = append(w.Requests, backend.Prompt{ID: i, Tokens: ids})
	}
	return w
}

// sampler returns a real sampler in virtual time.
func (r *runner) sampler() *power.Sampler {
	s := power.NewSampler(r.meter)
	s.CounterInterval = cmp.Or(r.CounterInterval, counterInterval)
	s.Now = r.clock.Mono
	return s
}

// idle measures the idle machine.
func (r *runner) idle(ctx context.Context, d time.Duration) (*Idle, error) {
	o, sampler := &Idle{}, r.sampler()
	sampler.Start(ctx)
	mark(ctx, sampler)
	o.Window.Start = r.clock.Now()
	err := clock.Sleep(ctx, d)
	o.Window.End = r.clock.Now()
	mark(ctx, sampler)
	err = errors.Join(err, clock.Sleep(ctx, settle))
	o.Trace = stop(ctx, sampler)
	for gpu := range r.file.GPUs() {
		o.Joules += r.file.segments(gpu).Joules(o.Window.Start, o.Window.End)
	}
	return o, err
}

// window measures the whole workload once.
func (r *runner) window(ctx context.Context, work backend.Workload) error {
	sampler := r.sampler()
	sampler.Start(ctx)
	r.out.Anchor = r.clock.Anchor()
	mark(ctx, sampler)
	r.out.Window.Start = r.clock.Now()
	elapsed := time.Duration(r.out.Window.Start - r.file.Epoch())
	if r.WallStep != 0 {
		r.file.StepWall(elapsed+r.WallAfter, r.WallStep)
	}
	if r.Inject != nil {
		r.Inject(r.file, elapsed)
	}
	log, err := r.engine.Run(ctx, work)
	r.out.Window.End = r.clock.Now()
	if err == nil {
		mark(ctx, sampler)
		err = clock.Sleep(ctx, settle)
	}
	r.out.Trace = stop(ctx, sampler)
	if err != nil {
		return err
	}
	r.out.Log, r.out.Steps = log, r.engine.Steps()
	for gpu := range r.file.GPUs() {
		r.out.Curves = append(r.out.Curves, r.file.Curve(gpu))
	}
	r.out.Truth = TruthOf(r.holding(), r.out.Steps, r.out.Window)
	return nil
}

// holding returns the curves of the GPUs that hold the model.
func (r *runner) holding() []Curve {
	var list []Curve
	for gpu, c := range r.out.Curves {
		if r.engine.opts.Scale[gpu] > 0 {
			list = append(list, c)
		}
	}
	return list
}

// mark reads the counters at their next change.
func mark(ctx context.Context, s *power.Sampler) {
	ctx, cancel := context.WithTimeout(ctx, snapTimeout+2*time.Second)
	defer cancel()
	s.Mark(ctx, snapTimeout)
}

func stop(ctx context.Context, s *power.Sampler) power.Trace {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return s.Stop(ctx)
}
