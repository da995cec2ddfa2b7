// Package sglang runs models with SGLang's server (`python -m sglang.launch_server`).
//
// Prompts are token ids for its own /generate, output lengths are forced by ignoring the end of the sequence,
// decoding is greedy unless the study sets a temperature, and the radix cache is off unless the study enables it:
// the server is asked whether it is, and every answer reports how many prompt tokens it did not compute. Random
// models are dummy weights at the shape of llem's config.
//
// Its counters (/metrics) are read ten times a second: tier T2. Prompt tokens are counted at each prefill step. It
// counts output tokens when a request ends, so their times come from the streams.
//
// An adapter (sglang.lora) is loaded when the server starts, and every request names it as lora_path; the server
// keeps room for one more, because its own requests have none
// (https://docs.sglang.io/advanced_features/lora.html).
package sglang

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/adapter"
	"github.com/llenergymeasure/llem/internal/asked"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/option"
	"github.com/llenergymeasure/llem/internal/prom"
	"github.com/llenergymeasure/llem/internal/server"
	"github.com/llenergymeasure/llem/note"
)

const (
	// name of the backend in study files, and title as the engine's makers write it.
	name  = "sglang"
	title = "SGLang"
)

// newBackend returns the backend. python is an interpreter that has SGLang; empty takes the interpreter of the
// virtual environment, or of PATH.
func newBackend(python string) server.Backend {
	return server.Backend{Python: python, Product: server.Product{
		Name: name, Title: title, Module: "sglang.launch_server", Package: "sglang", Install: install,
		Engine: func(cmd backend.Command, info backend.Info) server.Engine {
			return &dialect{command: cmd, info: info}
		},
	}}
}

// dialect implements server.Engine.
type dialect struct {
	command backend.Command
	info    backend.Info
	// cache reports that the study enables the radix cache, incremental that events contain only new tokens.
	cache, incremental bool
	// deterministic is set if the study enables deterministic inference, in which each request has a seed.
	deterministic bool
	// lora is the adapter that requests name.
	lora adapter.Adapter
}

var (
	_ server.Engine    = (*dialect)(nil)
	_ server.Describer = (*dialect)(nil)
	_ server.Tokenizer = (*dialect)(nil)
	_ server.Counted   = (*dialect)(nil)
)

// Name implements server.Engine.
func (*dialect) Name() string { return name }

// spare is how much longer than the longest request SGLang's context must be.
const spare = 8

// Launch implements server.Engine.
func (e *dialect) Launch(ctx context.Context, spec backend.Spec, port int) (server.Launch, error) {
	known := asked.OptionsOf(ctx, e.command, e.info.Version, []string{"--help"})
	args := append(append([]string{}, e.command.Args...), "--model-path", spec.Path, "--host", "127.0.0.1", "--port",
		strconv.Itoa(port),
		"--dtype", spec.DType, "--random-seed", strconv.FormatUint(spec.SampleSeed(), 10), "--enable-metrics")
	if spec.Synthetic {
		args = append(args, "--load-format", "dummy")
	}
	// Only the new tokens in each event: sending all of them every time would cost the server time.
	if known != nil {
		if o := known.First("--incremental-streaming-output", "--stream-output"); known.Has(o) {
			args, e.incremental = append(args, o), true
		}
	}
	vocab, text, err := asked.Vocabulary(spec.Path)
	if err != nil {
		return server.Launch{}, server.NoFolder(spec.Model, err)
	}
	section, err := e.flags(spec, known)
	if err != nil {
		return server.Launch{}, err
	}
	var cache server.Cache
	if e.cache {
		cache = server.Cache{Path: "/flush_cache", Key: "sglang.disable_radix_cache"}
	}
	return server.Launch{
		Command: backend.Command{Path: e.command.Path, Args: append(args, section...), Folders: e.lora.Folders(),
			Env: append(append(server.Offline(), e.command.Env...), "SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN=1",
				// Seconds; after the usual five, a request finds its connection closed.
				"SGLANG_TIMEOUT_KEEP_ALIVE=86400")},
		// A server that answers this has generated a token.
		Health: "/health_generate",
		Loaded: backend.Loaded{Info: e.info, DType: spec.DType, Vocab: vocab, TextVocab: text},
		Known:  known, Cleanup: e.lora.Remove, Cache: cache,
	}, nil
}

