// Package measure runs one experiment once.
//
//	prepare the model → idle baseline → start the engine → warm up →
//	[ counter edge | window over all requests | counter edge ] → stop → join
//
// The join turns the raw material of a run (request log, step log, power trace,
// all on CLOCK_MONOTONIC) into a result.Record. It is a pure function of that
// material, which is written beside the result.
package measure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/attribute"
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/clock"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/workload"
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
	Warnings []result.Warning
	Store    model.Store
	// Threads is the engine's number of threads where the study leaves it open.
	Threads int
	// LogPath receives the engine's output.
	LogPath string
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
	r := &run{Options: o, record: newRecord(o)}
	err := r.do(ctx)
	if err == nil {
		r.record.Status = result.OK
		return r.outcome(), nil
	}
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), ErrTimeout) {
		r.fail(result.Interrupted, &backend.Failure{Class: backend.ClassInterrupted,
			Message: "interrupted", Hint: "run it again"})
		return r.outcome(), context.Cause(ctx)
	}
	if errors.Is(context.Cause(ctx), ErrTimeout) {
		err = &backend.Failure{Class: backend.ClassTimeout, Message: "the run took longer than its limit (" + r.doing + ")",
			Hint: "raise --timeout, or use fewer prompts or output tokens"}
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
	resolved model.Resolved
	loaded   backend.Loaded
	requests []workload.Request
	prompts  []workload.Prompt
	baseline map[string]Idle
	// idleSamples are those of the baseline; they go to disk with the others.
	idleSamples []power.Sample
	doing       string
}

func newRecord(o Options) *result.Record {
	return &result.Record{
		SchemaVersion: result.SchemaVersion, ID: o.Experiment.ID(), Cycle: o.Cycle, Config: o.Experiment,
		Backend:  result.Backend{Name: o.Experiment.Backend, Runner: "process"},
		Energy:   result.Energy{Provenance: result.None, Sources: []string{}, Devices: []result.Device{}},
		Warnings: append([]result.Warning{}, o.Warnings...), Files: map[string]string{},
	}
}

func (r *run) outcome() *Outcome { return &Outcome{r.record, r.series, r.loaded} }

func (r *run) fail(status result.Status, f *backend.Failure) {
	r.record.Status = status
	r.record.Failure = &result.Failure{Class: string(f.Class), Message: f.Error(), Hint: f.Hint, LogTail: f.LogTail}
	if r.record.Energy.Reason == "" {
		r.record.Energy.Reason = "the run did not finish"
	}
}

