// Package engine is what the program knows about the engines that it runs: a [Descriptor]
// for each, written in the engine's own folder. Every other package asks the descriptor,
// and knows no engine by name.
//
// # A new engine
//
// An engine is a folder engine/<name> and a line in package engine/engines; one that runs in
// this program has a line in package engine/workers, too. The folder has
//
//   - a struct with the engine's settings. Its method Fields lists the keys, each once, in
//     the manner of package flag:
//
//     func (s *settings) Fields() []engine.Field {
//     return engine.Optional(
//     engine.Whole(&s.maxBatch, "max_batch_size", 1, 1<<20, "the most sequences in one step"),
//     engine.Choice(&s.compute, "compute_type", "what it computes in", "auto", "int8", "float16"),
//     )
//     }
//
//     From it come the reading of study files, `llem schema`, `llem config`, the reference in
//     docs/studies.md, what an experiment holds (canonical JSON) and the ID of an
//     experiment. New keys are Optional or OmitZero, so that earlier experiments keep their
//     IDs. The key of the batch size has a name such as max_batch_size, max_num_seqs or batch_size.
//
//   - a launcher, which starts the engine and implements backend.Backend: for a server see
//     package internal/server, for a worker backend.StartWorker. It reads its settings with
//     Decode(spec.Options, &section).
//
//   - a function Descriptor that returns all of this, and is all that the folder exports:
//
//     func Descriptor() engine.Descriptor {
//     return engine.Descriptor{
//     Name: "ctranslate2", Title: "CTranslate2", Install: "…",
//     Section: func() engine.Section { return new(settings) },
//     New:     func(e engine.Env) backend.Backend { return launcher{Python: e.Python} },
//     }
//     }
//
// Fields of a descriptor that an engine has nothing to say about are left out. [Check]
// finds what does not fit together; a test runs it over all engines, and the conformance
// suite backend/backendtest is run by the engine's own tests.
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

// Descriptor is what the program knows about one engine. Functions get sections of the
// type that Section returns.
type Descriptor struct {
	// Name in study files, and of the section.
	Name string
	// Aliases are other words for it, for suggestions.
	Aliases []string
	// Title is the name as the engine's makers write it.
	Title string
	// Summary says in a few words what it is, for lists of engines; it may be empty.
	Summary string

	// Section returns a section with its defaults.
	Section func() Section
	// Conflict finds values that do not fit together; nil finds none.
	Conflict func(Section, Job) *Conflict
	// Forget clears what the engine can change without being started again, and returns
	// whether it can change the longest sequence too. Nil: nothing can be changed but the
	// prompts.
	Forget func(Section) (anyLength bool)
	// Settle fills in what the study leaves open just before the engine is started: the
	// batch size, where a workload fills only a smaller batch, and the number of threads.
	// Nil leaves both to the engine.
	Settle func(s Section, batch, threads int)

	// Lacks are keys that sections of other engines have and this one's has not, with the reason, as the end
	// of a sentence about the key.
	Lacks map[string]string

	// GGUF reports that the engine reads .gguf files, which have their own type of weights;
	// others read folders in the form of Hugging Face. Random models are written in either
	// form.
	GGUF bool
	// Reads finds what the engine does not read of a GGUF file, with the reason; nil reads all.
	Reads func(path string) error
	// Greedy reports that the engine takes the most likely token, whatever it is told.
	Greedy bool
	// Chats reports that the engine can put prompts into the chat template of its model:
	// its sessions are of type chat.Templater.
	Chats bool
	// Serves reports whether requests are sent one by one, to a server; nil is a worker,
	// which is given all at once.
	Serves func(Section) bool
	// GPU reports whether the engine may use a GPU, from its settings; nil is always. What
	// an engine really uses is in backend.Loaded.
	GPU func(Section) bool
	// Demands reports whether the engine cannot start without a GPU, so that it gets all
	// of them where it is not known whether there are any. Nil is never.
	Demands func(Section) bool
	// HostToo reports that the engine runs on the processor where there is no GPU.
	HostToo bool
	// DType is what auto stands for, where a model's files do not say it; empty is
	// bfloat16.
	DType string
	// Sequences is how many are in a full step where the study leaves it to the engine, for
	// estimates; 0 is vLLM's usual limit, which other servers are taken to have as well.
	Sequences int
	// Estimate is what estimates of memory and time read of a section; nil reads nothing.
	Estimate func(Section) Estimate
	// Profile is what the engine adds to a model's arithmetic; nil: nothing is estimated.
	Profile *Profile
	// ChoosesDType reports that dtype auto is left to the engine, which knows what its device
	// computes in; estimates take it to be [Descriptor.DType].
	ChoosesDType bool
	// Simulated reports that the engine computes nothing.
	Simulated bool

	// Image and Program are the container image and the program in it; an empty Image is
	// llem-NAME, which docker/ builds.
	Image, Program string
	// Install is how a user installs the engine, in a line.
	Install string
	// Variable is the environment variable that names the engine's own interpreter or
	// program; empty: there is none.
	Variable string
	// Packages are the Python packages of the engine whose versions can change a result, in
	// lower case with hyphens. A name that ends with * stands for all that begin so.
	Packages []string
	// Symptoms are what failures of this engine alone are known by in what it prints. They
	// are tried before those that engines have in common.
	Symptoms []backend.Symptom

	// New returns the backend that starts the engine.
	New func(Env) backend.Backend
}

