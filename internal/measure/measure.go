// Package measure runs one experiment once.
//
//	prepare the model → bare idle → start the engine → idle → warm up →
//	[ counter edge | window over all requests | counter edge ] → stop → join
//
// A window that turns out shorter than wanted is measured once more.
//
// internal/join turns the raw material of a run into a [result.Record].
package measure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/llenergymeasure/llem/attribute"
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/join"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/tenants"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
	"github.com/llenergymeasure/llem/unit"
)

// Options is what one run needs.
type Options struct {
	Experiment study.Experiment
	Cycle      int
	Backend    backend.Backend
	// Meters are open for the whole study; Missing explains those that are not.
	Meters  []power.Meter
	Missing []power.Unavailable
	// Warnings are doubts about the machine that hold for every run.
	Warnings note.List
	Store    model.Store
	// Threads is the engine's number of threads where the study leaves it open.
	Threads int
	// Clock is the time of the run, of its meters and of its engine.
	Clock clock.Clock
	// Program is the version of this program, for the record.
	Program string
	// Engines keeps the engine for the next run, and holds that of the run before; nil
	// gives the run an engine of its own.
	Engines *Engines
	// LogPath receives the engine's output.
	LogPath string
	// Baselines remembers idle power from run to run; nil remembers nothing.
	Baselines *Baselines
	// Profiles are what a self-test found about the sensors, by device.
	Profiles map[string]*power.Profile
	// Emit receives what happens; it must return quickly.
	Emit func(event.Event)
}

// Outcome is a finished run: its record, and the raw series behind it.
type Outcome struct {
	Record *result.Record
	Series result.Series
	// Loaded is the engine as it ran, for the environment snapshot.
	Loaded backend.Loaded
}

// snapTimeout is how long to wait for an energy counter to move at a window
// limit; the slowest known refresh is 500 ms.
const snapTimeout = 600 * time.Millisecond

// counterInterval is the time between counter readings inside a window, where they
// only guard against a reset: one read of NVML's counter keeps a core busy for 4 ms.
const counterInterval = 5 * time.Second

// settle is how long sampling goes on after the window, so that the last samples
// of every sensor are in.
const settle = 150 * time.Millisecond

// Run measures one experiment. A run that fails still gives a record, with the
// failure in it; the error is nil then. The error is that of the context when it
// was cancelled.
func Run(ctx context.Context, o Options) (*Outcome, error) {
	if o.Experiment.Energy.Sources == "none" {
		o.Meters = nil // they may be open for another experiment of the study
	}
	r := &run{Options: o, record: newRecord(o), began: o.Clock.Time(), processes: tenants.Processes{Clock: o.Clock}}
	err := r.do(ctx)
	if doneErr := r.done(false); err == nil { // an engine whose run has failed is of no use
		err = doneErr
	}
	if err == nil {
		r.record.Status = result.OK
		return r.outcome(), nil
	}
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), ErrTimeout) {
		r.fail(result.Interrupted, &backend.Failure{Class: backend.ClassInterrupted,
			Message: "interrupted", Next: "run it again"})
		return r.outcome(), context.Cause(ctx)
	}
	if errors.Is(context.Cause(ctx), ErrTimeout) {
		err = &backend.Failure{Class: backend.ClassTimeout,
			Message: "the run took longer than its limit (" + r.doing + ")",
			Next:    "raise --timeout, or use fewer prompts or output tokens"}
	}
	r.fail(result.Failed, asFailure(err))
	return r.outcome(), nil
}

// ErrTimeout is the cause with which a run's context ends when its time is up.
var ErrTimeout = errors.New("time limit reached")

