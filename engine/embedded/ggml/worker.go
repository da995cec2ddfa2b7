//go:build cgo

package ggml

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/ollama/ollama/ml"
	"github.com/ollama/ollama/model"
	_ "github.com/ollama/ollama/model/models" // the architectures
	"github.com/ollama/ollama/tokenizer"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/engine/embedded/internal/core"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/note"
)

// WorkerMain runs a worker process until it exits.
func WorkerMain() error {
	// The engine's libraries log through slog's default; the log is engine.log.
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	return backend.ServeWorker(&worker{})
}

// worker implements backend.Engine with one loaded model.
type worker struct {
	model model.Model
	text  tokenizer.Tokenizer
	opt   core.Section
	vocab int
	spec  backend.Spec // the requested settings
}

// Info implements backend.Engine.
func (e *worker) Info() (backend.Info, error) { return core.Info() }

// Load implements backend.Engine.
func (e *worker) Load(ctx context.Context, spec backend.Spec, progress func(string, float64)) (_ backend.Loaded,
	err error) {
	defer func() { err = noMemory(recover(), err, spec) }()
	opt, err := core.Settings(spec)
	if err != nil {
		return backend.Loaded{}, err
	}
	e.opt, e.spec = opt, spec
	if e, ok := errors.AsType[*fault.Error](core.Reads(spec.Path)); ok {
		return backend.Loaded{}, &e.Failure
	}
	m, err := model.New(spec.Path, ml.BackendParams{AllocMemory: true, NumThreads: opt.Threads})
	if err != nil {
		return backend.Loaded{}, loadFailure(err, spec)
	}
	e.model = m
	if m.Config().Cache == nil {
		return backend.Loaded{}, note.Failf(codes.ClassUnsupportedModel, "use a text-generation model",
			"%s has no KV cache: it does not generate text", spec.Model)
	}
	m.Config().Cache.Init(m.Backend(), ml.DTypeF16, opt.BatchSize, spec.MaxContext, opt.PrefillChunk)
	if err := e.reserve(); err != nil {
		return backend.Loaded{}, err
	}
	if err := m.Backend().Load(ctx, func(f float32) { progress("load", float64(f)) }); err != nil {
		return backend.Loaded{}, loadFailure(err, spec)
	}
	text, ok := m.(tokenizer.Tokenizer)
	if !ok {
		return backend.Loaded{}, note.Failf(codes.ClassUnsupportedModel, "use a text-generation model",
			"%s has no tokenizer that the engine knows", spec.Model)
	}
	e.text = text
	return e.describe()
}

// Adapt implements backend.Adaptable. The KV cache is laid out once: only a specification of the same sizes is
// accepted.
func (e *worker) Adapt(spec backend.Spec) (backend.Loaded, error) {
	opt, err := core.Settings(spec)
	if err != nil {
		return backend.Loaded{}, err
	}
	if e.model == nil || opt != e.opt || spec.Path != e.spec.Path || spec.MaxContext != e.spec.MaxContext {
		return backend.Loaded{}, backend.NeedsRestart("the KV cache was laid out for other sizes")
	}
	e.spec = spec
	return e.describe()
}

// describe returns how the model actually runs.
func (e *worker) describe() (backend.Loaded, error) {
	info, err := core.Info()
	if err != nil {
		return backend.Loaded{}, err
	}
	values := e.text.Vocabulary().Values
	e.vocab = len(values)
	weights := int64(0)
	for _, w := range e.model.Backend().BackendMemory().CPU.Weights {
		weights += int64(w)
	}
	return backend.Loaded{
		Info: info, DType: e.spec.DType, Attention: "ggml", Threads: e.opt.Threads,
		Vocab: e.vocab, TextVocab: textVocab(e.text), WeightBytes: weights,
		Settings: map[string]string{"dtype": e.spec.DType, "batch_size": strconv.Itoa(e.opt.BatchSize),
			"threads": strconv.Itoa(e.opt.Threads), "prefill_chunk": strconv.Itoa(e.opt.PrefillChunk)},
	}, nil
}

// textVocab bounds the ids of ordinary text: one above the last normal or byte token. Control tokens in between,
// which some vocabularies have at the start, are below it.
func textVocab(t tokenizer.Tokenizer) int {
	v := t.Vocabulary()
	for id, kind := range slices.Backward(v.Types) {
		switch kind {
		case tokenizer.TOKEN_TYPE_NORMAL, tokenizer.TOKEN_TYPE_BYTE:
			return id + 1
		}
	}
	return len(v.Values)
}

