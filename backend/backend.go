// Package backend starts inference engines and tells, step by step, what they
// did and when.
//
// A [Backend] knows one way of running a model. Start gives a [Session]: an
// engine in a process of its own that has loaded one model. Run feeds it a fixed
// list of token sequences and returns a [Log] with every request and every
// engine step stamped in nanoseconds of CLOCK_MONOTONIC, the clock of the power
// samples. How exactly an engine lets itself be watched is its [Tier], which is
// stored with every result.
//
// Two kinds of process stand behind a session. A worker speaks the JSON-lines
// protocol of this package on private file descriptors (the embedded engine and
// the Python engines); a server speaks HTTP. Both are started in a process group
// of their own and never outlive the parent.
//
// The worker protocol is documented at [protocolVersion].
package backend

import (
	"context"
	"encoding/json"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Tier says how well an engine's steps can be seen.
type Tier string

// Tiers, best first.
const (
	// TierExact: every engine step is seen with its start and end.
	TierExact Tier = "T1"
	// TierCounters: engine counters are sampled while it runs.
	TierCounters Tier = "T2"
	// TierClient: only the client's time stamps are known.
	TierClient Tier = "T3"
)

// Backend is one way of running a model. Its methods may be called concurrently.
type Backend interface {
	// Name is the name used in study files: embedded, pytorch, vllm, …
	Name() string
	// Probe says whether the engine can be started here, and if not, why not and
	// what would help (as a [Failure]). It starts no model.
	Probe(ctx context.Context) (Info, error)
	// Start launches the engine and loads the model. On error nothing is left
	// running. The caller owns the session and must Close it.
	Start(ctx context.Context, spec Spec) (Session, error)
}

// Session is an engine with a model loaded. One call at a time. One that can put
// conversations into the chat template of its model is a chat.Templater.
type Session interface {
	// Loaded describes the engine as it actually runs.
	Loaded() Loaded
	// Tokenize turns texts into the model's token ids, without special tokens
	// added.
	Tokenize(ctx context.Context, texts []string) ([][]int32, error)
	// Run executes the workload once. It returns when the engine has finished;
	// cancelling ctx makes the engine stop between two steps and Run return the
	// context's error within two seconds, killing the engine if it must.
	Run(ctx context.Context, w Workload) (*Log, error)
	// Close stops the engine: politely, then TERM, then KILL. It may be called
	// more than once and after any error.
	Close() error
}

// Adapter is a session whose engine can take other settings while its model stays
// loaded.
type Adapter interface {
	// Adapt makes the engine as if it had been started with spec. After an error the
	// session is of no use but to be closed.
	Adapt(ctx context.Context, spec Spec) error
}

// Adapt gives a session's engine another specification. A session that cannot refuses
// with a [Failure].
func Adapt(ctx context.Context, s Session, spec Spec) error {
	a, ok := s.(Adapter)
	if !ok {
		return NeedsRestart("it has no way to change its settings")
	}
	return a.Adapt(ctx, spec)
}

// NeedsRestart is the failure of a running engine that was asked for settings which it
// takes only when it is started.
func NeedsRestart(format string, args ...any) error {
	return note.Failf(codes.ClassConfig, "start the engine again", format, args...)
}

// Info describes an engine that can be started.
type Info struct {
	// Version of the engine.
	Version string `json:"version"`
	// Device is where models will run: cuda, cpu.
	Device string `json:"device"`
	// Versions of the libraries that matter: torch, transformers, cuda, ggml.
	Versions map[string]string `json:"versions,omitempty"`
	// Notes are remarks for the user, such as "built without fast C++ flags".
	Notes []string `json:"notes,omitempty"`
}

// Spec says what a session must load.
type Spec struct {
	// Model is the model as the user wrote it, for messages.
	Model string `json:"model"`
	// Path is a GGUF file or a Hugging Face folder, as the backend needs it.
	Path string `json:"path"`
	// Synthetic asks for random weights at the shape that Path describes.
	Synthetic bool `json:"synthetic"`
	// DType is the number format of the weights, as study files name it.
	DType string `json:"dtype"`
	// Seed of random weights.
	Seed uint64 `json:"seed"`
	// BatchSize is the number of sequences processed together.
	BatchSize int `json:"batch_size"`
	// MaxContext is the longest prompt plus output, in tokens.
	MaxContext int `json:"max_context"`
	// Decoding says how tokens are chosen; the zero value takes the most likely one.
	Decoding Decoding `json:"decoding,omitzero"`
	// Options holds the backend's own section of the study.
	Options json.RawMessage `json:"options,omitempty"`
	// Container is where the engine runs; nil is a process of this machine.
	Container *Container `json:"-"`
	// Symptoms are what failures of this engine alone are known by in what it prints.
	Symptoms []Symptom `json:"-"`
	// LogPath receives everything the engine prints.
	LogPath string `json:"-"`
	// Progress, if set, is told about loading: a phase word and a fraction.
	Progress func(phase string, fraction float64) `json:"-"`
}

// Decoding says how tokens are chosen. Backends that take the most likely token only
// are never given another one.
type Decoding struct {
	// Temperature of the choice; 0 takes the most likely token.
	Temperature float64 `json:"temperature"`
	// TopP and TopK bound the choice by probability and by number; 0 does not.
	TopP float64 `json:"top_p,omitempty"`
	// TopK is the number of tokens to choose from; 0 is all.
	TopK int `json:"top_k,omitempty"`
	// Seed of the choice; 0 takes that of the model.
	Seed uint64 `json:"seed,omitempty"`
}

// SampleSeed is the seed of the choice.
func (s Spec) SampleSeed() uint64 {
	if s.Decoding.Seed > 0 {
		return s.Decoding.Seed
	}
	return s.Seed
}

// Loaded describes a session as it actually runs; what was asked for is in the
// Spec, and the two are compared.
type Loaded struct {
	Info
	// DType and Attention are what the engine uses.
	DType string `json:"dtype"`
	// Attention is the implementation of attention; empty if the engine does not say.
	Attention string `json:"attention,omitempty"`
	// Threads is the number of the engine's processor threads; 0 if unknown.
	Threads int `json:"threads,omitempty"`
	// Settings are further knobs as the engine uses them, by the names of their keys.
	Settings map[string]string `json:"settings,omitempty"`
	// DeviceUUIDs names the accelerators that hold the model; empty on a CPU.
	DeviceUUIDs []string `json:"device_uuids,omitempty"`
	// Vocab is the number of token ids: [0, Vocab).
	Vocab int `json:"vocab"`
	// TextVocab bounds the token ids that stand for ordinary text: [0, TextVocab).
	TextVocab int `json:"text_vocab"`
	// Parameters is the number of the model's parameters; 0 if unknown.
	Parameters int64 `json:"parameters,omitempty"`
	// WeightBytes is the memory that the weights take.
	WeightBytes int64 `json:"weight_bytes,omitempty"`
	// PID is the engine's process id on this machine.
	PID int `json:"pid"`
	// LoadNS is how long loading, or adapting, took.
	LoadNS int64 `json:"load_ns"`
	// Tier says how well steps can be seen; empty is TierExact.
	Tier Tier `json:"tier,omitempty"`
	// SharedClock says that the handshake proved engine and parent to read one
	// clock. Without it, steps cannot be laid over power samples.
	SharedClock bool `json:"shared_clock"`
	// Image is what the engine runs from in a container.
	Image *Image `json:"-"`
}

// Workload is a fixed piece of work.
type Workload struct {
	// Requests are the prompts, in the order in which they are sent.
	Requests []Prompt `json:"requests"`
	// OutputTokens is forced: end-of-sequence tokens do not stop a request.
	OutputTokens int `json:"output_tokens"`
	// Concurrency is how many requests a server is sent at once; 0 is all.
	Concurrency int `json:"concurrency,omitempty"`
	// Round is how many requests the engine is given at once; the next ones follow when
	// all of these have ended. 0 is one round of all. A workload that is repeated comes
	// in rounds: otherwise its copies would run together, as another workload.
	Round int `json:"round,omitempty"`
	// Progress, if set, is told how many requests have finished, at most a few
	// times a second and never inside a batch.
	Progress func(done, total int) `json:"-"`
	// Finished, if set, is called as soon as the engine says that the work is
	// done, before the logs are transferred.
	Finished func() `json:"-"`
}

// Prompt is one request: token ids, exactly as they are given to the model.
type Prompt struct {
	// ID counts the prompts of a workload, from 0.
	ID int `json:"id"`
	// Tokens are the token ids.
	Tokens []int32 `json:"tokens"`
}

// Log is what happened during one Run.
type Log struct {
	// StartNS and EndNS enclose everything the engine did for this run.
	StartNS int64
	// EndNS is the end of the run, in nanoseconds of CLOCK_MONOTONIC.
	EndNS int64
	// Requests has one entry per prompt.
	Requests []Request
	// Steps are the engine's iterations in their order; empty where it does not show them.
	Steps []Step
	// PeakMemoryBytes is the engine's own peak during the run, 0 if unknown.
	PeakMemoryBytes int64
	// MemorySource says what PeakMemoryBytes counts, such as
	// "torch.cuda.max_memory_allocated" or "VmHWM".
	MemorySource string
	// StepClock says how step limits were taken: "host", "cuda events" or, of a server,
	// "counters".
	StepClock string
	// Reconnects counts connections to a server that had to be made within the run, and
	// SharedStamps tokens that arrived together with the token before them: their time
	// between tokens is not known.
	Reconnects, SharedStamps int
}

// Request is one request as the engine saw it. Stamps are CLOCK_MONOTONIC
// nanoseconds. Three of them make its latencies:
//
//	arrived ──── queue ────▶ started ──── service ────▶ first token ──▶ end
//	└────────────────────── response ─────────────────▶
//
// A request has arrived when it could have been served: with the round that it belongs to,
// when it is due, or, in a closed loop, when its client is free. It has started when the
// engine began its work on it: its static batch was handed over, or the scheduler took it
// into a step for the first time.
type Request struct {
	// ID is that of the prompt.
	ID int `json:"id"`
	// ArrivedNS is when the request could have been served; 0 is the first SubmittedNS of
	// its round.
	ArrivedNS int64 `json:"arrived_ns,omitempty"`
	// SubmittedNS is when the engine was given the request: the whole static batch, or the
	// request as it entered the engine's own queue.
	SubmittedNS int64 `json:"submitted_ns"`
	// StartedNS is when the engine began its work on the request; 0 where it is not known.
	StartedNS int64 `json:"started_ns,omitempty"`
	// PrefillStartNS is when its first prompt token was processed.
	PrefillStartNS int64 `json:"prefill_start_ns"`
	// FirstTokenNS is when its first output token was there.
	FirstTokenNS int64 `json:"first_token_ns"`
	// EndNS is when its last output token was there, or when it failed.
	EndNS int64 `json:"end_ns"`
	// TokenNS has one stamp per output token; the first equals FirstTokenNS.
	TokenNS []int64 `json:"token_ns"`
	// PromptTokens were given, PromptComputed were really processed (a prefix
	// cache computes fewer).
	PromptTokens int `json:"prompt_tokens"`
	// PromptComputed is how many prompt tokens were processed.
	PromptComputed int `json:"prompt_computed"`
	// OutputTokens is how many tokens were generated.
	OutputTokens int `json:"output_tokens"`
	// FinishReason is "length" for a forced output.
	FinishReason string `json:"finish_reason"`
	// OK reports that the request was completed.
	OK bool `json:"ok"`
	// Failure is why the request was not completed; empty if it was.
	Failure string `json:"failure,omitempty"`
	// Output holds the generated ids.
	Output []int32 `json:"output,omitempty"`
}

// Step is one iteration of the engine.
type Step struct {
	// StartNS is the beginning of the step, in nanoseconds of CLOCK_MONOTONIC.
	StartNS int64 `json:"start_ns"`
	// EndNS is its end.
	EndNS         int64 `json:"end_ns"`
	PrefillTokens int   `json:"prefill_tokens"` // prompt tokens processed
	DecodeTokens  int   `json:"decode_tokens"`  // tokens generated by decoding
	Sequences     int   `json:"sequences"`      // sequences taking part
	// ContextTokens is the sum over sequences of the KV cache length after the
	// step.
	ContextTokens int64 `json:"context_tokens"`
}
