// Package tensorrt runs models with TensorRT-LLM's server (`trtllm-serve`) on its PyTorch backend.
//
// Settings go into a configuration file in a temporary folder. Prompts are token ids, output lengths are forced by
// ignoring the end of the sequence, decoding is greedy unless the study sets a temperature, and blocks of the KV
// cache are not reused unless the study enables it; every answer reports how many prompt tokens were not computed.
// Random models are dummy weights at the shape of llem's config.
//
// The server keeps statistics of each step until they are read (/metrics; each read clears them): tier T2. With
// the overlap scheduler its times of steps have another meaning, and its count of generating requests runs ahead;
// therefore prompt tokens come from the statistics and output tokens from the streams.
package tensorrt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/asked"
	"github.com/llenergymeasure/llem/internal/option"
	"github.com/llenergymeasure/llem/internal/scratch"
	"github.com/llenergymeasure/llem/internal/server"
)

const (
	// name of the backend in study files, and title as the engine's makers write it.
	name  = "tensorrt"
	title = "TensorRT-LLM"
	// program is the server.
	program = "trtllm-serve"
)

// newBackend returns the backend. python is an interpreter that has TensorRT-LLM; empty takes the trtllm-serve in
// PATH.
func newBackend(python string) server.Backend {
	return server.Backend{Python: python, Product: server.Product{
		Name: name, Title: title, Program: program, Package: "tensorrt_llm", Install: install,
		Engine: func(cmd backend.Command, info backend.Info) server.Engine {
			return &dialect{command: cmd, info: info}
		},
	}}
}

// dialect implements server.Engine.
type dialect struct {
	command backend.Command
	info    backend.Info
	// log is the file with the server's output.
	log string

	mu    sync.Mutex // guards total
	total server.Counters
}

var (
	_ server.Engine    = (*dialect)(nil)
	_ server.Describer = (*dialect)(nil)
	_ server.Counted   = (*dialect)(nil)
)

// Name implements server.Engine.
func (*dialect) Name() string { return name }

// Launch implements server.Engine.
func (e *dialect) Launch(ctx context.Context, spec backend.Spec, port int) (server.Launch, error) {
	known := asked.OptionsOf(ctx, e.command, e.info.Version, []string{"serve", "--help"}, []string{"--help"})
	e.log = spec.LogPath
	config, caches, err := config(spec)
	if err != nil {
		return server.Launch{}, err
	}
	var cache server.Cache
	if caches {
		// In no release so far: see https://github.com/NVIDIA/TensorRT-LLM/pull/15313.
		cache = server.Cache{Path: "/reset_prefix_cache", Key: "tensorrt.enable_block_reuse"}
	}
	vocab, text, err := asked.Vocabulary(spec.Path)
	if err != nil {
		return server.Launch{}, server.NoFolder(spec.Model, err)
	}
	dir, err := scratch.Dir("tensorrt")
	if err != nil {
		return server.Launch{}, fmt.Errorf("make a folder for the settings: %w", err)
	}
	cleanup := func() { os.RemoveAll(dir) }
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		cleanup()
		return server.Launch{}, fmt.Errorf("write the settings: %w", err)
	}
	args := append(append([]string{}, e.command.Args...), "serve", spec.Path, "--backend", "pytorch",
		"--host", "127.0.0.1", "--port", strconv.Itoa(port), known.First("--config", "--extra_llm_api_options"), file)
	return server.Launch{
		Command: backend.Command{Path: e.command.Path, Args: args,
			Env:     append(append(server.Offline(), e.command.Env...), "TRTLLM_NO_USAGE_STATS=1"),
			Folders: []string{dir}},
		Health: "/health", Together: together,
		Loaded:  backend.Loaded{Info: e.info, DType: spec.DType, Vocab: vocab, TextVocab: text},
		Known:   known,
		Cleanup: cleanup,
		Cache:   cache,
	}, nil
}

// together is the server's own default of max_batch_size.
const together = 2048

// maxSteps is how many steps the server remembers between two reads.
const maxSteps = 10_000