// run is the state of one run.
type run struct {
	Options
	record   *result.Record
	series   result.Series
	began    time.Time
	resolved model.Resolved
	engine   *liveEngine
	loaded   backend.Loaded
	requests []workload.Request
	prompts  []workload.Prompt
	// repeats is how often the workload runs in the window, and round how many requests
	// are given to the engine at once there; 0 is all.
	repeats, round int
	// trace is what was sampled before the window.
	trace          power.Trace
	bare, resident attribute.Window
	known          map[string]result.Idle
	// processes were seen on the GPUs.
	processes        tenants.Processes
	cpuStart, cpuEnd cpuTimes
	// hostMemory follows an engine on a processor; nil for others.
	hostMemory *tenants.MemoryWatch
	// warmNS is how long the last warm-up of the first batch took.
	warmNS int64
	doing  string
}

func newRecord(o Options) *result.Record {
	runner, image := study.RunProcess, ""
	if o.Experiment.Runner == study.RunContainer {
		runner, image = study.RunContainer, o.Experiment.Image()
	}
	return &result.Record{
		SchemaVersion: result.SchemaVersion, Program: o.Program, ID: o.Experiment.ID(), Cycle: o.Cycle,
		Config:   o.Experiment,
		Backend:  result.Backend{Name: o.Experiment.Backend, Runner: runner, Image: image},
		Energy:   result.Energy{Provenance: result.None, Sources: []string{}, Devices: []result.Device{}},
		Warnings: append(note.List{}, o.Warnings...), Files: map[string]string{},
	}
}

func (r *run) outcome() *Outcome { return &Outcome{r.record, r.series, r.loaded} }

func (r *run) fail(status result.Status, f *backend.Failure) {
	r.record.Status = status
	join.StoreIdle(&join.Material{Bare: r.bare, Resident: r.resident}, r.record, nil)
	r.record.Failure = f.Whole()
	if r.record.Energy.Reason == "" {
		r.record.Energy.Reason = "the run did not finish"
	}
}

// asFailure keeps the class, message and hint that an error brings.
func asFailure(err error) *backend.Failure {
	if me, ok := errors.AsType[*fault.Error](err); ok {
		return &me.Failure
	}
	if de, ok := errors.AsType[*workload.DatasetError](err); ok {
		return &backend.Failure{Class: backend.ClassConfig, Message: de.Error()}
	}
	return backend.AsFailure(err)
}

func (r *run) phase(p event.Phase, detail string) {
	r.doing = string(p)
	r.emit(event.PhaseStarted{Phase: p, Detail: detail})
}

func (r *run) emit(e event.Event) {
	if r.Emit != nil {
		r.Emit(e)
	}
}

// warn raises a doubt in the record that the user also sees at once.
func (r *run) warn(code note.Code, message string) {
	r.record.Warn(code, message)
	r.show(code, message)
}

// show shows a warning to the user at once.
func (r *run) show(code note.Code, message string) { r.emit(event.Note{Code: code, Message: message}) }

func (r *run) do(ctx context.Context) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	r.meterWarnings()
	if err := r.obtain(ctx); err != nil {
		return err
	}
	session := r.engine.session
	if err := r.shape(ctx, session); err != nil {
		return err
	}
	if err := r.measureResident(ctx); err != nil {
		return err
	}
	if err := r.processes.Watch(ctx, r.Meters, func() error { return r.warmUp(ctx, session) }); err != nil {
		return err
	}
	r.repeats = r.repeatsFor(r.minWindow())
	r.processes.Poll(ctx, r.Meters)
	m, err := r.longEnough(ctx, session)
	if err != nil {
		return err
	}
	r.processes.Poll(ctx, r.Meters)
	r.processes.Add(m.trace.Processes)
	r.processes.AddMemory(m.trace.Memory)
	r.engine.processes.Inherit(&r.processes, m.window.Start)
	r.phase(event.Finish, "")
	if r.Engines == nil { // nobody waits for it: it stops before the arithmetic begins
		if err := r.engine.stop(); err != nil {
			return err
		}
	}
	if err := nothingDone(m.log); err != nil {
		r.series = join.Rows(r.material(m))
		return err
	}
	r.finish(m)
	r.learn()
	for _, n := range r.processes.Warnings(r.shareable(), m.window) {
		r.warn(n.Code, n.Message)
	}
	r.tooShort(m.window)
	return r.done(true)
}