// Estimate is what an estimate of memory and time has to know of a section.
type Estimate struct {
	// Unknown are settings, as KEY=VALUE, that no estimate knows, with commas between.
	Unknown string
	// Attention is the implementation of attention.
	Attention string
	// Quantization of the weights by the name of its method, or empty.
	Quantization string
	// Weights is how the engine quantises a model as it loads it; without a format it does not.
	Weights Weights
	// Quantized reports that the shape of a model alone does not say how large its weights
	// are.
	Quantized bool
	// CacheType is the type of the key/value cache; CacheBits the size of an element, 0
	// leaves it to the model.
	CacheType string
	// CacheBits is the size of a value in the KV cache, in bits.
	CacheBits float64
	// CacheTokens is the room of a cache without pages; 0 is what is needed.
	CacheTokens int
	// Parallel devices share each layer, Stages share the layers, and Copies have a model
	// each; 0 is 1.
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
	// Format is what products are computed from: int4, int8 or fp8.
	Format string
	// Bits of one weight, with its part of the scales and offsets of its group.
	Bits float64
	// RowBytes are the bytes of the scale of an output row.
	RowBytes int64
	// Columns is the number of which the columns of a matrix are padded to a multiple; 0
	// leaves them.
	Columns int64
}

// Env is where engines are started.
type Env struct {
	// Python is the interpreter that the user named for all Python engines, or empty.
	Python string
	// Getenv gives environment variables.
	Getenv func(string) string
	// Simulation is the shared file of a simulated GPU, or empty.
	Simulation string
}

// Get is an environment variable.
func (e Env) Get(variable string) string {
	if e.Getenv == nil {
		return ""
	}
	return e.Getenv(variable)
}

// Own is the value of an engine's own variable, else the interpreter for all.
func (e Env) Own(variable string) string {
	return cmp.Or(e.Get(variable), e.Python)
}

// Job is what of an experiment, beside its section, may not fit an engine.
type Job struct {
	// DType of the weights.
	DType string
	// Synthetic reports that prompts have exactly InputTokens.
	Synthetic bool
	// InputTokens and OutputTokens of a prompt.
	InputTokens, OutputTokens int
	// WarmupRuns before the measurement.
	WarmupRuns int
	// Concurrency is how many requests are sent at once; 0 is all.
	Concurrency int
	// Temperature of the choice of tokens; 0 takes the most likely one.
	Temperature float64
}

// Conflict is a pair of values that do not fit together.
type Conflict struct {
	// Key is the dotted key to point at.
	Key string
	// Next is what to do.
	Next string

	format string
	args   []any
}

// Conflictf makes a conflict.
func Conflictf(key, next, format string, args ...any) *Conflict {
	return &Conflict{Key: key, Next: next, format: format, args: args}
}

// Message says what does not fit. It is made only when it is asked for: a sweep may have a
// million points that cannot be run.
func (c *Conflict) Message() string { return fmt.Sprintf(c.format, c.args...) }

// Descriptors holds engines by name, in the order of documentation. The first is the default.
type Descriptors []Descriptor

// Find returns the engine of a name.
func (l Descriptors) Find(name string) (*Descriptor, bool) {
	for i := range l {
		if l[i].Name == name {
			return &l[i], true
		}
	}
	return nil, false
}

// Names of the engines.
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
			bad("%s is a key of the section, or lacks a reason why it is none", key)
		}
	}
	if batch != 1 {
		bad("%d keys are named as a batch size is, want one of %s", batch, strings.Join(grammar.BatchKeys(), ", "))
	}
	again := d.Section()
	if err := Decode([]byte(Encode(s)), again); err != nil {
		bad("its defaults cannot be read: %v", err)
	} else if Encode(again) != Encode(s) {
		bad("its defaults are read as %s", Encode(again))
	}
	return errors.Join(errs...)
}