// config is the configuration file: JSON, which is YAML. caches reports that it enables the prefix cache.
func config(spec backend.Spec) (file []byte, caches bool, err error) {
	section, err := option.Section(spec.Options)
	if err != nil {
		return nil, false, err
	}
	caches = section["enable_block_reuse"] == true
	for key, v := range map[string]any{
		"dtype": spec.DType, "max_seq_len": spec.MaxContext, "enable_block_reuse": false,
		"enable_iter_perf_stats": true, "iter_stats_max_iterations": maxSteps,
	} {
		if _, given := section[key]; !given {
			section[key] = v
		}
	}
	if spec.Synthetic {
		section["load_format"] = "dummy"
	}
	if section["torch_compile"] == true {
		section["torch_compile_config"] = map[string]any{}
	}
	delete(section, "torch_compile")
	out := option.Named(new(settings).Fields(), section)
	text, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return nil, false, fmt.Errorf("encode the settings: %w", err)
	}
	return text, caches, nil
}

// completion is the body of a request. The server refuses unknown keys.
type completion struct {
	Model       string        `json:"model"`
	Prompt      []int32       `json:"prompt"`
	MaxTokens   int           `json:"max_tokens"`
	IgnoreEOS   bool          `json:"ignore_eos"`
	Temperature float64       `json:"temperature"`
	TopK        int           `json:"top_k,omitempty"`
	TopP        float64       `json:"top_p,omitempty"`
	Seed        uint64        `json:"seed"`
	Stream      bool          `json:"stream"`
	Options     streamOptions `json:"stream_options"`
	// Without detokenising, events contain token ids.
	Detokenize bool `json:"detokenize"`
	AddSpecial bool `json:"add_special_tokens"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
	Continuous   bool `json:"continuous_usage_stats"` // a count in every event
}

// Request implements server.Engine.
func (*dialect) Request(spec backend.Spec, p backend.Prompt, output int) server.Request {
	d := spec.Decoding
	if d.Temperature == 0 {
		d.TopK = 1
	}
	return server.JSON("/v1/completions",
		completion{Model: "llem", Prompt: p.Tokens, MaxTokens: output, IgnoreEOS: true,
			Temperature: d.Temperature, TopK: d.TopK, TopP: d.TopP, Seed: spec.SampleSeed(), Stream: true,
			Options: streamOptions{true, true}})
}

// Read implements server.Engine: an event of the completions API.
func (*dialect) Read(data []byte) (server.Event, error) { return server.ReadCompletion(data) }

// inUse matches the settings that the server prints when its engine is created, by key.
var inUse = map[string][]*regexp.Regexp{
	"max_seq_len":      {regexp.MustCompile(`\bmax_seq_len=([0-9]+), max_num_requests=`)},
	"max_batch_size":   {regexp.MustCompile(`\bmax_num_requests=([0-9]+)`)},
	"max_num_tokens":   {regexp.MustCompile(`max_num_requests=[0-9]+, max_num_tokens=([0-9]+)`)},
	"tokens_per_block": {regexp.MustCompile(`(?i)number of tokens per block: ([0-9]+)`)},
}

// Describe implements server.Describer: the settings in the server's output.
func (e *dialect) Describe(_ context.Context, _ server.Ask, l *backend.Loaded) error {
	l.Settings = asked.Found(asked.Printed(e.log), inUse)
	return nil
}

// step is the server's statistics of one step.
type step struct {
	Queued   float64 `json:"numQueuedRequests"`
	InFlight *struct {
		ContextTokens float64 `json:"numCtxTokens"`
		Scheduled     float64 `json:"numScheduledRequests"`
	} `json:"inflightBatchingStats"`
}

// Counters implements server.Counted: it adds up the steps since the last read.
func (e *dialect) Counters(ctx context.Context, ask server.Ask) (server.Counters, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	answer, err := ask(ctx, "GET", "/metrics", nil)
	if err != nil {
		return server.Counters{}, err
	}
	var steps []step
	if err := json.Unmarshal(answer, &steps); err != nil {
		return server.Counters{}, fmt.Errorf("read the statistics of steps: %w", err)
	}
	for _, s := range steps {
		if s.InFlight == nil {
			return server.Counters{}, errors.New("the statistics of steps have no inflightBatchingStats")
		}
		e.total.Steps++
		e.total.Prompt += s.InFlight.ContextTokens
		e.total.Running, e.total.Waiting = s.InFlight.Scheduled, s.Queued
	}
	return e.total, nil
}