// meterWarnings adds what the meters themselves are not sure of.
func (r *run) meterWarnings() {
	for _, meter := range r.Meters {
		if w, ok := meter.(power.Warner); ok {
			for _, msg := range w.Warnings() {
				r.record.Warn(note.Sensor, msg)
			}
		}
	}
}

// nothingDone is the failure of a run of which no request has succeeded: there is
// nothing that its energy could be related to.
func nothingDone(log *backend.Log) error {
	why := "it returned none"
	for _, q := range log.Requests {
		if q.OK {
			return nil
		}
		why = q.Failure
	}
	return backend.Failf(backend.ClassEngine, "see the engine's log", "the engine completed no request: %s", why)
}

// window measures the whole workload, repeated as often as asked for.
func (r *run) window(ctx context.Context, session backend.Session) (w *measured, err error) {
	detail := fmt.Sprintf("%d requests", len(r.requests)*r.repeats)
	if r.repeats > 1 {
		detail = fmt.Sprintf("%d requests, %d times", len(r.requests), r.repeats)
	}
	r.phase(event.Measure, detail)
	w = &measured{}
	sampler := r.sampler()
	sampler.Start(ctx)
	defer func() {
		// Stop also after an error, within bounds.
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		w.trace = join.Traces(r.trace, sampler.Stop(stopCtx))
	}()
	w.anchor = r.Clock.Anchor()
	work := r.work(r.requests, r.repeats)
	r.round = work.Round
	for _, p := range work.Requests {
		w.given += int64(len(p.Tokens))
	}
	w.asked = int64(len(work.Requests)) * int64(work.OutputTokens)
	work.Progress = func(done, total int) {
		r.emit(event.Progress{Phase: event.Measure, Fraction: float64(done) / float64(max(total, 1)),
			Detail: fmt.Sprintf("%d of %d requests", done, total)})
	}
	work.Finished = func() {
		w.window.End = r.Clock.Mono()
		r.cpuEnd = readCPU()
		if r.hostMemory != nil {
			r.hostMemory.End()
		}
		mark(ctx, sampler)
	}
	mark(ctx, sampler)
	r.cpuStart = readCPU()
	w.window.Start = r.Clock.Mono()
	w.log, err = session.Run(ctx, work)
	if err == nil && w.window.End == 0 {
		err = backend.Failf(backend.ClassProtocol, "", "the engine gave results without saying that it finished")
	}
	if err == nil {
		err = r.Clock.Sleep(ctx, settle)
	}
	return w, err
}

// measured is one window.
type measured struct {
	log    *backend.Log
	trace  power.Trace // of the baselines and of the window
	window attribute.Window
	anchor clock.Anchor
	// given and asked are prompt tokens given and output tokens asked for.
	given, asked int64
}

// material is everything that the numbers are made of.
func (r *run) material(w *measured) *join.Material {
	m := &join.Material{Engine: join.EngineOf(r.loaded), Requests: w.log.Requests, Steps: w.log.Steps,
		Tasks: r.taskOf(), Given: w.given, Asked: w.asked, Window: w.window, Bare: r.bare, Resident: r.resident,
		Missing: r.Missing}
	m.SetTrace(w.trace)
	m.SetDevices(r.devices(), r.known, r.Profiles)
	return m
}

// mark reads the counters at their next change. A sensor that does not answer is
// not waited for.
func mark(ctx context.Context, s *power.Sampler) {
	ctx, cancel := context.WithTimeout(ctx, snapTimeout+2*time.Second)
	defer cancel()
	s.Mark(ctx, snapTimeout)
}

// sampler makes a sampler over all meters that reports live power.
func (r *run) sampler() *power.Sampler {
	s := power.NewSampler(r.Meters...)
	s.CounterInterval, s.Now = counterInterval, r.Clock.Mono
	s.OnPower = func(device string, w unit.Watts) { r.emit(event.Power{Device: device, Watts: float64(w)}) }
	return s
}
