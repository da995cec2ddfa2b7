// Package engine describes the engines that the program runs: a [Descriptor] for each, written in the engine's own
// folder. Every other package uses the descriptor, and knows no engine by name.
//
// # A new engine
//
// An engine is a folder engine/<name> and a line in package engine/engines; an engine that runs in this program
// also has a line in package engine/workers. The folder has
//
//   - a struct with the engine's settings. Its method Fields lists the keys, each once, in
//     the manner of package flag:
//
//     func (s *settings) Fields() []engine.Field {
//     return engine.Optional(
//     engine.Whole(&s.maxBatch, "max_batch_size", 1, 1<<20, "maximum number of sequences in one step"),
//     engine.Choice(&s.compute, "compute_type", "format of products", "auto", "int8", "float16"),
//     )
//     }
//
//     The reading of study files, `llem schema`, `llem config`, the reference in
//     docs/studies.md, the canonical JSON of an experiment and its ID are derived from it.
//     New keys are Optional or OmitZero, so that earlier experiments keep their
//     IDs. The key of the batch size has a name such as max_batch_size, max_num_seqs or batch_size.
//
//   - a launcher, which starts the engine and implements backend.Backend: for a server see
//     package internal/server, for a worker backend.StartWorker. It reads its settings with
//     Decode(spec.Options, &section).
//
//   - a function Descriptor that returns all of this, and is the folder's only exported name:
//
//     func Descriptor() engine.Descriptor {
//     return engine.Descriptor{
//     Name: "ctranslate2", Title: "CTranslate2",
//     Section: func() engine.Section { return new(settings) },
//     New:     func(e engine.Env) backend.Backend { return launcher{Python: e.Python} },
//     }
//     }
//
// Leave out fields of a descriptor that do not apply. [Check] reports inconsistencies; a test runs it over all
// engines, and the engine's own tests run the conformance suite backend/backendtest.
package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/grammar"
)

// Descriptor describes one engine. Its functions receive sections of the type that Section returns.
type Descriptor struct {
	// Name in study files, and of the section.
	Name string
	// Aliases are other names for it, for suggestions.
	Aliases []string
	// Title is the name as the engine's makers write it.
	Title string
	// Summary is a short description for lists of engines; it may be empty.
	Summary string

	// Section returns a section with its defaults.
	Section func() Section
	// Conflict returns values that do not fit together, or nil.
	Conflict func(Section, Job) *Conflict
	// Forget clears what the engine can change without a restart, and returns whether it can also change the longest
	// sequence. Nil: only the prompts can change.
	Forget func(Section) (anyLength bool)
	// Settle fills in what the study leaves open just before the engine is started: the batch size, if a workload
	// fills only a smaller batch, and the number of threads. Nil leaves both to the engine.
	Settle func(s Section, batch, threads int)

	// Lacks maps keys that other engines' sections have but this one lacks, and settings of decoding that are not in
	// Decoding (decoding.min_p), to the reason, as the end of a sentence about the key.
	Lacks map[string]string
	// Decoding has the settings of decoding that the engine has (see grammar.DecodingKeys), each with what differs from
	// other engines, or "". Nil: it takes the most likely token, whatever it is told. The refusal of other settings,
	// the meaning of the keys and the table in docs/backends.md are made from this.
	Decoding map[string]string

	// GGUF reports that the engine reads .gguf files, which have their own weight type; others read Hugging Face
	// folders. Random models are written in either form.
	GGUF bool
	// Reads reports why the engine cannot read a GGUF file; nil reads all.
	Reads func(path string) error
	// Chats reports that the engine can apply its model's chat template: its sessions are of type chat.Templater.
	Chats bool
	// Serves reports whether requests are sent one by one, to a server; nil means a worker, which receives all at
	// once.
	Serves func(Section) bool
	// Schedules reports whether a worker takes requests while it works: when they are due, a number of them at a time,
	// or after the answer that they continue, each with an output of its own; nil means it does not. A server always
	// does.
	Schedules func(Section) bool
	// GPU reports whether the engine may use a GPU, from its settings; nil means always. What an engine really uses is
	// in backend.Loaded.
	GPU func(Section) bool
	// Demands reports whether the engine cannot start without a GPU, so that it gets all of them if it is unknown
	// whether there are any. Nil means never.
	Demands func(Section) bool
	// HostToo reports that the engine runs on the CPU if there is no GPU.
	HostToo bool
	// DType is what auto means if a model's files do not determine it; empty is bfloat16.
	DType string
	// Sequences is the number of sequences in a full step if the study leaves it to the engine, for estimates; 0 is
	// vLLM's default, which other servers are assumed to share.
	Sequences int
	// Estimate returns what estimates of memory and time need of a section; nil returns nothing.
	Estimate func(Section) Estimate
	// Profile is what the engine adds to a model's arithmetic; nil disables estimates.
	Profile *Profile
	// ChoosesDType reports that dtype auto is left to the engine, which knows what its device computes in; estimates
	// assume [Descriptor.DType].
	ChoosesDType bool
	// Simulated reports that the engine computes nothing.
	Simulated bool

	// Image and Program are the container image and the program in it; an empty Image means llem-NAME, which docker/
	// builds.
	Image, Program string
	// Variable is the environment variable that names the engine's own interpreter or program; empty for none.
	Variable string
	// Packages are the Python packages of the engine whose versions can change a result, in lower case with hyphens. A
	// name that ends with * matches as a prefix.
	Packages []string
	// Symptoms map output that only this engine prints to failures. They are tried before the symptoms that engines
	// share.
	Symptoms []backend.Symptom

	// New returns the backend that starts the engine.
	New func(Env) backend.Backend
}

