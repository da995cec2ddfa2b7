package sim

import (
	"cmp"
	"context"
	"hash/fnv"
	"math"
	"os"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Kinds of batching.
const (
	// Static batches run one prefill step and then one step per further token; the next batch starts when the
	// previous one has ended.
	Static = "static"
	// Continuous batching admits a request as soon as there is room, computes prompts
	// in chunks and decodes in the same steps.
	Continuous = "continuous"
)

// EngineOptions describe a simulated engine.
type EngineOptions struct {
	Model    Model
	Batching string // Static or Continuous; empty is Static
	// BatchSize is the number of sequences in a static batch, and the largest number that run together in
	// continuous batching.
	BatchSize int
	// ChunkTokens bounds the tokens of one step in continuous batching.
	ChunkTokens int
	Arrivals    Arrivals
	// OutputVary is the largest relative deviation from the requested output length in continuous batching.
	OutputVary float64
	// PrefixCache keeps what was computed of earlier requests of a run, in blocks; the other requests of continuous
	// batching that begin alike do not compute it again. A run begins with an empty cache.
	PrefixCache bool
	// StepGap and BatchGap are the idle times after each step and each static batch.
	StepGap, BatchGap time.Duration
	// StampLag is the delay of true power after the logged limits of steps, and StampJitter the largest
	// additional error of a logged limit.
	StampLag, StampJitter time.Duration
	Seed                  uint64
	// Scale is the fraction of the model's power that each GPU draws; nil means all of it on every usable
	// GPU. A GPU with 0 holds no model.
	Scale []float64
	// Memory is the model's memory on each GPU, in bytes.
	Memory int64
	// Now returns CLOCK_MONOTONIC in nanoseconds; nil means the real clock.
	Now func() int64
}

// Vocab is the vocabulary size of the simulated engine's tokenizer: bytes.
const Vocab = 256

// Engine is a backend.Engine that computes nothing. It takes time and draws power according to its model, and
// logs its steps with the stamps of that power.
type Engine struct {
	opts   EngineOptions
	file   *File
	now    func() int64
	source *source
	spec   backend.Spec
	steps  []TrueStep
	// at is the end of the last step, if the next one follows without pause.
	at int64
	// stamped is the last true limit, and stamp the logged time for it.
	stamped, stamp int64
	stamps         int64
	cached         blocks
}

var _ backend.Engine = (*Engine)(nil)

// NewEngine returns an engine whose power goes to a file.
func NewEngine(f *File, o EngineOptions) *Engine {
	if o.BatchSize <= 0 {
		o.BatchSize = 1
	}
	if o.ChunkTokens <= 0 {
		o.ChunkTokens = 512
	}
	if o.Now == nil {
		o.Now = clock.Mono
	}
	if o.Scale == nil {
		for gpu := range f.GPUs() {
			o.Scale = append(o.Scale, 1)
			if f.unusable(gpu, o.Now()) {
				o.Scale[gpu] = 0
			}
		}
	}
	return &Engine{opts: o, file: f, now: o.Now}
}

// Steps returns the true steps since the last call, in order of time.
func (e *Engine) Steps() []TrueStep {
	s := e.steps
	e.steps = nil
	return s
}

// Info implements backend.Engine.
func (*Engine) Info() (backend.Info, error) {
	return backend.Info{Version: "1", Device: "simulated GPU"}, nil
}

// Load implements backend.Engine.
func (e *Engine) Load(ctx context.Context, spec backend.Spec, progress func(string, float64)) (backend.Loaded, error) {
	info, err := e.Info()
	if err != nil {
		return backend.Loaded{}, err
	}
	progress("load", 0)
	e.source = newSource(e.file, &e.opts.Model, e.opts.Scale, e.opts.Seed, e.now(), e.opts.Model.BareW)
	e.source.idle(e.now(), e.opts.Model.IdleW)
	if err := clock.Sleep(ctx, e.opts.Model.Load); err != nil {
		return backend.Loaded{}, err
	}
	e.spec = spec
	l := backend.Loaded{Info: info, DType: spec.DType, Vocab: Vocab, TextVocab: Vocab / 2, WeightBytes: e.opts.Memory,
		Schedules: e.opts.Batching == Continuous}
	for gpu, scale := range e.opts.Scale {
		if scale > 0 {
			l.DeviceUUIDs = append(l.DeviceUUIDs, e.file.UUID(gpu))
			e.file.occupy(gpu, os.Getpid(), e.opts.Memory)
		}
	}
	progress("load", 1)
	return l, nil
}

// Tokenize implements backend.Engine: a token is a byte.
func (*Engine) Tokenize(texts []string) ([][]int32, error) {
	out := make([][]int32, len(texts))
	for i, text := range texts {
		out[i] = make([]int32, len(text))
		for j := range len(text) {
			out[i][j] = int32(text[j])
		}
	}
	return out, nil
}

// Close implements backend.Engine: it frees the memory, and power falls to idle.
func (e *Engine) Close() {
	if e.source == nil {
		return
	}
	e.source.idle(e.now(), e.opts.Model.BareW)
	for gpu, scale := range e.opts.Scale {
		if scale > 0 { // the others may belong to other engines
			e.file.occupy(gpu, 0, 0)
		}
	}
	e.source = nil
}

// Run implements backend.Engine.
func (e *Engine) Run(ctx context.Context, w backend.Workload) (*backend.Log, error) {
	if err := e.check(w); err != nil {
		return nil, err
	}
	e.file.head.runs.Add(1)
	log := &backend.Log{StepClock: "simulated", StartNS: e.now(), PeakMemoryBytes: e.opts.Memory,
		MemorySource: "simulated"}
	e.at, e.cached = 0, blocks{}
	err := e.pad(ctx)
	if err == nil {
		if e.opts.Batching == Continuous {
			err = e.continuous(ctx, w, log)
		} else {
			err = e.static(ctx, w, log)
		}
	}
	e.pause()
	if err == nil {
		err = e.pad(ctx)
	}
	if err != nil {
		return nil, err
	}
	log.EndNS = e.now()
	return log, nil
}

// pad keeps logged stamps, which differ from the true ones, inside the run.
func (e *Engine) pad(ctx context.Context) error {
	return clock.Sleep(ctx, e.opts.StampLag.Abs()+2*e.opts.StampJitter)
}

// check rejects impossible work.
func (e *Engine) check(w backend.Workload) error {
	if e.source == nil {
		return note.Failf(codes.ClassProtocol, "load it first", "run before load")
	}
	if e.opts.Batching != Continuous {
		if err := w.CheckTogether(); err != nil {
			return err
		}
	}
	return w.Check(cmp.Or(e.spec.MaxContext, math.MaxInt), Vocab)
}

// step runs one step and logs it.
func (e *Engine) step(ctx context.Context, w work, sequences int, held int64, log *backend.Log) (backend.Step, error) {
	if e.file.full(0) {
		return backend.Step{}, note.Failf(codes.ClassEngine,
			"use fewer prompts or shorter outputs, and start again",
			"the simulation has no room for more steps")
	}
	start := e.at
	if start == 0 {
		start = e.now()
	}
	p := e.opts.Model.plan(w)
	e.source.step(start, p)
	if err := clock.Sleep(ctx, time.Duration(start+int64(p.duration)-e.now())); err != nil {
		return backend.Step{}, err
	}
	end := e.now()
	e.steps = append(e.steps, TrueStep{Start: start, End: end, Joules: p.joules, PrefillJ: p.prefill,
		DecodeJ: p.decode, Caused: e.source.joules(end),
		Prompts: p.prompts, Outputs: p.outputs})
	s := backend.Step{StartNS: e.logged(start), EndNS: e.logged(end), PrefillTokens: w.prompt, DecodeTokens: w.output,
		Sequences: sequences, ContextTokens: held}
	log.Steps = append(log.Steps, s)
	e.at = end
	return s, e.rest(ctx, e.opts.StepGap)
}

// rest spends idle time between steps.
func (e *Engine) rest(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	e.pause()
	return clock.Sleep(ctx, d)
}

// pause lets the power fall to idle until the next step.
func (e *Engine) pause() {
	at := e.at
	if at == 0 {
		at = e.now()
	}
	e.source.idle(at, e.opts.Model.IdleW)
	e.at = 0
}

// logged returns the stamp in the log for a true limit of a step. Adjacent steps share one stamp.
func (e *Engine) logged(t int64) int64 {
	if t == e.stamped {
		return e.stamp
	}
	at := t - int64(e.opts.StampLag)
	if j := float64(e.opts.StampJitter); j > 0 {
		at += int64((2*uniform(e.opts.Seed, ringNoise+200, e.stamps) - 1) * j)
		e.stamps++
	}
	e.stamped, e.stamp = t, max(at, e.stamp)
	return e.stamp
}

// token returns output token n of a prompt.
func (e *Engine) token(p backend.Prompt, n int) int32 {
	h := fnv.New32a()
	mix := func(v int) { _, _ = h.Write([]byte{byte(v), byte(v >> 8), byte(v >> 16)}) }
	mix(int(e.spec.Seed & 0xffffff))
	mix(n)
	for _, id := range p.Tokens[:min(len(p.Tokens), 64)] {
		mix(int(id))
	}
	return int32(h.Sum32() % Vocab)
}
