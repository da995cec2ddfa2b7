// Package backend starts inference engines and reports, step by step, what they did and when.
//
// A [Backend] knows one way of running a model. Start returns a [Session]: an engine in its own process that has
// loaded one model. Run gives it a fixed list of token sequences and returns a [Log] with every request and every
// engine step, stamped in nanoseconds of CLOCK_MONOTONIC, the clock of the power samples. How closely an engine
// can be observed is its [Tier], which is stored with every result.
//
// A session uses one of two kinds of process. A worker speaks the JSON-lines protocol of this package on private
// file descriptors (the embedded engine and the Python engines); a server speaks HTTP. Each is started in its own
// process group and never outlives the parent.
//
// The worker protocol is documented at [protocolVersion].
package backend

import (
	"context"
	"encoding/json"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Tier is how closely an engine's steps can be observed.
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
	// Probe reports whether the engine can be started here. If it cannot, the error is a [Failure] with the reason and
	// the next step. Probe loads no model.
	Probe(ctx context.Context) (Info, error)
	// Start launches the engine and loads the model. On error no process is left running. The caller must Close the
	// session.
	Start(ctx context.Context, spec Spec) (Session, error)
}

// Session is an engine with a model loaded. Its methods must not be called concurrently. A session that can apply
// its model's chat template is also a chat.Templater.
type Session interface {
	// Loaded describes the engine as it actually runs.
	Loaded() Loaded
	// Tokenize turns texts into the model's token ids, without special tokens
	// added.
	Tokenize(ctx context.Context, texts []string) ([][]int32, error)
	// Run executes the workload once and returns when the engine has finished. Cancelling ctx stops the engine between
	// two steps; Run then returns the context's error within two seconds, and kills the engine if necessary.
	Run(ctx context.Context, w Workload) (*Log, error)
	// Close stops the engine: first a stop request, then TERM, then KILL. It may be called more than once and after
	// any error.
	Close() error
}

// Adapter is a session whose engine can change settings while its model stays loaded.
type Adapter interface {
	// Adapt brings the engine into the state it would have if started with spec. After an error the session can only
	// be closed.
	Adapt(ctx context.Context, spec Spec) error
}

// Adapt changes the settings of a session's engine to match spec. A session that cannot do so returns a
// [Failure].
func Adapt(ctx context.Context, s Session, spec Spec) error {
	a, ok := s.(Adapter)
	if !ok {
		return NeedsRestart("it has no way to change its settings")
	}
	return a.Adapt(ctx, spec)
}

// NeedsRestart returns the failure of a running engine that was given settings it reads only at its start.
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

// Spec is what a session must load.
type Spec struct {
	// Model is the model as the user wrote it, for messages.
	Model string `json:"model"`
	// Path is a GGUF file or a Hugging Face folder, as the backend needs it.
	Path string `json:"path"`
	// Synthetic requests random weights in the shape that Path describes.
	Synthetic bool `json:"synthetic"`
	// DType is the number format of the weights, as study files name it.
	DType string `json:"dtype"`
	// Seed is the seed of random weights.
	Seed uint64 `json:"seed"`
	// BatchSize is the maximum number of sequences per step.
	BatchSize int `json:"batch_size"`
	// MaxContext is the longest prompt plus output, in tokens.
	MaxContext int `json:"max_context"`
	// Decoding is how tokens are chosen; the zero value takes the most likely one.
	Decoding Decoding `json:"decoding,omitzero"`
	// Options holds the backend's own section of the study.
	Options json.RawMessage `json:"options,omitempty"`
	// Container is the image in which the engine runs; nil runs it as a process of this machine.
	Container *Container `json:"-"`
	// Symptoms map lines that only this engine prints to failures.
	Symptoms []Symptom `json:"-"`
	// LogPath is the file that receives the engine's output.
	LogPath string `json:"-"`
	// Progress, if set, receives loading progress: a phase word and a fraction from 0 to 1.
	Progress func(phase string, fraction float64) `json:"-"`
}

// Decoding is how tokens are chosen. A backend that supports greedy decoding only never receives another setting.
type Decoding struct {
	// Temperature of the choice; 0 takes the most likely token.
	Temperature float64 `json:"temperature"`
	// TopP limits the choice to the most likely tokens with this total probability; 0 sets no limit.
	TopP float64 `json:"top_p,omitempty"`
	// TopK is the number of tokens to choose from; 0 sets no limit.
	TopK int `json:"top_k,omitempty"`
	// Seed is the seed of the choice; 0 takes the seed of the model.
	Seed uint64 `json:"seed,omitempty"`
	// MinP limits the choice to tokens with at least this share of the probability of the likeliest; 0 sets no limit.
	MinP float64 `json:"min_p,omitempty"`
	// RepetitionPenalty divides the positive logits of tokens that were there before, and multiplies the negative
	// ones; 0 is none. It changes what the most likely token is, so it also applies at temperature 0.
	RepetitionPenalty float64 `json:"repetition_penalty,omitempty"`
}