// flags returns the section's settings as arguments of SGLang's program. Its switches can only switch on.
func (e *dialect) flags(spec backend.Spec, known asked.Known) ([]string, error) {
	section, err := option.Section(spec.Options)
	if err != nil {
		return nil, err
	}
	e.cache = section["disable_radix_cache"] == false
	if _, given := section["disable_radix_cache"]; !given {
		section["disable_radix_cache"] = true
	}
	e.deterministic = section["enable_deterministic_inference"] == true
	if _, given := section["context_length"]; !given {
		section["context_length"] = spec.MaxContext + spare
	}
	for key, v := range section {
		if v == false {
			delete(section, key)
		}
	}
	if asked, ok := section["lora"].(string); ok {
		if e.lora, err = adapter.Open(name+".lora", asked, spec.Path, spec.Seed); err != nil {
			return nil, err
		}
	}
	f := option.Flags{
		"lora": func(any) []string {
			return []string{"--max-loras-per-batch", "2", "--lora-paths", adapter.Name + "=" + e.lora.Path}
		},
		"cuda_graph_bs": func(v any) []string {
			return append([]string{"--cuda-graph-bs"},
				strings.Split(fmt.Sprint(v), ",")...)
		},
		// Since 0.5.20 there is one for each phase.
		"cuda_graph_max_bs": func(v any) []string {
			return option.Flag(known.First("--cuda-graph-max-bs", "--cuda-graph-max-bs-decode")[2:], v)
		},
	}
	return f.Of(section), nil
}

// generation is the body of a request.
type generation struct {
	InputIDs []int32  `json:"input_ids"`
	Sampling sampling `json:"sampling_params"`
	Stream   bool     `json:"stream"`
	Adapter  string   `json:"lora_path,omitempty"`
}

type sampling struct {
	MaxNewTokens int     `json:"max_new_tokens"`
	IgnoreEOS    bool    `json:"ignore_eos"`
	Temperature  float64 `json:"temperature"`
	TopP         float64 `json:"top_p,omitempty"`
	TopK         int     `json:"top_k,omitempty"`
	MinP         float64 `json:"min_p,omitempty"`
	Penalty      float64 `json:"repetition_penalty,omitempty"`
	// Seed is used with deterministic inference only.
	Seed *uint64 `json:"sampling_seed,omitempty"`
}

// Request implements server.Engine.
func (e *dialect) Request(spec backend.Spec, p backend.Prompt, output int) server.Request {
	lora := ""
	if e.lora.Asked != "" {
		lora = adapter.Name
	}
	d := spec.Decoding
	s := sampling{MaxNewTokens: output, IgnoreEOS: true, Temperature: d.Temperature, TopP: d.TopP, TopK: d.TopK,
		MinP: d.MinP, Penalty: d.RepetitionPenalty}
	if e.deterministic && d.Temperature > 0 {
		seed := spec.SampleSeed()
		s.Seed = &seed
	}
	q := server.JSON("/generate", generation{Adapter: lora, InputIDs: p.Tokens, Stream: true, Sampling: s})
	q.Repeats = !e.incremental
	return q
}

