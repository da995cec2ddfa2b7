// Package vllm runs models with vLLM: its server (`vllm serve`), or its engine in a worker that steps it by hand
// (mode offline).
//
// The engine does exactly the requested work: prompts are token ids, output lengths are forced, decoding is greedy
// unless the study sets a temperature, nothing is taken from a prefix cache unless the study enables it, and the
// sampling defaults of the model's folder are not read. Random models are vLLM's dummy weights at the shape of
// llem's config.
//
// Its counters (/metrics) are read ten times a second: tier T2.
//
// An adapter (vllm.lora) is loaded beside the model when the engine starts, and every request names it. vLLM
// accepts the ranks of MaxLoRARanks in its config/lora.py as the maximum rank of an adapter, and reads peft
// folders (https://docs.vllm.ai/en/latest/features/lora/).
package vllm

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/chat"
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
	name  = "vllm"
	title = "vLLM"
	// program is the server.
	program = "vllm"
)

// launcher starts vLLM: its server, or the worker of mode offline.
type launcher struct{ server.Backend }

// newBackend returns the backend. python is an interpreter that has vLLM; empty takes the `vllm` in PATH.
func newBackend(python string) launcher {
	return launcher{server.Backend{Python: python, Product: server.Product{
		Name: name, Title: title, Program: program, Package: "vllm", Install: install, Device: device,
		Engine: func(cmd backend.Command, info backend.Info) server.Engine {
			return &dialect{command: cmd, info: info}
		},
	}}}
}

// device returns where models run, by the version's suffix: CPU builds have one.
func device(version string) string {
	if strings.Contains(version, "cpu") {
		return "cpu"
	}
	return "cuda"
}

// Start implements backend.Backend.
func (b launcher) Start(ctx context.Context, spec backend.Spec) (backend.Session, error) {
	if offline(spec) {
		return b.startOffline(ctx, spec)
	}
	return b.Backend.Start(ctx, spec)
}

// dialect implements server.Engine.
type dialect struct {
	command backend.Command
	info    backend.Info
	// cache reports that the study enables the prefix cache.
	cache bool
	// lora is the adapter that requests name.
	lora adapter.Adapter
	// log is the file with the server's output.
	log string
}

var (
	_ server.Engine    = (*dialect)(nil)
	_ server.Describer = (*dialect)(nil)
	_ server.Tokenizer = (*dialect)(nil)
	_ server.Templater = (*dialect)(nil)
	_ server.Counted   = (*dialect)(nil)
)

// Name implements server.Engine.
func (*dialect) Name() string { return name }

// together is the smallest default of max_num_seqs on any device: the CPU's.
const together = 128

// served is the name under which requests address the model.
const served = "llem"

// Launch implements server.Engine.
func (e *dialect) Launch(ctx context.Context, spec backend.Spec, port int) (server.Launch, error) {
	args := append(append([]string{}, e.command.Args...), "serve", spec.Path, "--host", "127.0.0.1", "--port",
		strconv.Itoa(port),
		"--served-model-name", served, "--dtype", spec.DType, "--seed", strconv.FormatUint(spec.Seed, 10),
		"--generation-config", "vllm", "--enable-prompt-tokens-details")
	if spec.Synthetic {
		args = append(args, "--load-format", "dummy")
	}
	vocab, text, err := asked.Vocabulary(spec.Path)
	if err != nil {
		return server.Launch{}, server.NoFolder(spec.Model, err)
	}
	section, err := e.flags(spec)
	if err != nil {
		return server.Launch{}, err
	}
	e.log = spec.LogPath
	env := append(append(server.Offline(), e.command.Env...), "VLLM_NO_USAGE_STATS=1",
		// Seconds; after the usual five, a request finds its connection closed.
		"VLLM_HTTP_TIMEOUT_KEEP_ALIVE=86400")
	var cache server.Cache
	if e.cache {
		// Only then, the server has a path that empties the cache.
		env = append(env, "VLLM_SERVER_DEV_MODE=1")
		cache = server.Cache{Path: "/reset_prefix_cache", Key: "vllm.enable_prefix_caching"}
	}
	return server.Launch{
		Command: backend.Command{Path: e.command.Path, Args: append(args, section...), Env: env,
			Folders: e.lora.Folders()},
		Cleanup: e.lora.Remove, Cache: cache,
		Health: "/health", Together: together,
		Loaded: backend.Loaded{Info: e.info, DType: spec.DType, Vocab: vocab, TextVocab: text},
		// Newer versions print all options only on request.
		Known: asked.OptionsOf(ctx, e.command, e.info.Version, []string{"serve", "--help=all"},
			[]string{"serve", "--help"}),
	}, nil
}