// SampleSeed returns the seed of the choice.
func (s Spec) SampleSeed() uint64 {
	if s.Decoding.Seed > 0 {
		return s.Decoding.Seed
	}
	return s.Seed
}

// Loaded describes a session as it actually runs. It is compared with the Spec, which holds what was requested.
type Loaded struct {
	Info
	// DType is the number format that the engine uses.
	DType string `json:"dtype"`
	// Attention is the implementation of attention; empty if the engine does not report it.
	Attention string `json:"attention,omitempty"`
	// Threads is the number of the engine's CPU threads; 0 if unknown.
	Threads int `json:"threads,omitempty"`
	// Settings are further settings as the engine uses them, by key.
	Settings map[string]string `json:"settings,omitempty"`
	// DeviceUUIDs names the accelerators that hold the model; empty on a CPU.
	DeviceUUIDs []string `json:"device_uuids,omitempty"`
	// Vocab is the number of token ids: [0, Vocab).
	Vocab int `json:"vocab"`
	// TextVocab bounds the token ids of ordinary text: [0, TextVocab).
	TextVocab int `json:"text_vocab"`
	// Parameters is the number of model parameters; 0 if unknown.
	Parameters int64 `json:"parameters,omitempty"`
	// WeightBytes is the memory of the weights.
	WeightBytes int64 `json:"weight_bytes,omitempty"`
	// PID is the engine's process id on this machine.
	PID int `json:"pid"`
	// LoadNS is the duration of loading, or adapting.
	LoadNS int64 `json:"load_ns"`
	// Tier is how closely steps can be observed; empty means TierExact.
	Tier Tier `json:"tier,omitempty"`
	// Schedules reports that the engine takes requests while it works, see [Workload.Open]. A worker that does not say
	// so is given none.
	Schedules bool `json:"schedules,omitempty"`
	// SharedClock reports that the handshake proved engine and parent to read the same clock. Without it, steps cannot
	// be matched with power samples.
	SharedClock bool `json:"shared_clock"`
	// Image is the container image of the engine; nil outside of containers.
	Image *Image `json:"-"`
}

// Workload is a fixed piece of work.
type Workload struct {
	// Requests are the prompts, in the order in which they are sent.
	Requests []Prompt `json:"requests"`
	// OutputTokens is the number of output tokens per request. End-of-sequence tokens do not stop a request.
	OutputTokens int `json:"output_tokens"`
	// Concurrency is the maximum number of requests in flight; 0 sends all at once. An engine that does not take
	// requests while it works ignores it.
	Concurrency int `json:"concurrency,omitempty"`
	// Open sends each request when it is due, however many are in flight: an open loop. A Concurrency above 0 is then a
	// cap; a request that waits for it is marked.
	Open bool `json:"open,omitempty"`
	// DrainNS is the time after the last arrival of an open loop, in nanoseconds, after which requests without an end
	// are cut; 0 waits for all, as long as the engine makes progress.
	DrainNS int64 `json:"drain_ns,omitempty"`
	// Round is the number of requests that the engine receives at once. The next round follows when all of them have
	// ended; 0 puts all requests into one round. Repetitions of a workload are rounds: without them the copies would
	// run concurrently, as a different workload.
	Round int `json:"round,omitempty"`
	// Progress, if set, receives the number of finished requests, at most a few times a second and never within a
	// batch.
	Progress func(done, total int) `json:"-"`
	// Finished, if set, is called as soon as the engine reports the end of the work, before the logs are transferred.
	Finished func() `json:"-"`
}

// Prompt is one request: token ids, exactly as the model receives them.
type Prompt struct {
	// ID counts the prompts of a workload, from 0.
	ID int `json:"id"`
	// Tokens are the token ids.
	Tokens []int32 `json:"tokens"`
	// Output is the number of output tokens of this request; 0 takes the workload's.
	Output int `json:"output,omitempty"`
	// DueNS is when the request is due in an open loop, in nanoseconds after the start of the run.
	DueNS int64 `json:"due_ns,omitempty"`
	// After is the ID of the request whose answer this request continues, nil for none: it is sent no earlier than
	// WaitNS after the end of that request, and its tokens follow that request's prompt and output.
	After *int `json:"after,omitempty"`
	// WaitNS is the time between the end of the request before and this one, in nanoseconds.
	WaitNS int64 `json:"wait_ns,omitempty"`
}