// chunk is one event: the state of the request so far.
type chunk struct {
	OutputIDs []int32 `json:"output_ids"`
	Meta      *struct {
		Finish *struct {
			Type    string `json:"type"`
			Message string `json:"message"`
		} `json:"finish_reason"`
		Prompt int `json:"prompt_tokens"`
		Output int `json:"completion_tokens"`
		Cached int `json:"cached_tokens"`
		// Queued is in seconds; older versions do not report it.
		Queued *float64 `json:"queue_time"`
	} `json:"meta_info"`
	Error *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// Read implements server.Engine.
func (e *dialect) Read(data []byte) (server.Event, error) {
	if string(data) == "[DONE]" {
		return server.Event{Done: true}, nil
	}
	var c chunk
	if err := json.Unmarshal(data, &c); err != nil {
		return server.Event{}, err
	}
	switch {
	case c.Error != nil:
		return server.Event{Failure: c.Error.Message}, nil
	case c.Meta == nil:
		return server.Event{}, errors.New("it has no meta_info")
	}
	event := server.Event{IDs: c.OutputIDs}
	if e.incremental {
		event.Tokens = len(c.OutputIDs)
	} else {
		event.Total = len(c.OutputIDs)
	}
	if c.Meta.Queued != nil {
		event.Queued = new(time.Duration(*c.Meta.Queued * float64(time.Second)))
	}
	if f := c.Meta.Finish; f != nil {
		event.Finish = f.Type
		event.Usage = &server.Usage{Prompt: c.Meta.Prompt, Output: c.Meta.Output, Cached: c.Meta.Cached}
		if f.Type == "abort" {
			event.Failure = "the engine aborted the request: " + f.Message
		}
	}
	return event, nil
}

// Tokenize implements server.Tokenizer.
func (*dialect) Tokenize(ctx context.Context, ask server.Ask, text string) ([]int32, error) {
	return server.AskTokens(ctx, ask, "/tokenize", map[string]any{"prompt": text, "add_special_tokens": false})
}

// Describe implements server.Describer: the settings that the server reports.
func (e *dialect) Describe(ctx context.Context, ask server.Ask, l *backend.Loaded) error {
	answer, err := ask(ctx, "GET", "/server_info", nil)
	if err != nil { // its name until 0.5.6
		answer, err = ask(ctx, "GET", "/get_server_info", nil)
	}
	if err != nil {
		return fmt.Errorf("ask for the settings in use: %w", err)
	}
	var got struct {
		Attention    string `json:"attention_backend"`
		DType        string `json:"dtype"`
		DisableRadix *bool  `json:"disable_radix_cache"`
		// Adapters is a list or an object, by version; each entry has the name.
		Adapters json.RawMessage `json:"lora_paths"`
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		return fmt.Errorf("read the settings in use: %w", err)
	}
	l.Attention = got.Attention
	l.Settings = inUse(answer)
	switch {
	case e.lora.Asked == "" || got.Adapters == nil: // a version that does not report it
	case !strings.Contains(string(got.Adapters), adapter.Name):
		return adapter.Missing(title, name, e.lora)
	default:
		e.lora.Describe(l.Settings)
	}
	if got.DType != "" && got.DType != "auto" {
		l.DType = got.DType
		l.Settings["dtype"] = got.DType
	}
	if got.DisableRadix != nil && !*got.DisableRadix && !e.cache {
		return note.Failf(codes.ClassConfig, "set sglang.disable_radix_cache: false to measure with the cache",
			"SGLang keeps a prefix cache although it was told not to: it would not compute all prompt tokens")
	}
	return nil
}

// Counters implements server.Counted.
func (*dialect) Counters(ctx context.Context, ask server.Ask) (server.Counters, error) {
	page, err := ask(ctx, "GET", "/metrics", nil)
	if err != nil {
		return server.Counters{}, err
	}
	const tokens, running = "sglang:realtime_tokens_total", "sglang:num_running_reqs"
	const waiting = "sglang:num_queue_reqs"
	list, err := prom.Parse(page, func(name string) bool {
		return name == tokens || name == running || name == waiting
	})
	if err != nil {
		return server.Counters{}, fmt.Errorf("read the engine's counters: %w", err)
	}
	var c server.Counters
	for _, s := range list {
		switch {
		case s.Name == running:
			c.Running += s.Value
		case s.Name == waiting:
			c.Waiting += s.Value
		case s.Label("mode") == "prefill_compute":
			c.Prompt += s.Value
		case s.Label("mode") == "prefill_cache":
			c.Prompt += s.Value
			c.Cached += s.Value
		}
	}
	return c, nil
}
