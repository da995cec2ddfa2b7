package servertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
)

// TensorRT answers like trtllm-serve's completions API, without detokenising and with a count in every event.
type TensorRT struct{}

// Health implements Dialect.
func (TensorRT) Health() string { return "/health" }

// Paths implements Dialect.
func (TensorRT) Paths() []string { return []string{"/v1/completions"} }

// Options implements Dialect.
func (TensorRT) Options() []string { return []string{"--backend", "--config"} }

// Parse implements Dialect. Like the server, it refuses unknown keys.
func (TensorRT) Parse(_ string, body []byte) (Request, error) {
	var q struct {
		Model       string   `json:"model"`
		Prompt      []int32  `json:"prompt"`
		MaxTokens   int      `json:"max_tokens"`
		IgnoreEOS   bool     `json:"ignore_eos"`
		Temperature *float64 `json:"temperature"`
		TopK        int      `json:"top_k"`
		Seed        int64    `json:"seed"`
		Stream      bool     `json:"stream"`
		Options     struct {
			IncludeUsage bool `json:"include_usage"`
			Continuous   bool `json:"continuous_usage_stats"`
		} `json:"stream_options"`
		Detokenize bool `json:"detokenize"`
		AddSpecial bool `json:"add_special_tokens"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return Request{}, err
	}
	return checked(Request{Prompt: q.Prompt, Output: q.MaxTokens, Greedy: q.Temperature != nil && *q.Temperature == 0,
		Forced: q.IgnoreEOS, Stream: q.Stream})
}

// Token implements Dialect.
func (TensorRT) Token(r Request, from, n int, last bool) string {
	reason := "null"
	if last {
		reason = `"length"`
	}
	return fmt.Sprintf(`{"id":"cmpl-1","object":"text_completion","created":1,"model":"llem",`+
		`"choices":[{"index":0,"text":"","token_ids":%s,"logprobs":null,"finish_reason":%s,"stop_reason":null,`+
		`"avg_decoded_tokens_per_iter":1.0}],"usage":{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d,`+
		`"prompt_tokens_details":{"cached_tokens":0}}}`,
		tokens(r, from, n), reason, len(r.Prompt), len(r.Prompt)+from+n, from+n)
}

// End implements Dialect.
func (TensorRT) End(r Request, output, cached int) []string { return VLLM{}.End(r, output, cached) }

// Pages implements Dialect.
func (TensorRT) Pages(s *Stub) map[string]http.HandlerFunc {
	var read int64 // prompt tokens of the steps that have been read
	return map[string]http.HandlerFunc{
		"/reset_prefix_cache": s.forget("", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"error":"requests are running"}`, http.StatusInternalServerError)
		}),
		"/metrics": func(w http.ResponseWriter, _ *http.Request) {
			prompt, cached, _, steps, running := s.Counts()
			s.mu.Lock()
			fresh := prompt - cached - read
			read += fresh
			s.mu.Unlock()
			if fresh == 0 {
				fmt.Fprint(w, "[]")
				return
			}
			fmt.Fprintf(w, `[{"iter":%d,"iterLatencyMS":1.5,"numActiveRequests":%d,`+
				`"inflightBatchingStats":{"numContextRequests":1,"numCtxTokens":%d,"numGenRequests":%d,`+
				`"numScheduledRequests":%d}}]`,
				steps, running, fresh, running, running)
		},
	}
}