// flags returns the section's settings as arguments of vLLM's program: its keys are the names of the options.
func (e *dialect) flags(spec backend.Spec) ([]string, error) {
	section, err := option.Section(spec.Options)
	if err != nil {
		return nil, err
	}
	if e.lora, err = adapterOf(spec, section); err != nil {
		return nil, err
	}
	args := option.Flags{
		"mode":             func(any) []string { return nil },
		"lora":             func(any) []string { return loading(e.lora) },
		"compilation_mode": func(v any) []string { return []string{"-O" + fmt.Sprint(v)} },
	}.Of(option.Named(new(settings).Fields(), section))
	e.cache = section["enable_prefix_caching"] == true
	if _, given := section["enable_prefix_caching"]; !given {
		args = append(args, "--no-enable-prefix-caching")
	}
	if _, given := section["max_model_len"]; !given {
		args = append(args, "--max-model-len", strconv.Itoa(spec.MaxContext))
	}
	return args, nil
}

// adapterOf returns the adapter of a section; the zero value without one.
func adapterOf(spec backend.Spec, section map[string]any) (adapter.Adapter, error) {
	asked, ok := section["lora"].(string)
	if !ok {
		return adapter.Adapter{}, nil
	}
	return adapter.Open(name+".lora", asked, spec.Path, spec.Seed)
}

// ranks are the valid values of max_lora_rank in all versions since 0.10, except 1 and 320.
var ranks = []int{8, 16, 32, 64, 128, 256, 512}

// mostRank returns the max_lora_rank for an adapter; vLLM itself refuses a rank that it does not support.
func mostRank(rank int) int {
	for _, r := range ranks {
		if rank <= r {
			return r
		}
	}
	return rank
}

// loading returns the options that load an adapter.
func loading(a adapter.Adapter) []string {
	return []string{"--enable-lora", "--max-loras", "1", "--max-lora-rank", strconv.Itoa(mostRank(a.Rank)),
		"--lora-modules", adapter.Name + "=" + a.Path}
}

