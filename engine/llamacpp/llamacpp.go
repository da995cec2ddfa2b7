// Package llamacpp runs models with llama.cpp's server (`llama-server`).
//
// The model is a GGUF file; this program writes random ones. Prompts are token ids for the server's own
// /completion, output lengths are forced, decoding is greedy unless the study sets a temperature, and each of its
// three prompt caches is off: every answer reports how many prompt tokens were not computed. The server does not
// adjust settings to the available memory (--fit off).
//
// A token that ends inside a UTF-8 character is sent with the next one that completes it. The server's count of
// tokens, which is in every event, shows this: these tokens share a stamp, and their ids are unknown. The count is
// accepted as far as such a character explains it. A random model may generate nothing else; therefore it is kept
// from bytes that begin such a character.
//
// Its counters (/metrics) are read ten times a second: tier T2. It counts output tokens when a request ends, so
// their times come from the streams.
//
// An adapter (llamacpp.lora) is a GGUF file for --lora, applied to every request with scale 1
// (https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md, GET /lora-adapters).
package llamacpp

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/chat"
	"github.com/llenergymeasure/llem/internal/adapter"
	"github.com/llenergymeasure/llem/internal/asked"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/option"
	"github.com/llenergymeasure/llem/internal/server"
	"github.com/llenergymeasure/llem/note"
)

const (
	// name of the backend in study files, and title as the engine's makers write it.
	name  = "llamacpp"
	title = "llama.cpp"
	// program is the server.
	program = "llama-server"
)

// newBackend returns the backend. path is the path of llama-server; empty takes the one in PATH.
func newBackend(path string) server.Backend {
	return server.Backend{Program: path, Product: server.Product{
		Name: name, Title: title, Program: program, Install: install, Info: ask,
		Engine: func(cmd backend.Command, info backend.Info) server.Engine {
			return &dialect{command: cmd, info: info}
		},
	}}
}

// ask queries the program for its version and devices.
func ask(ctx context.Context, cmd backend.Command) (backend.Info, error) {
	text, err := output(ctx, cmd, "--version")
	version, ok := versionOf(text)
	switch {
	case ctx.Err() != nil:
		return backend.Info{}, context.Cause(ctx)
	case ofContainer(err):
		return backend.Info{}, err
	case err != nil || !ok:
		return backend.Info{}, &note.Failure{Class: codes.ClassNotInstalled,
			Message: cmd.Path + " does not report its version", Err: err, LogTail: text,
			Next: "try `" + cmd.Path + " --version` by hand"}
	}
	info := backend.Info{Version: version, Device: "cpu", Versions: map[string]string{"llama.cpp": version}}
	// Older versions cannot list devices; they are assumed to be builds without any.
	if list, err := output(ctx, cmd, "--list-devices"); err == nil {
		info.Device = deviceOf(list)
	}
	return info, nil
}

// askTimeout bounds a short command of the program.
const askTimeout = time.Minute

func output(ctx context.Context, cmd backend.Command, arg string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	out, said, err := cmd.Output(ctx, arg)
	return string(out) + string(said), err
}

// ofContainer reports whether a command failed because its container could not run.
func ofContainer(err error) bool {
	_, ok := errors.AsType[*note.Failure](err)
	return ok
}

// versionOf finds "version: 4567 (abc)", or the number alone as other programs print it.
func versionOf(text string) (string, bool) {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "version: "); ok && len(v) <= 200 {
			return v, true
		}
	}
	text = strings.TrimSpace(text)
	return text, text != "" && len(text) <= 200 && !strings.ContainsAny(text, " \n")
}

// deviceOf parses a list of devices.
func deviceOf(list string) string {
	for line := range strings.Lines(list) {
		switch name, _, ok := strings.Cut(strings.TrimSpace(line), ":"); {
		case !ok:
		case strings.HasPrefix(name, "CUDA"):
			return "cuda"
		case strings.HasPrefix(name, "ROCm"):
			return "rocm"
		}
	}
	return "cpu"
}