// Estimate is what an estimate of memory and time needs of a section.
type Estimate struct {
	// Unknown are settings that no estimate supports, as KEY=VALUE separated by commas.
	Unknown string
	// Attention is the implementation of attention.
	Attention string
	// Quantization is the name of the weights' quantisation method, or empty.
	Quantization string
	// Weights is how the engine quantises a model as it loads it; without a format it does not.
	Weights Weights
	// Quantized reports that the shape of a model does not determine the size of its weights.
	Quantized bool
	// CacheType is the type of the key/value cache; CacheBits the size of an element in bits, 0 leaves it to the
	// model.
	CacheType string
	// CacheBits is the size of a value in the KV cache, in bits.
	CacheBits float64
	// CacheTokens is the capacity of a cache without pages; 0 means as much as needed.
	CacheTokens int
	// Parallel devices share each layer, Stages share the layers, and Copies have a model each; 0 means 1.
	Parallel, Stages, Copies int
	// Pool is the share of the device that is taken at start; 0 is the engine's default.
	Pool float64
	// PoolCache is the size of the cache in bytes that is taken instead of a share.
	PoolCache int64
	// Chunk bounds the prompt tokens of one step; 0 is the engine's default.
	Chunk int
}

// Weights is how an engine quantises the linear layers of a model as it loads it. Embeddings,
// norms and the output matrix stay in the dtype.
type Weights struct {
	// Format is the format that products are computed from: int4, int8 or fp8.
	Format string
	// Bits per weight, including its part of the scales and offsets of its group.
	Bits float64
	// RowBytes is the size of the scale of an output row.
	RowBytes int64
	// Columns is the multiple to which the columns of a matrix are padded; 0 does not pad.
	Columns int64
}

// Env is the environment in which engines are started.
type Env struct {
	// Python is the user's interpreter for all Python engines, or empty.
	Python string
	// Getenv returns environment variables.
	Getenv func(string) string
	// Simulation is the shared file of a simulated GPU, or empty.
	Simulation string
}

// Get returns an environment variable.
func (e Env) Get(variable string) string {
	if e.Getenv == nil {
		return ""
	}
	return e.Getenv(variable)
}

// Own returns the value of an engine's own variable, or the interpreter for all engines.
func (e Env) Own(variable string) string {
	return cmp.Or(e.Get(variable), e.Python)
}

