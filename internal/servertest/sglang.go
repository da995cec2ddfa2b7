package servertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// SGLang answers like SGLang's /generate.
type SGLang struct {
	// Cumulative is the format without --incremental-streaming-output.
	Cumulative bool
}

// Health implements Dialect.
func (SGLang) Health() string { return "/health_generate" }

// Paths implements Dialect.
func (SGLang) Paths() []string { return []string{"/generate"} }

// Options implements Dialect.
func (d SGLang) Options() []string {
	o := []string{"--max-running-requests", "--model-path", "--dtype", "--random-seed", "--enable-metrics",
		"--load-format",
		"--disable-radix-cache", "--context-length", "--cuda-graph-max-bs-decode",
		"--lora-paths", "--max-loras-per-batch"}
	if !d.Cumulative {
		o = append(o, "--incremental-streaming-output")
	}
	return o
}

// Parse implements Dialect.
func (SGLang) Parse(_ string, body []byte) (Request, error) {
	var q struct {
		InputIDs []int32 `json:"input_ids"`
		Stream   bool    `json:"stream"`
		Adapter  string  `json:"lora_path"`
		Sampling struct {
			MaxNewTokens int      `json:"max_new_tokens"`
			IgnoreEOS    bool     `json:"ignore_eos"`
			Temperature  *float64 `json:"temperature"`
		} `json:"sampling_params"`
	}
	if err := json.Unmarshal(body, &q); err != nil {
		return Request{}, err
	}
	if lora, _, _ := strings.Cut(given("--lora-paths"), "="); q.Adapter != lora {
		return Request{}, fmt.Errorf(`{"error":{"message":"lora_path is %q, and the adapter %q"}}`, q.Adapter, lora)
	}
	t := q.Sampling.Temperature
	return checked(Request{Prompt: q.InputIDs, Output: q.Sampling.MaxNewTokens, Greedy: t != nil && *t == 0,
		Forced: q.Sampling.IgnoreEOS, Stream: q.Stream})
}

// Token implements Dialect.
func (d SGLang) Token(r Request, from, n int, last bool) string {
	counted, finish, all := from+n, "null", n
	if last {
		counted, finish = r.counted, fmt.Sprintf(`{"type":"length","length":%d}`, r.counted)
	}
	if d.Cumulative {
		from, all = 0, from+n
	}
	return fmt.Sprintf(`{"text":"a","output_ids":%s,"meta_info":{"id":"1","finish_reason":%s,"prompt_tokens":%d,`+
		`"weight_version":"default","completion_tokens":%d,"cached_tokens":%d,"dp_rank":null}}`,
		tokens(r, from, all), finish, len(r.Prompt), counted, r.cached)
}

// End implements Dialect.
func (SGLang) End(Request, int, int) []string { return []string{"[DONE]"} }

// Pages implements Dialect.
func (SGLang) Pages(s *Stub) map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"/metrics": func(w http.ResponseWriter, _ *http.Request) {
			prompt, cached, _, _, running := s.Counts()
			const labels = `engine_type="unified",model_name="m",pp_rank="0",tp_rank="0"`
			fmt.Fprintf(w, "# TYPE sglang:num_running_reqs gauge\nsglang:num_running_reqs{%s} %d.0\n", labels, running)
			fmt.Fprintf(w, "# TYPE sglang:realtime_tokens_total "+
				"counter\nsglang:realtime_tokens_total{%s,mode=\"prefill_compute\"} %d.0\n", labels, prompt-cached)
			fmt.Fprintf(w, "sglang:realtime_tokens_total{%s,mode=\"prefill_cache\"} %d.0\n", labels, cached)
		},
		"/server_info": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"model_path":"m","dtype":"auto","attention_backend":"triton",`+
				`"disable_radix_cache":%v,"version":"0.0.stub","lora_paths":%s}`, !s.Caches(), loraPaths())
		},
		"/tokenize": tokenize("prompt"),
		"/flush_cache": s.forget("Cache flushed.", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "Flush cache failed.", http.StatusBadRequest)
		}),
	}
}

// loraPaths are the adapters as the server lists them.
func loraPaths() string {
	name, path, ok := strings.Cut(given("--lora-paths"), "=")
	if !ok {
		return "null"
	}
	return fmt.Sprintf(`[{"lora_id":"1","lora_name":"%s","lora_path":"%s","pinned":false}]`, name, path)
}