// completion is the body of a request for a completion.
type completion struct {
	Model         string  `json:"model"`
	Prompt        []int32 `json:"prompt"`
	MaxTokens     int     `json:"max_tokens"`
	IgnoreEOS     bool    `json:"ignore_eos"`
	Temperature   float64 `json:"temperature"`
	TopP          float64 `json:"top_p,omitempty"`
	TopK          int     `json:"top_k,omitempty"`
	MinP          float64 `json:"min_p,omitempty"`
	Penalty       float64 `json:"repetition_penalty,omitempty"`
	Seed          uint64  `json:"seed"`
	Stream        bool    `json:"stream"`
	ReturnIDs     bool    `json:"return_token_ids"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

// Request implements server.Engine.
func (e *dialect) Request(spec backend.Spec, p backend.Prompt, output int) server.Request {
	model := served
	if e.lora.Asked != "" {
		model = adapter.Name
	}
	c := completion{Model: model, Prompt: p.Tokens, MaxTokens: output, IgnoreEOS: true,
		Temperature: spec.Decoding.Temperature, TopP: spec.Decoding.TopP, TopK: spec.Decoding.TopK,
		MinP: spec.Decoding.MinP, Penalty: spec.Decoding.RepetitionPenalty,
		Seed: spec.SampleSeed(), Stream: true, ReturnIDs: true}
	c.StreamOptions.IncludeUsage = true
	return server.JSON("/v1/completions", c)
}

// Read implements server.Engine: an event of the completions API.
func (*dialect) Read(data []byte) (server.Event, error) { return server.ReadCompletion(data) }

// cacheInfo is a metric whose labels are the settings of the cache.
const cacheInfo = "vllm:cache_config_info"

// Describe implements server.Describer: the settings that the server reports. The prefix cache must be as
// requested; for a version that does not report it, the cached tokens in each answer are checked.
func (e *dialect) Describe(ctx context.Context, ask server.Ask, l *backend.Loaded) error {
	l.Settings = printed(asked.Printed(e.log))
	page, err := ask(ctx, "GET", "/metrics", nil)
	if err != nil {
		return err
	}
	list, err := prom.Parse(page, func(name string) bool { return name == cacheInfo })
	if err != nil {
		return fmt.Errorf("read the engine's settings: %w", err)
	}
	for _, s := range list {
		if s.Label("enable_prefix_caching") == "True" && !e.cache {
			return note.Failf(codes.ClassConfig, "set vllm.enable_prefix_caching: true to measure with the cache",
				"vLLM keeps a prefix cache although it was told not to: it would not compute all prompt tokens")
		}
		for label, key := range cacheLabels {
			if v := s.Label(label); v != "" {
				l.Settings[key] = v
			}
		}
	}
	if err := e.checkAdapter(ctx, ask, l); err != nil {
		return err
	}
	l.DType = cmp.Or(l.Settings["dtype"], l.DType)
	l.Attention = l.Settings["attention_backend"]
	return nil
}

// checkAdapter checks that the server has the requested adapter.
func (e *dialect) checkAdapter(ctx context.Context, ask server.Ask, l *backend.Loaded) error {
	if e.lora.Asked == "" {
		return nil
	}
	answer, err := ask(ctx, "GET", "/v1/models", nil)
	if err != nil {
		return fmt.Errorf("ask for the adapter in use: %w", err)
	}
	var got struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		return fmt.Errorf("read the adapter in use: %w", err)
	}
	for _, m := range got.Data {
		if m.ID == adapter.Name {
			e.lora.Describe(l.Settings)
			return nil
		}
	}
	return adapter.Missing(title, name, e.lora)
}

// Tokenize implements server.Tokenizer.
func (*dialect) Tokenize(ctx context.Context, ask server.Ask, text string) ([]int32, error) {
	return server.AskTokens(ctx, ask, "/tokenize",
		map[string]any{"model": served, "prompt": text, "add_special_tokens": false})
}

// Template implements server.Templater: the template contributes its own special tokens.
func (*dialect) Template(ctx context.Context, ask server.Ask, c chat.Conversation) ([]int32, error) {
	return server.AskTokens(ctx, ask, "/tokenize", map[string]any{"model": served, "messages": c,
		"add_generation_prompt": true, "add_special_tokens": false})
}

// Counters implements server.Counted, from vLLM's metrics
// (https://docs.vllm.ai/en/latest/usage/metrics/).
func (*dialect) Counters(ctx context.Context, ask server.Ask) (server.Counters, error) {
	page, err := ask(ctx, "GET", "/metrics", nil)
	if err != nil {
		return server.Counters{}, err
	}
	return server.ReadCounters(page, map[string]func(*server.Counters) *float64{
		"vllm:prompt_tokens_total":          func(c *server.Counters) *float64 { return &c.Prompt },
		"vllm:generation_tokens_total":      func(c *server.Counters) *float64 { return &c.Output },
		"vllm:iteration_tokens_total_count": func(c *server.Counters) *float64 { return &c.Steps },
		"vllm:num_requests_waiting":         func(c *server.Counters) *float64 { return &c.Waiting },
		"vllm:num_requests_running":         func(c *server.Counters) *float64 { return &c.Running },
		"vllm:prefix_cache_hits_total":      func(c *server.Counters) *float64 { return &c.Cached },
	})
}