// Job holds the parts of an experiment, besides its section, that may conflict with an engine.
type Job struct {
	// DType of the weights.
	DType string
	// Synthetic reports that prompts have exactly InputTokens.
	Synthetic bool
	// InputTokens and OutputTokens of a prompt.
	InputTokens, OutputTokens int
	// WarmupRuns before the measurement.
	WarmupRuns int
	// Concurrency is the maximum number of requests in flight; 0 sends all at once.
	Concurrency int
	// Open reports that requests arrive by themselves.
	Open bool
	// Turns is the number of turns of a conversation; 0 and 1 are single requests.
	Turns int
	// RepetitionPenalty of tokens that were there before; 0 is none.
	RepetitionPenalty float64
}

// Conflict is a pair of values that do not fit together.
type Conflict struct {
	// Key is the dotted key to point at.
	Key string
	// Next is the next step.
	Next string

	format string
	args   []any
}

// Conflictf returns a conflict.
func Conflictf(key, next, format string, args ...any) *Conflict {
	return &Conflict{Key: key, Next: next, format: format, args: args}
}

// Message describes the conflict. It is formatted only on demand: a sweep may have a million points that cannot be
// run.
func (c *Conflict) Message() string { return fmt.Sprintf(c.format, c.args...) }

// Descriptors holds engines by name, in the order of documentation. The first is the default.
type Descriptors []Descriptor

// Find returns the engine with a name.
func (l Descriptors) Find(name string) (*Descriptor, bool) {
	for i := range l {
		if l[i].Name == name {
			return &l[i], true
		}
	}
	return nil, false
}

// Names returns the names of the engines.
func (l Descriptors) Names() []string {
	out := make([]string, len(l))
	for i, d := range l {
		out[i] = d.Name
	}
	return out
}

// Check reports what is wrong with a descriptor.
func Check(d Descriptor) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(d.Name+": "+format, args...)) }
	if !name.MatchString(d.Name) {
		bad("the name is not a lower-case word")
	}
	if d.Section == nil || d.New == nil || d.Title == "" {
		bad("Title, Section and New are needed")
		return errors.Join(errs...)
	}
	s := d.Section()
	seen := map[string]bool{}
	batch := 0
	for _, f := range slots(s) {
		if err := f.Check(); err != nil {
			bad("%v", err)
			continue
		}
		switch {
		case !name.MatchString(f.Key) || seen[f.Key]:
			bad("the key %q is doubled or not a lower-case word", f.Key)
		case f.Help == "":
			bad("%s has no meaning", f.Key)
		case f.IsOptional && f.Given():
			bad("%s is optional, but has a default", f.Key)
		}
		if v := f.Get(); !f.IsOptional {
			if _, err := f.Kind().Parse(f.Kind().Format(v)); err != nil {
				bad("the default of %s %v", f.Key, err)
			}
		}
		if slices.Contains(grammar.BatchKeys(), f.Key) {
			batch++
		}
		seen[f.Key] = true
	}
	for key, why := range d.Lacks {
		if seen[key] || why == "" {
			bad("%s is a key of the section, or lacks the reason why it is missing", key)
		}
	}
	for _, problem := range decodingProblems(d) {
		bad("%s", problem)
	}
	if batch != 1 {
		bad("%d keys have the name of a batch size, want one of %s", batch, strings.Join(grammar.BatchKeys(), ", "))
	}
	again := d.Section()
	if err := Decode([]byte(Encode(s)), again); err != nil {
		bad("its defaults cannot be read: %v", err)
	} else if Encode(again) != Encode(s) {
		bad("its defaults are read as %s", Encode(again))
	}
	return errors.Join(errs...)
}

// decodingProblems are the settings of decoding of which a descriptor says nothing, or too much.
func decodingProblems(d Descriptor) (problems []string) {
	known := grammar.DecodingKeys()
	for key := range d.Decoding {
		if !slices.Contains(known, key) {
			problems = append(problems, "there is no setting "+grammar.DecodingPrefix+key)
		}
	}
	for _, key := range known {
		_, has := d.Decoding[key]
		if lacks := d.Lacks[grammar.DecodingPrefix+key] != ""; has == lacks && (has || d.Decoding != nil) {
			problems = append(problems, grammar.DecodingPrefix+key+" is in both or neither of Decoding and Lacks")
		}
	}
	return problems
}