// Tokenize implements backend.Engine.
func (e *worker) Tokenize(texts []string) ([][]int32, error) {
	if e.text == nil {
		return nil, note.Failf(codes.ClassProtocol, "", "tokenize before load")
	}
	out := make([][]int32, len(texts))
	for i, text := range texts {
		ids, err := e.text.Encode(text, false)
		if err != nil {
			return nil, fmt.Errorf("tokenize text %d: %w", i, err)
		}
		out[i] = ids
	}
	return out, nil
}

// Close implements backend.Engine.
func (e *worker) Close() {
	if e.model == nil {
		return
	}
	if c := e.model.Config().Cache; c != nil {
		c.Close()
	}
	e.model.Backend().Close()
	e.model = nil
}

// Run implements backend.Engine: static batches of the configured size, one
// after the other, round by round.
func (e *worker) Run(ctx context.Context, w backend.Workload) (*backend.Log, error) {
	if e.model == nil {
		return nil, note.Failf(codes.ClassProtocol, "", "run before load")
	}
	if err := w.Check(e.spec.MaxContext, e.vocab); err != nil {
		return nil, err
	}
	batches := w.Batches(e.opt.BatchSize)
	log := newLog(w, len(batches))
	resetPeakMemory()
	log.StartNS = clock.Mono()
	for _, prompts := range batches {
		b := newBatch(e, prompts, w.OutputTokens, log)
		if err := b.run(ctx); err != nil {
			return nil, err
		}
		if w.Progress != nil {
			w.Progress(len(log.Requests), len(w.Requests))
		}
	}
	log.EndNS = clock.Mono()
	log.PeakMemoryBytes, log.MemorySource = peakMemory()
	return log, nil
}

// newLog allocates everything that the run will write, so that the window itself
// allocates nothing per token beyond what the engine does.
func newLog(w backend.Workload, batches int) *backend.Log {
	return &backend.Log{
		StepClock: "host",
		Requests:  make([]backend.Request, 0, len(w.Requests)),
		Steps:     make([]backend.Step, 0, batches*(w.OutputTokens+8)),
	}
}

// loadFailure classifies an error of the engine about a model file.
func loadFailure(err error, spec backend.Spec) error {
	f := &note.Failure{Class: codes.ClassCorruptModel, Message: "load " + spec.Model, Err: err,
		Next: "check the file, or download it again"}
	switch {
	case errors.Is(err, os.ErrNotExist):
		f.Class, f.Next = codes.ClassModelNotFound, "check the path"
	case errors.Is(err, model.ErrUnsupportedModel), errors.Is(err, model.ErrUnsupportedTokenizer),
		strings.Contains(err.Error(), "unsupported"):
		f.Class, f.Next = codes.ClassUnsupportedModel,
			"the embedded engine does not run this architecture or tokenizer: use --backend llamacpp for a GGUF file, "+
				"--backend pytorch for a Hugging Face folder"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		f.Next = "the file is truncated: download it again"
	}
	return f
}

// noMemory turns the engine's allocation panics, and its panics on files that contradict themselves (an index out
// of range, a missing tensor), into a failure and passes other panics on.
func noMemory(r any, err error, spec backend.Spec) error {
	if r == nil {
		return err
	}
	if cause, ok := r.(error); ok {
		if _, ok := errors.AsType[ml.ErrNoMem](cause); ok {
			return &note.Failure{Class: codes.ClassOOMHost, Err: cause,
				Message: fmt.Sprintf("no memory for %s with batch size %d and context %d", spec.Model, spec.BatchSize,
					spec.MaxContext),
				Next: "use a smaller model, dtype, batch size or context"}
		}
		if _, ok := errors.AsType[runtime.Error](cause); ok {
			return &note.Failure{Class: codes.ClassCorruptModel, Err: cause,
				Message: "the engine cannot make sense of " + spec.Model +
					": its metadata, vocabulary and tensors do not " +
					"fit together",
				Next: "download or generate it again, or use --backend llamacpp"}
		}
	}
	panic(r)
}

// resetPeakMemory starts a new peak (proc(5), clear_refs), which excludes earlier runs.
func resetPeakMemory() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o200) }

// peakMemory returns the largest resident size of this process since the last reset.
func peakMemory() (int64, string) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, ""
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			var kib int64
			if _, err := fmt.Sscanf(rest, "%d kB", &kib); err == nil && kib < math.MaxInt64/1024 {
				return kib * 1024, "VmHWM"
			}
		}
	}
	return 0, ""
}
