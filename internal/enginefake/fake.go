// Package enginefake is an engine that computes nothing, for tests.
package enginefake

import (
	"context"
	"hash/fnv"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/chat"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// FakeVocab is the vocabulary size of a FakeEngine: its tokens are bytes.
const FakeVocab = 256

// FakeTokens returns a FakeEngine's tokens of a text.
func FakeTokens(text string) []int32 {
	ids := make([]int32, len(text))
	for i := range len(text) {
		ids[i] = int32(text[i])
	}
	return ids
}

// FakeTemplate returns a FakeEngine's tokens of a conversation.
func FakeTemplate(c chat.Conversation) []int32 {
	var text strings.Builder
	for _, m := range c {
		text.WriteString("<" + m.Role + ">" + m.Content)
	}
	return FakeTokens(text.String() + "<assistant>")
}

// FakeEngine is a backend.Engine without a model. It computes nothing and logs like a static batch: one prefill
// step, then one step per further token, each lasting StepTime. Its tokens depend only on the seed and the prompt.
type FakeEngine struct {
	// StepTime is the duration of a step; 0 by default.
	StepTime time.Duration

	spec   backend.Spec
	loaded bool
}

// Info implements backend.Engine.
func (*FakeEngine) Info() (backend.Info, error) {
	return backend.Info{Version: "1", Device: "cpu", Notes: []string{"a fake: it computes nothing"}}, nil
}

// Load implements backend.Engine.
func (e *FakeEngine) Load(_ context.Context, spec backend.Spec, progress func(string, float64)) (backend.Loaded,
	error) {
	info, err := e.Info()
	if err != nil {
		return backend.Loaded{}, err
	}
	e.spec, e.loaded = spec, true
	progress("load", 1)
	return backend.Loaded{Info: info, DType: spec.DType, Threads: 1, Vocab: FakeVocab, TextVocab: 128}, nil
}

// Adapt implements backend.Adaptable.
func (e *FakeEngine) Adapt(spec backend.Spec) (backend.Loaded, error) {
	if !e.loaded || spec.Path != e.spec.Path {
		return backend.Loaded{}, backend.NeedsRestart("another model is loaded")
	}
	return e.Load(context.Background(), spec, func(string, float64) {})
}

// Tokenize implements backend.Engine.
func (*FakeEngine) Tokenize(texts []string) ([][]int32, error) {
	out := make([][]int32, len(texts))
	for i, text := range texts {
		out[i] = FakeTokens(text)
	}
	return out, nil
}

// Template implements chat.Templater.
func (e *FakeEngine) Template(_ context.Context, conversations []chat.Conversation) ([][]int32, error) {
	out := make([][]int32, len(conversations))
	for i, c := range conversations {
		out[i] = FakeTemplate(c)
	}
	return out, nil
}

// Close implements backend.Engine.
func (e *FakeEngine) Close() { e.loaded = false }

// Run implements backend.Engine.
func (e *FakeEngine) Run(ctx context.Context, w backend.Workload) (*backend.Log, error) {
	if err := e.check(w); err != nil {
		return nil, err
	}
	log := &backend.Log{StepClock: "host", StartNS: clock.Mono()}
	size := max(1, e.spec.BatchSize)
	for _, prompts := range w.Batches(size) {
		if err := e.batch(ctx, prompts, w.OutputTokens, log); err != nil {
			return nil, err
		}
		if w.Progress != nil {
			w.Progress(len(log.Requests), len(w.Requests))
		}
	}
	log.EndNS = clock.Mono()
	return log, nil
}

func (e *FakeEngine) check(w backend.Workload) error {
	if !e.loaded {
		return note.Failf(codes.ClassProtocol, "load it first", "run before load")
	}
	if w.OutputTokens < 1 {
		return note.Failf(codes.ClassConfig, "set it to 1 or more", "no output tokens asked for")
	}
	for _, p := range w.Requests {
		if len(p.Tokens) == 0 {
			return note.Failf(codes.ClassConfig, "remove it", "prompt %d has no tokens", p.ID)
		}
		if n := len(p.Tokens) + w.OutputTokens; n > e.spec.MaxContext {
			return note.Failf(codes.ClassKVTooSmall, "use a shorter one", "prompt %d needs a context of %d",
				p.ID, n)
		}
		for _, id := range p.Tokens {
			if id < 0 || id >= FakeVocab {
				return note.Failf(codes.ClassConfig, "use bytes", "prompt %d contains token id %d", p.ID, id)
			}
		}
	}
	return nil
}

func (e *FakeEngine) batch(ctx context.Context, prompts []backend.Prompt, output int, log *backend.Log) error {
	requests := make([]backend.Request, len(prompts))
	submitted := clock.Mono()
	prefill := 0
	for i, p := range prompts {
		requests[i] = backend.Request{ID: p.ID, SubmittedNS: submitted, StartedNS: submitted,
			PromptTokens: len(p.Tokens), PromptComputed: len(p.Tokens)}
		prefill += len(p.Tokens)
	}
	for n := range output {
		if err := ctx.Err(); err != nil {
			return err
		}
		step := backend.Step{StartNS: clock.Mono(), Sequences: len(prompts),
			ContextTokens: int64(prefill + n*len(prompts))}
		if n == 0 {
			step.PrefillTokens = prefill
		} else {
			step.DecodeTokens = len(prompts)
		}
		time.Sleep(e.StepTime)
		step.EndNS = clock.Mono()
		log.Steps = append(log.Steps, step)
		for i, p := range prompts {
			requests[i].TokenNS = append(requests[i].TokenNS, step.EndNS)
			requests[i].Output = append(requests[i].Output, e.token(p, n))
		}
	}
	for i := range requests {
		r := &requests[i]
		r.PrefillStartNS, r.FirstTokenNS, r.EndNS = submitted, r.TokenNS[0], r.TokenNS[output-1]
		r.OutputTokens, r.FinishReason, r.OK = output, "length", true
	}
	log.Requests = append(log.Requests, requests...)
	return nil
}

// token returns output number n of a prompt.
func (e *FakeEngine) token(p backend.Prompt, n int) int32 {
	h := fnv.New32a()
	mix := func(v int) { _, _ = h.Write([]byte{byte(v), byte(v >> 8), byte(v >> 16)}) }
	mix(int(e.spec.Seed & 0xffffff))
	mix(n)
	for _, id := range p.Tokens {
		mix(int(id))
	}
	return int32(h.Sum32() % FakeVocab)
}