// asFailure keeps the class, message and hint that an error brings.
func asFailure(err error) *backend.Failure {
	if me, ok := errors.AsType[*model.Error](err); ok {
		return &backend.Failure{Class: backend.Class(me.Class), Message: me.Msg, Hint: me.Hint, Err: me.Err}
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

// note is a warning of the record that the user also sees at once.
func (r *run) note(code, message string) {
	r.record.Warn(code, message)
	r.emit(event.Note{Code: code, Message: message})
}

func (r *run) do(ctx context.Context) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	if err := r.measureBaseline(ctx); err != nil {
		return err
	}
	session, err := r.start(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	if err := r.shape(ctx, session); err != nil {
		return err
	}
	if err := r.warmUp(ctx, session); err != nil {
		return err
	}
	m, err := r.window(ctx, session)
	if err != nil {
		return err
	}
	r.phase(event.Finish, "")
	if err := session.Close(); err != nil {
		return err
	}
	if err := nothingDone(m.log); err != nil {
		r.series = rows(m, r.idleSamples, r.taskOf())
		return err
	}
	r.join(m)
	return nil
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

// prepare resolves the model and reads the data set, before anything is started.
func (r *run) prepare(ctx context.Context) error {
	r.phase(event.Prepare, r.Experiment.Model)
	if d := r.Experiment.Workload.Dataset; d != workload.SyntheticSource {
		set, err := workload.Load(d)
		if err != nil {
			return err
		}
		if r.prompts, err = set.Select(r.Experiment.Workload.Prompts); err != nil {
			return err
		}
		if w := set.Warning(); w != "" {
			r.note("dataset_skipped", w)
		}
	}
	format := model.FormatGGUF
	if r.Experiment.Backend != study.Embedded {
		format = model.FormatHF
	}
	resolved, err := r.Store.Resolve(ctx, model.Request{
		Model: r.Experiment.Model, Format: format, DType: r.Experiment.DType, Seed: r.Experiment.Seed,
		Progress: func(done, total int64) {
			if total > 0 {
				r.emit(event.Progress{Phase: event.Prepare, Fraction: float64(done) / float64(total),
					Detail: unit.Bytes(done).String() + " of " + unit.Bytes(total).String()})
			}
		},
	})
	if err != nil {
		return err
	}
	r.resolved = resolved
	r.record.Synthetic = resolved.Synthetic
	if resolved.Synthetic {
		r.record.Warn("synthetic", "random weights: the arithmetic and its energy are those of the shape, not of a trained model")
	}
	return r.checkDType()
}

// checkDType refuses a dtype that a finished GGUF file does not have.
func (r *run) checkDType() error {
	want, have := r.Experiment.DType, string(r.resolved.DType)
	if r.Experiment.Backend != study.Embedded || want == study.DTypeAuto || have == want {
		return nil
	}
	if have == "" {
		have = "a mixture of types"
	}
	return backend.Failf(backend.ClassUnsupportedDType, "leave dtype out (auto), or give a file with "+want+" weights",
		"%s holds %s weights, not %s", r.Experiment.Model, have, want)
}

// dtype is what the engine is asked for.
func (r *run) dtype() string {
	switch {
	case r.Experiment.DType != study.DTypeAuto:
		return r.Experiment.DType
	case r.Experiment.Backend == study.Embedded && r.resolved.DType != "":
		return string(r.resolved.DType)
	case r.Experiment.Backend == study.Embedded:
		return "mixed"
	}
	return "bfloat16"
}

func (r *run) start(ctx context.Context) (backend.Session, error) {
	r.phase(event.Load, r.Experiment.Backend+" "+r.dtype())
	began := clock.Mono()
	e := r.Experiment
	if e.Backend == study.Embedded && e.Embedded.Threads == 0 {
		embedded := *e.Embedded
		embedded.Threads = r.Threads
		e.Embedded = &embedded
	}
	session, err := r.Backend.Start(ctx, backend.Spec{
		Model: e.Model, Path: r.resolved.Path, Synthetic: r.resolved.Synthetic, DType: r.dtype(), Seed: e.Seed,
		BatchSize: e.BatchSize(), MaxContext: e.Workload.InputTokens + e.Workload.OutputTokens,
		Options: e.Section(), LogPath: r.LogPath,
		Progress: func(phase string, fraction float64) {
			r.emit(event.Progress{Phase: event.Load, Fraction: fraction, Detail: phase})
		},
	})
	if err != nil {
		return nil, err
	}
	r.loaded = session.Loaded()
	r.record.Timing.LoadS = since(began)
	for _, n := range r.loaded.Notes {
		r.note("engine", n)
	}
	r.describeBackend()
	return session, nil
}

func since(mono int64) float64 { return float64(clock.Mono()-mono) / 1e9 }

// shape turns prompts into token ids of exact length.
func (r *run) shape(ctx context.Context, session backend.Session) (err error) {
	w := r.Experiment.Workload
	if w.Dataset == workload.SyntheticSource {
		size := r.loaded.TextVocab
		if r.resolved.Synthetic {
			size = byteVocab
		}
		r.requests, err = workload.Synthetic(w.Prompts, w.InputTokens, workload.Vocab{Size: size}, r.Experiment.Seed)
	} else {
		texts := make([]string, len(r.prompts))
		for i, p := range r.prompts {
			texts[i] = p.Text
		}
		var ids [][]int32
		if ids, err = session.Tokenize(ctx, texts); err != nil {
			return err
		}
		r.requests, err = workload.Truncate(r.prompts, ids, w.InputTokens)
	}
	if err == nil {
		r.record.WorkloadHash = workload.Hash(r.requests)
	}
	return err
}

// byteVocab is the ordinary part of a random model's vocabulary: one id per byte.
const byteVocab = 256

// work makes the engine's workload from requests.
func (r *run) work(requests []workload.Request) backend.Workload {
	prompts := make([]backend.Prompt, len(requests))
	for i, q := range requests {
		prompts[i] = backend.Prompt{ID: q.ID, Tokens: q.Tokens}
	}
	return backend.Workload{Requests: prompts, OutputTokens: r.Experiment.Workload.OutputTokens}
}

// warmUp runs every batch size of the window once, a full batch and a smaller last
// one, and throws the result away.
func (r *run) warmUp(ctx context.Context, session backend.Session) error {
	began := clock.Mono()
	full := min(r.Experiment.BatchSize(), len(r.requests))
	rest := len(r.requests) % full
	sample := slices.Concat(r.requests[:full], r.requests[len(r.requests)-rest:])
	for i := range r.Experiment.Warmup.Runs {
		r.phase(event.Warmup, fmt.Sprintf("%d of %d", i+1, r.Experiment.Warmup.Runs))
		if _, err := session.Run(ctx, r.work(sample)); err != nil {
			return err
		}
	}
	r.record.Timing.WarmupS = since(began)
	if r.Experiment.Warmup.Runs == 0 {
		r.record.Warn("no_warmup", "warmup.runs is 0: the first requests include one-time costs")
	}
	return nil
}

// material is the raw outcome of the window.
type material struct {
	log    *backend.Log
	trace  power.Trace
	window attribute.Window
	anchor clock.Anchor
}

// window measures the whole workload once.
func (r *run) window(ctx context.Context, session backend.Session) (m material, err error) {
	r.phase(event.Measure, fmt.Sprintf("%d requests", len(r.requests)))
	sampler := r.sampler()
	sampler.Start(ctx)
	defer func() {
		// Stop also after an error, within bounds.
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		m.trace = sampler.Stop(stopCtx)
	}()
	m.anchor = clock.Now()
	work := r.work(r.requests)
	work.Progress = func(done, total int) {
		r.emit(event.Progress{Phase: event.Measure, Fraction: float64(done) / float64(max(total, 1)),
			Detail: fmt.Sprintf("%d of %d requests", done, total)})
	}
	work.Finished = func() {
		m.window.End = clock.Mono()
		mark(ctx, sampler)
	}
	mark(ctx, sampler)
	m.window.Start = clock.Mono()
	m.log, err = session.Run(ctx, work)
	if err == nil && m.window.End == 0 {
		err = backend.Failf(backend.ClassProtocol, "", "the engine gave results without saying that it finished")
	}
	if err == nil {
		err = sleep(ctx, settle)
	}
	return m, err
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
	s.CounterInterval = counterInterval
	s.OnPower = func(device string, w unit.Watts) { r.emit(event.Power{Device: device, Watts: float64(w)}) }
	return s
}

// sleep waits, or returns early with the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