// Log is what happened during one Run.
type Log struct {
	// StartNS is the beginning of the run, in nanoseconds of CLOCK_MONOTONIC. StartNS and EndNS enclose everything
	// that the engine did for the run.
	StartNS int64
	// EndNS is the end of the run, in nanoseconds of CLOCK_MONOTONIC.
	EndNS int64
	// Requests has one entry per prompt.
	Requests []Request
	// Steps are the engine's iterations in order; empty if the engine does not report them.
	Steps []Step
	// PeakMemoryBytes is the peak memory of the engine during the run; 0 if unknown.
	PeakMemoryBytes int64
	// MemorySource is what PeakMemoryBytes counts, such as "torch.cuda.max_memory_allocated" or "VmHWM".
	MemorySource string
	// StepClock is how the limits of steps were taken: "host", "cuda events" or, for a server, "counters".
	StepClock string
	// Reconnects counts connections to a server that were opened within the run. SharedStamps counts tokens that
	// arrived together with the preceding token, so that the time between the two is unknown.
	Reconnects, SharedStamps int
}

// Request is one request as the engine saw it. Stamps are nanoseconds of CLOCK_MONOTONIC. Three of them define the
// latencies:
//
//	arrived ──── queue ────▶ started ──── service ────▶ first token ──▶ end
//	└────────────────────── response ─────────────────▶
//
// A request arrives when it could be served: with its round, when it is due, or, in a closed loop, when its client
// is free. It starts when the engine begins to work on it: when its static batch is handed over, or when the
// scheduler first takes it into a step.
type Request struct {
	// ID is the ID of the prompt.
	ID int `json:"id"`
	// ArrivedNS is when the request could be served; 0 means the first SubmittedNS of its round.
	ArrivedNS int64 `json:"arrived_ns,omitempty"`
	// SubmittedNS is when the engine received the request: with its whole static batch, or when the request entered
	// the engine's own queue.
	SubmittedNS int64 `json:"submitted_ns"`
	// StartedNS is when the engine began to work on the request; 0 if unknown.
	StartedNS int64 `json:"started_ns,omitempty"`
	// PrefillStartNS is when its first prompt token was processed.
	PrefillStartNS int64 `json:"prefill_start_ns"`
	// FirstTokenNS is when its first output token was available.
	FirstTokenNS int64 `json:"first_token_ns"`
	// EndNS is when its last output token was available, or when it failed.
	EndNS int64 `json:"end_ns"`
	// WrittenNS is when a client had written the request, FirstByteNS when the first byte of the answer arrived, and
	// DoneNS when the answer was complete; 0 if there is no client.
	WrittenNS   int64 `json:"written_ns,omitempty"`
	FirstByteNS int64 `json:"first_byte_ns,omitempty"` // see WrittenNS
	DoneNS      int64 `json:"done_ns,omitempty"`       // see WrittenNS
	// Capped reports that the request was due but waited for Workload.Concurrency.
	Capped bool `json:"capped,omitempty"`
	// Cut reports that the request had no end Workload.DrainNS after the last arrival; OK is then false.
	Cut bool `json:"cut,omitempty"`
	// TokenNS has one stamp per output token; the first equals FirstTokenNS.
	TokenNS []int64 `json:"token_ns"`
	// PromptTokens is the number of prompt tokens in the request.
	PromptTokens int `json:"prompt_tokens"`
	// PromptComputed is the number of prompt tokens that were processed; a prefix cache makes it smaller than
	// PromptTokens.
	PromptComputed int `json:"prompt_computed"`
	// OutputTokens is the number of generated tokens.
	OutputTokens int `json:"output_tokens"`
	// FinishReason is "length" for a forced output.
	FinishReason string `json:"finish_reason"`
	// OK reports that the request was completed.
	OK bool `json:"ok"`
	// Failure is the reason why the request was not completed; empty if it was.
	Failure string `json:"failure,omitempty"`
	// Output holds the generated ids.
	Output []int32 `json:"output,omitempty"`
}

// Step is one iteration of the engine.
type Step struct {
	// StartNS is the beginning of the step, in nanoseconds of CLOCK_MONOTONIC.
	StartNS int64 `json:"start_ns"`
	// EndNS is the end of the step.
	EndNS         int64 `json:"end_ns"`
	PrefillTokens int   `json:"prefill_tokens"` // prompt tokens processed
	DecodeTokens  int   `json:"decode_tokens"`  // tokens generated by decoding
	Sequences     int   `json:"sequences"`      // sequences in the step
	// ContextTokens is the sum over sequences of the KV cache length after the step.
	ContextTokens int64 `json:"context_tokens"`
}
