// Package measure runs one experiment once.
//
//	prepare the model → bare idle → start the engine → idle → warm up →
//	[ counter edge | window over all requests | counter edge ] → stop → join
//
// A window that is shorter than wanted is measured once more. Each stage takes the results of the earlier
// stages and returns its own; they share the desk: the options, the meters, the clock, and the record.
// internal/join computes the numbers of the record.
package measure

import (
	"context"
	"errors"
	"slices"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/join"
	"github.com/llenergymeasure/llem/internal/secret"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/internal/tenants"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
)

// Outcome is a finished run: its record, and its raw series.
type Outcome struct {
	Record *result.Record
	Series series.All
	// Loaded is the engine as it ran, for the environment snapshot.
	Loaded backend.Loaded
}

// ErrTimeout is the cause of a run's context when its time limit is reached.
var ErrTimeout = errors.New("time limit reached")

// Run measures one experiment. A failed run also returns a record, with the failure in it and a nil error. If
// ctx was cancelled, the error is its cause.
func Run(ctx context.Context, o Options) (*Outcome, error) {
	d := &desk{Options: o, record: newRecord(o)}
	if o.Experiment.Energy.Sources == "none" {
		d.Meters = nil // they may be open for another experiment of the study
		d.Experiment.Energy.MinWindow = 0
	}
	out := &Outcome{Record: d.record}
	err := d.stages(ctx, out)
	if err == nil {
		d.record.Status = result.OK
		return out, nil
	}
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), ErrTimeout) {
		fail(d.record, result.Interrupted, &note.Failure{Class: codes.ClassInterrupted,
			Message: "interrupted", Next: "run it again"})
		return out, context.Cause(ctx)
	}
	if errors.Is(context.Cause(ctx), ErrTimeout) {
		err = &note.Failure{Class: codes.ClassTimeout,
			Message: "the run took longer than its limit (" + d.doing + ")",
			Next:    "raise --timeout, or use fewer prompts or output tokens"}
	}
	f := *asFailure(err)
	if f.Class == codes.ClassHung {
		f.Message += " (in the phase " + d.doing + ")"
	}
	fail(d.record, result.Failed, &f)
	return out, nil
}

// stages takes the run from the model to its numbers. It ends the engine, or keeps it for the next run if
// this one succeeded.
func (d *desk) stages(ctx context.Context, out *Outcome) (err error) {
	began := d.Clock.Time()
	in, err := d.prepare(ctx)
	if err != nil {
		return err
	}
	d.meterWarnings()
	c := &collected{input: in, processes: &tenants.Processes{Clock: d.Clock}}
	c.engine, c.idles, err = d.obtain(ctx, in, c.processes)
	if c.engine != nil {
		defer func() {
			finishErr := c.engine.finish(d, err == nil) // the engine of a failed run is not reused
			if err == nil {
				err = finishErr
			}
		}()
		out.Loaded = c.engine.loaded
	}
	if err != nil {
		return err
	}
	if err := d.collect(ctx, c); err != nil {
		return err
	}
	d.phase(event.Finish, "")
	if d.Engines == nil { // nobody waits for it: it stops before the computation
		if err := c.engine.stop(); err != nil {
			return err
		}
	}
	if err := noCompletedRequest(c.measured.log); err != nil {
		out.Series = join.Rows(c.material(d))
		return err
	}
	out.Series = d.finish(c)
	c.engine.keepIdle(d.record.Energy.Devices, began)
	told := d.record.Warnings.Codes() // with the processes that work
	for _, n := range c.processes.Warnings(d.listedGPUs(), c.measured.window) {
		if n.Code != codes.GPUShared || codes.WithheldBy(told) == "" && !slices.Contains(told, codes.GPUSharedAllowed) {
			d.warn(n.Code, n.Message)
		}
	}
	d.tooShort(c.measured.length, c.measured.window)
	d.noPhases(c.measured.length)
	return nil
}

// collect measures on an engine that has loaded its model.
func (d *desk) collect(ctx context.Context, c *collected) error {
	e := c.engine
	requests, err := d.requests(ctx, c.input, e.session)
	if err != nil {
		return err
	}
	d.record.WorkloadHash = workload.Hash(requests)
	c.work = newWork(d.Experiment, requests)
	if c.idles, err = d.measureResident(ctx, c.processes, e.runs > 1, c.idles); err != nil {
		return err
	}
	warm, err := c.work.forWarmUp(c.input.vocab(e.session), d.Experiment.Seed)
	if err != nil {
		return err
	}
	var warmNS int64
	err = c.processes.Watch(ctx, d.Meters, func() (err error) {
		warmNS, err = d.warmUp(ctx, e.session, warm)
		return err
	})
	if err != nil {
		return err
	}
	c.processes.Poll(ctx, d.Meters)
	switch a := d.Experiment.Workload.Load; {
	case a.Search != "":
		c.measured, err = d.search(ctx, c, length{warmNS: warmNS, repeats: 1})
	case a.Open():
		c.measured, err = d.measureOpen(ctx, c, d.arrivalsFor(a, d.Experiment.Workload.Prompts), length{warmNS: warmNS})
	default:
		var l length
		if l, err = d.newLength(ctx, c, warmNS); err == nil {
			c.measured, err = d.measureWindow(ctx, c, l)
		}
	}
	if err != nil {
		return err
	}
	c.processes.Poll(ctx, d.Meters)
	c.measured.trace = join.Traces(c.idles.trace, c.measured.trace)
	c.processes.Add(c.measured.trace.Processes)
	c.processes.AddMemory(c.measured.trace.Memory)
	e.processes.Inherit(c.processes, c.measured.window.Start)
	return nil
}

// meterWarnings adds the doubts of the meters.
func (d *desk) meterWarnings() {
	for _, meter := range d.Meters {
		if w, ok := meter.(power.Warner); ok {
			d.record.Warnings = append(d.record.Warnings, w.Warnings()...)
		}
	}
}

func newRecord(o Options) *result.Record {
	runner, image := terms.RunProcess, ""
	if o.Experiment.Runner == terms.RunContainer {
		runner, image = terms.RunContainer, o.Experiment.Image(o.Engine.Image)
	}
	return &result.Record{
		SchemaVersion: result.SchemaVersion, Program: o.Program, ID: o.Experiment.ID(), Cycle: o.Cycle,
		Config:   o.Experiment,
		Backend:  result.Backend{Name: o.Experiment.Backend, Runner: runner, Image: image},
		Energy:   result.Energy{Provenance: result.None, Sources: []string{}, Devices: []result.Device{}},
		Warnings: append(note.List{}, o.Warnings...), Files: map[string]string{},
	}
}

func fail(r *result.Record, status result.Status, f *note.Failure) {
	r.Status, r.Failure = status, f.Whole()
	secret.Clean(r.Failure)
	if r.Energy.Reason == "" {
		r.Energy.Reason = "the run did not finish"
	}
}

// asFailure returns the failure with the class, message and hint of an error.
func asFailure(err error) *note.Failure {
	if me, ok := errors.AsType[*fault.Error](err); ok {
		return &me.Failure
	}
	if de, ok := errors.AsType[*workload.DatasetError](err); ok {
		return &note.Failure{Class: codes.ClassConfig, Message: de.Error()}
	}
	return fault.As(err)
}