// dialect implements server.Engine.
type dialect struct {
	command backend.Command
	info    backend.Info
	// chats reports that the model has a chat template.
	chats bool
	// log is the file with the server's output, and layers the requested n_gpu_layers.
	log, layers string
	// lora is the adapter that the server applies.
	lora adapter.Adapter
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

// mixed is the weight type of a mixture.
const mixed = "mixed"

const (
	// slots is the number of slots if the study sets none: the server's own default, made explicit because the size of
	// the context depends on it.
	slots = 4
	// spare is how much longer than a request a slot's context must be: the server ends a request that would fill it.
	spare = 2
	// block is the multiple to which the server rounds a slot's context up.
	block = 256
)

// Launch implements server.Engine.
func (e *dialect) Launch(ctx context.Context, spec backend.Spec, port int) (server.Launch, error) {
	facts, err := gguf.ReadInfo(spec.Path)
	if err != nil {
		return server.Launch{}, &note.Failure{Class: codes.ClassModelNotFound,
			Message: "look at the model " + spec.Model, Err: err,
			Next: "give a GGUF file, or a model of the form random:SHAPE"}
	}
	e.chats = facts.Template
	known := asked.OptionsOf(ctx, e.command, e.info.Version, []string{"--help"})
	section, err := option.Section(spec.Options)
	if err != nil {
		return server.Launch{}, err
	}
	args := append(append([]string{}, e.command.Args...), "--model", spec.Path, "--host", "127.0.0.1", "--port",
		strconv.Itoa(port), "--metrics")
	// Options that a version does not have are left out.
	for _, own := range [][]string{{"--offline"}, {"--no-ui"}, {"--no-webui"}, {"--fit", "off"},
		{"--no-cache-prompt"}, {"--cache-ram", "0"}, {"--slot-prompt-similarity", "0"}} {
		if known[own[0]] && (own[0] != "--no-webui" || !known["--no-ui"]) {
			args = append(args, own...)
		}
	}
	if section["parallel"] == nil {
		section["parallel"] = max(spec.BatchSize, 0)
		if spec.BatchSize <= 0 {
			section["parallel"] = slots
		}
	}
	n, err := strconv.Atoi(fmt.Sprint(section["parallel"]))
	if err != nil {
		return server.Launch{}, note.Failf(codes.ClassConfig, "give llamacpp.parallel a whole number",
			"llamacpp.parallel is %v", section["parallel"])
	}
	if http := "--threads-http"; known[http] {
		// An open connection holds one of them, with or without a request.
		args = append(args, http, strconv.Itoa(n+server.MostIdle))
	}
	if section["ctx_size"] == nil {
		section["ctx_size"] = n * ((spec.MaxContext + spare + block - 1) / block * block)
	}
	dtype := string(facts.DType)
	if dtype == "" {
		dtype = mixed
	}
	e.log = spec.LogPath
	if v := section["n_gpu_layers"]; v != nil {
		e.layers = fmt.Sprint(v)
	}
	loaded := backend.Loaded{Info: e.info, DType: dtype, Vocab: facts.Vocab, TextVocab: facts.TextVocab}
	if section["n_gpu_layers"] == "0" {
		loaded.Device = "cpu"
	}
	if n, err := strconv.Atoi(fmt.Sprint(section["threads"])); err == nil {
		loaded.Threads = n
	}
	if asked, ok := section["lora"].(string); ok {
		if e.lora, err = adapter.OpenGGUF(ctx, name+".lora", asked, spec.Path, spec.Seed); err != nil {
			return server.Launch{}, err
		}
		section["lora"] = e.lora.Path
	}
	return server.Launch{
		Command: backend.Command{Path: e.command.Path, Folders: e.lora.Folders(),
			Args: append(args, flags.Of(option.Named(new(settings).Fields(), section))...), Env: e.command.Env},
		Cleanup: e.lora.Remove,
		Health:  "/health", Together: slots, Loaded: loaded, Known: known,
	}, nil
}

// flags are the options of llama-server that differ from the usual form.
var flags = option.Flags{
	"flash_attn": func(v any) []string {
		if v == true {
			return []string{"--flash-attn", "on"}
		}
		return []string{"--flash-attn", "off"}
	},
}

// completion is the body of a request.
type completion struct {
	Prompt      []int32 `json:"prompt"`
	NPredict    int     `json:"n_predict"`
	IgnoreEOS   bool    `json:"ignore_eos"`
	Temperature float64 `json:"temperature"`
	// The server's own defaults limit the choice: what the study does not set is switched off.
	TopP float64 `json:"top_p"`
	TopK int     `json:"top_k"`
	MinP float64 `json:"min_p"`
	// Penalty applies to the last Window tokens; -1 is all. The server's default is 64.
	Penalty float64 `json:"repeat_penalty"`
	Window  int     `json:"repeat_last_n,omitempty"`
	// Samplers are the steps of the choice, in their order. The server's default order has the temperature last, so
	// that top_p would keep other tokens than on other engines.
	Samplers     []string `json:"samplers,omitempty"`
	Seed         uint32   `json:"seed"`
	CachePrompt  bool     `json:"cache_prompt"`
	ReturnTokens bool     `json:"return_tokens"`
	Stream       bool     `json:"stream"`
	// LogitBias holds pairs of an id and the value added to its logit; false forbids it.
	LogitBias [][2]any `json:"logit_bias,omitempty"`
}

// unfinished are the ids of a random model that are bytes at which a UTF-8 character begins and does not end.
var unfinished = func() (list [][2]any) {
	for id := 0xc0; id <= 0xff; id++ {
		list = append(list, [2]any{id, false})
	}
	return list
}()

// Request implements server.Engine.
func (*dialect) Request(spec backend.Spec, p backend.Prompt, output int) server.Request {
	c := completion{Prompt: p.Tokens, NPredict: output, IgnoreEOS: true, Temperature: spec.Decoding.Temperature,
		TopP: cmp.Or(spec.Decoding.TopP, 1), TopK: spec.Decoding.TopK, MinP: spec.Decoding.MinP,
		Penalty: cmp.Or(spec.Decoding.RepetitionPenalty, 1), Seed: uint32(spec.SampleSeed()), ReturnTokens: true,
		Stream: true}
	if spec.Decoding.RepetitionPenalty > 0 {
		c.Window = -1
	}
	if spec.Decoding.Temperature > 0 {
		c.Samplers = []string{"penalties", "temperature", "top_k", "top_p", "min_p"}
	}
	if spec.Synthetic {
		c.LogitBias = unfinished
	}
	return server.JSON("/completion", c)
}

// chunk is one event.
type chunk struct {
	Content   string  `json:"content"`
	Tokens    []int32 `json:"tokens"`
	Stop      *bool   `json:"stop"`
	StopType  string  `json:"stop_type"`
	Truncated bool    `json:"truncated"`
	Predicted int     `json:"tokens_predicted"`
	Evaluated int     `json:"tokens_evaluated"`
	Timings   *struct {
		Cached int `json:"cache_n"`
		Prompt int `json:"prompt_n"`
		// PromptMS is from the beginning of the prompt to the first token, in milliseconds.
		PromptMS *float64 `json:"prompt_ms"`
	} `json:"timings"`
	Error *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// hidden returns how many tokens without an id a text may hold: each one except the last ended inside a character
// that is in the text, or that the end of the output cut off.
func hidden(text string, last bool) int {
	switch {
	case last:
		return utf8.UTFMax - 1
	case strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) < 0:
		return 0
	}
	return len(text) - 1
}

// Read implements server.Engine.
func (*dialect) Read(data []byte) (server.Event, error) {
	var c chunk
	if err := json.Unmarshal(data, &c); err != nil {
		return server.Event{}, err
	}
	switch {
	case c.Error != nil:
		return server.Event{Failure: c.Error.Message}, nil
	case c.Stop == nil:
		return server.Event{}, errors.New("it does not report whether the output continues")
	}
	e := server.Event{Total: c.Predicted, IDs: c.Tokens, Hidden: hidden(c.Content, *c.Stop)}
	if !*c.Stop {
		return e, nil
	}
	if c.Timings == nil {
		return e, errors.New("the last one has no timings")
	}
	if c.Timings.Cached < 0 || c.Timings.Prompt < 0 {
		return e, fmt.Errorf("%d prompt tokens are cached and %d computed", c.Timings.Cached, c.Timings.Prompt)
	}
	if ms := c.Timings.PromptMS; ms != nil {
		e.Prefill = new(time.Duration(*ms * float64(time.Millisecond)))
	}
	switch {
	case c.Truncated:
		e.Finish = "context"
	case c.StopType == "limit":
		e.Finish = "length"
	default:
		e.Finish = c.StopType
	}
	e.Usage = &server.Usage{Prompt: c.Evaluated, Output: c.Predicted,
		Cached: max(c.Timings.Cached, c.Evaluated-c.Timings.Prompt)}
	return e, nil
}

// Tokenize implements server.Tokenizer.
func (*dialect) Tokenize(ctx context.Context, ask server.Ask, text string) ([]int32, error) {
	return server.AskTokens(ctx, ask, "/tokenize",
		map[string]any{"content": text, "add_special": false, "parse_special": false})
}

// Template implements server.Templater like the server itself: it removes the first token of the template's text
// if tokenizing adds it.
func (e *dialect) Template(ctx context.Context, ask server.Ask, c chat.Conversation) ([]int32, error) {
	if !e.chats { // the server would assume ChatML instead
		return nil, note.Failf(codes.ClassConfig, "use workload.chat_template: none", "the model has no chat template")
	}
	body, err := json.Marshal(map[string]any{"messages": c})
	if err != nil {
		return nil, fmt.Errorf("encode a conversation: %w", err)
	}
	answer, err := ask(ctx, "POST", "/apply-template", body)
	if err != nil {
		return nil, err
	}
	var got struct {
		Prompt *string `json:"prompt"`
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		return nil, fmt.Errorf("read the prompt in the chat template: %w", err)
	}
	if got.Prompt == nil {
		return nil, errors.New("the answer of /apply-template has no prompt")
	}
	return server.AskTokens(ctx, ask, "/tokenize",
		map[string]any{"content": *got.Prompt, "add_special": true, "parse_special": true})
}

// Describe implements server.Describer: the model and the settings that the server reports.
func (e *dialect) Describe(ctx context.Context, ask server.Ask, l *backend.Loaded) error {
	l.Settings = printed(asked.Printed(e.log), e.layers)
	if l.DType != mixed {
		l.Settings["dtype"] = l.DType
	}
	answer, err := ask(ctx, "GET", "/v1/models", nil)
	if err != nil {
		return fmt.Errorf("ask for the model in use: %w", err)
	}
	var got struct {
		Data []struct {
			Meta *struct {
				Vocab      int   `json:"n_vocab"`
				Parameters int64 `json:"n_params"`
				Size       int64 `json:"size"`
			} `json:"meta"`
		} `json:"data"`
	}
	if err := json.Unmarshal(bytes.TrimSpace(answer), &got); err != nil {
		return fmt.Errorf("read the model in use: %w", err)
	}
	if len(got.Data) > 0 && got.Data[0].Meta != nil {
		m := got.Data[0].Meta
		l.Parameters, l.WeightBytes = m.Parameters, m.Size
	}
	return e.checkAdapter(ctx, ask, l)
}

// checkAdapter checks that the server applies the requested adapter.
func (e *dialect) checkAdapter(ctx context.Context, ask server.Ask, l *backend.Loaded) error {
	if e.lora.Asked == "" {
		return nil
	}
	answer, err := ask(ctx, "GET", "/lora-adapters", nil)
	if err != nil {
		return fmt.Errorf("ask for the adapter in use: %w", err)
	}
	var got []struct {
		Path  string  `json:"path"`
		Scale float64 `json:"scale"`
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		return fmt.Errorf("read the adapter in use: %w", err)
	}
	if len(got) != 1 || got[0].Path != e.lora.Path || got[0].Scale != 1 {
		return adapter.Missing(title, name, e.lora)
	}
	e.lora.Describe(l.Settings)
	return nil
}

// Counters implements server.Counted. Cached tokens are not among the processed ones.
func (*dialect) Counters(ctx context.Context, ask server.Ask) (server.Counters, error) {
	page, err := ask(ctx, "GET", "/metrics", nil)
	if err != nil {
		return server.Counters{}, err
	}
	return server.ReadCounters(page, map[string]func(*server.Counters) *float64{
		"llamacpp:prompt_tokens_total": func(c *server.Counters) *float64 { return &c.Prompt },
		"llamacpp:n_decode_total":      func(c *server.Counters) *float64 { return &c.Steps },
		"llamacpp:requests_deferred":   func(c *server.Counters) *float64 { return &c.Waiting },
		"llamacpp:requests_processing": func(c *server.Counters) *float64 { return &c.Running },
	})
}
