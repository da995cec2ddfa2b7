package llem_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"slices"
	"time"

	"github.com/llenergymeasure/llem"
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/study"
)

// echo is a custom engine: it answers with the tokens of the prompt, repeatedly, one step per token. It runs
// in a separate process, so that an engine that fails does not end the measurement: main starts it if echoEnv
// is set.
type echo struct {
	spec    backend.Spec
	section echoSection
}

// echoEnv marks the process of the engine.
const echoEnv = "ECHO_ENGINE"

// echoSection has the engine's keys in a study: echo.batch_size and echo.step_ms.
type echoSection struct{ batchSize, stepMS int }

func (s *echoSection) Fields() []engine.Field {
	return []engine.Field{
		engine.Whole(&s.batchSize, "batch_size", 1, 1<<20, "sequences processed together"),
		engine.Whole(&s.stepMS, "step_ms", 0, 1000, "how long one step takes, in milliseconds"),
	}
}

// echoEngine describes the engine's keys and properties.
func echoEngine() engine.Descriptor {
	return engine.Descriptor{
		Name: "echo", Title: "Echo",
		Section: func() engine.Section { return &echoSection{batchSize: 1, stepMS: 2} },
		GPU:     func(engine.Section) bool { return false },
		New:     func(engine.Env) backend.Backend { return echoBackend{} },
	}
}

// echoBackend starts the engine from a program; empty means this program.
type echoBackend struct{ program string }

func (echoBackend) Name() string { return "echo" }

func (echoBackend) Probe(context.Context) (backend.Info, error) { return (&echo{}).Info() }

func (b echoBackend) Start(ctx context.Context, spec backend.Spec) (backend.Session, error) {
	program, err := b.program, error(nil)
	if program == "" {
		program, err = os.Executable()
	}
	if err != nil {
		return nil, err
	}
	return backend.StartWorker(ctx, "echo", backend.Command{Path: program, Env: []string{echoEnv + "=1"}}, spec,
		backend.WorkerOptions{})
}

func (e *echo) Info() (backend.Info, error) { return backend.Info{Version: "1.0", Device: "cpu"}, nil }

func (e *echo) Load(_ context.Context, spec backend.Spec, _ func(string, float64)) (backend.Loaded, error) {
	if err := engine.Decode(spec.Options, &e.section); err != nil {
		return backend.Loaded{}, err
	}
	e.spec = spec
	info, err := e.Info()
	return backend.Loaded{Info: info, DType: spec.DType, Vocab: 256, TextVocab: 256}, err
}

func (e *echo) Tokenize(texts []string) ([][]int32, error) {
	out := make([][]int32, len(texts))
	for i, text := range texts {
		for _, b := range []byte(text) {
			out[i] = append(out[i], int32(b))
		}
	}
	return out, nil
}

func (e *echo) Close() {}

// Adapt applies other settings while the model stays loaded.
func (e *echo) Adapt(spec backend.Spec) (backend.Loaded, error) {
	if spec.Path != e.spec.Path {
		return backend.Loaded{}, note.Failf("config", "start the engine again", "a different model is loaded")
	}
	return e.Load(context.Background(), spec, nil)
}

// Run processes batches one after the other: a step over the prompts, which gives the
// first token, and a step for each further one.
func (e *echo) Run(ctx context.Context, w backend.Workload) (*backend.Log, error) {
	if w.OutputTokens < 1 {
		return nil, note.Failf("config", "ask for one or more", "no output tokens were requested")
	}
	out := &backend.Log{StepClock: "host", StartNS: clock.Mono()}
	for _, prompts := range w.Batches(max(1, e.spec.BatchSize)) {
		if err := e.batch(ctx, prompts, w.OutputTokens, out); err != nil {
			return nil, err
		}
	}
	out.EndNS = clock.Mono()
	return out, nil
}

func (e *echo) batch(ctx context.Context, prompts []backend.Prompt, tokens int, out *backend.Log) error {
	requests := make([]backend.Request, len(prompts))
	submitted := clock.Mono()
	for _, p := range prompts {
		if err := e.check(p, tokens); err != nil {
			return err
		}
	}
	for n := range tokens {
		step := backend.Step{StartNS: clock.Mono(), Sequences: len(prompts)}
		if err := clock.Sleep(ctx, time.Duration(e.section.stepMS)*time.Millisecond); err != nil {
			return err
		}
		step.EndNS = clock.Mono()
		for i, p := range prompts {
			r := &requests[i]
			if n == 0 {
				*r = backend.Request{ID: p.ID, SubmittedNS: submitted, StartedNS: submitted,
					PrefillStartNS: step.StartNS, FirstTokenNS: step.EndNS,
					PromptTokens: len(p.Tokens), PromptComputed: len(p.Tokens)}
				step.PrefillTokens += len(p.Tokens)
			} else {
				step.DecodeTokens++
			}
			r.TokenNS = append(r.TokenNS, step.EndNS)
			r.Output = append(r.Output, p.Tokens[n%len(p.Tokens)])
			step.ContextTokens += int64(len(p.Tokens) + n)
		}
		out.Steps = append(out.Steps, step)
	}
	for i := range requests {
		r := &requests[i]
		r.EndNS, r.OutputTokens, r.FinishReason, r.OK = r.TokenNS[tokens-1], tokens, "length", true
	}
	out.Requests = append(out.Requests, requests...)
	return nil
}

// check rejects a prompt that the engine cannot process.
func (e *echo) check(p backend.Prompt, tokens int) error {
	bad := func(id int32) bool { return id < 0 || id > 255 }
	switch {
	case len(p.Tokens) == 0 || len(p.Tokens)+tokens > e.spec.MaxContext:
		return note.Failf("config", "shorten the prompt", "prompt %d is empty or too long", p.ID)
	case slices.ContainsFunc(p.Tokens, bad):
		return note.Failf("config", "use bytes", "prompt %d has tokens outside the byte range", p.ID)
	}
	return nil
}

// A custom engine in a study: its keys are checked and its runs measured like any other's. Its process is
// this program, whose main contains
//
//	if os.Getenv(echoEnv) != "" {
//		log.Fatal(backend.ServeWorker(&echo{}))
//	}
func ExampleOptions_backends() {
	self, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "llem-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s, err := study.Load(study.Options{Engines: append(engines.All(), echoEngine()), Settings: []study.Setting{
		study.Set("model", "random:tiny-llama"), study.Set("backend", "echo"), study.Set("echo.step_ms", []int{1, 4}),
		study.Set("workload.prompts", 2), study.Set("workload.output_tokens", 8), study.Set("execution.cycles", 1),
		study.Set("baseline.seconds", 0), study.Set("baseline.resident_seconds", 0),
		study.Set("energy.min_window", 0), study.Set("energy.sources", "none"),
	}})
	if err != nil {
		log.Fatal(err)
	}
	r, err := llem.Run(context.Background(), s,
		llem.Options{Results: dir, Backends: []backend.Backend{echoBackend{self}}})
	if err != nil {
		log.Fatal(err)
	}
	for _, run := range r.Runs {
		fmt.Println(run.Backend.Name, run.Status, run.Tokens.Output, "tokens")
	}
	// Output:
	// echo ok 16 tokens
	// echo ok 16 tokens
}
