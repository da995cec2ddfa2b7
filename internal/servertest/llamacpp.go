package servertest

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/llenergymeasure/llem/backend/chat"
)

// LlamaCpp answers like llama-server's /completion.
type LlamaCpp struct{}

// Health implements Dialect.
func (LlamaCpp) Health() string { return "/health" }

// Paths implements Dialect.
func (LlamaCpp) Paths() []string { return []string{"/completion"} }

// Options implements Dialect.
func (LlamaCpp) Options() []string {
	return []string{"--threads", "--model", "--metrics", "--offline", "--no-ui", "--no-webui", "--fit",
		"--no-cache-prompt", "--cache-ram",
		"--slot-prompt-similarity", "--parallel", "--ctx-size", "--lora"}
}

// Parse implements Dialect.
func (LlamaCpp) Parse(_ string, body []byte) (Request, error) {
	var q struct {
		Prompt       []int32  `json:"prompt"`
		NPredict     int      `json:"n_predict"`
		IgnoreEOS    bool     `json:"ignore_eos"`
		Temperature  *float64 `json:"temperature"`
		CachePrompt  *bool    `json:"cache_prompt"`
		ReturnTokens bool     `json:"return_tokens"`
		Stream       bool     `json:"stream"`
	}
	if err := json.Unmarshal(body, &q); err != nil {
		return Request{}, err
	}
	if q.CachePrompt == nil || *q.CachePrompt || !q.ReturnTokens {
		return Request{}, fmt.Errorf(`{"error":{"message":"the prompt cache is on, or no ids are requested"}}`)
	}
	return checked(Request{Prompt: q.Prompt, Output: q.NPredict, Greedy: q.Temperature != nil && *q.Temperature == 0,
		Forced: q.IgnoreEOS, Stream: q.Stream})
}

// Token implements Dialect. Of several tokens it names only the last, as the server does if the others ended
// inside a character.
func (LlamaCpp) Token(r Request, from, n int, _ bool) string {
	text := "a"
	if n > 1 {
		text = "é"
	}
	return fmt.Sprintf(`{"index":0,"content":"%s","tokens":%s,"stop":false,"id_slot":-1,"tokens_predicted":%d,`+
		`"tokens_evaluated":%d}`,
		text, tokens(r, from+n-1, 1), from+n, len(r.Prompt))
}

// End implements Dialect.
func (LlamaCpp) End(r Request, output, cached int) []string {
	return []string{fmt.Sprintf(
		`{"index":0,"content":"","tokens":[],"id_slot":0,"stop":true,"model":"m","tokens_predicted":%d,`+
			`"tokens_evaluated":%d,"generation_settings":{"n_predict":8},"prompt":"a","has_new_line":false,`+
			`"truncated":false,"stop_type":"limit","stopping_word":"","tokens_cached":%d,"timings":{"cache_n":%d,`+
			`"prompt_n":%d,"prompt_ms":1.5,"predicted_n":%d,"predicted_ms":9.5}}`,
		output, len(r.Prompt), len(r.Prompt)+output-1, cached, len(r.Prompt)-cached, output)}
}

// Pages implements Dialect.
func (LlamaCpp) Pages(s *Stub) map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"/metrics": func(w http.ResponseWriter, _ *http.Request) {
			prompt, cached, _, steps, running := s.Counts()
			fmt.Fprintf(w, "# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed, excluding "+
				"cached tokens\n# TYPE llamacpp:prompt_tokens_total counter\nllamacpp:prompt_tokens_total %d\n",
				prompt-cached)
			fmt.Fprintf(w, "# TYPE llamacpp:n_decode_total counter\nllamacpp:n_decode_total %d\n", steps)
			fmt.Fprintf(w, "# TYPE llamacpp:requests_processing gauge\nllamacpp:requests_processing %d\n", running)
		},
		"/v1/models": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"object":"list","data":[{"id":"m","object":"model","meta":{"vocab_type":2,`+
				`"n_vocab":300,"n_ctx_train":4096,"n_embd":64,"n_params":1000,"size":2000}}]}`)
		},
		"/lora-adapters": func(w http.ResponseWriter, _ *http.Request) {
			list := "[]"
			if path := given("--lora"); path != "" {
				list = fmt.Sprintf(`[{"id":0,"path":"%s","scale":1.0}]`, path)
			}
			fmt.Fprint(w, list)
		},
		"/tokenize": tokenizeBegin,
		"/apply-template": func(w http.ResponseWriter, r *http.Request) {
			var q struct {
				Messages chat.Conversation `json:"messages"`
			}
			if err := json.NewDecoder(r.Body).Decode(&q); err != nil || refuses(q.Messages) {
				http.Error(w, `{"error":{"code":500,"message":"Conversation roles must alternate",`+
					`"type":"server_error"}}`,
					http.StatusInternalServerError)
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]string{"prompt": InTemplate(q.Messages)})
		},
	}
}

// Begin is the id of the token that a stub of llama-server puts before a prompt.
const Begin = 256

// tokenizeBegin answers like llama-server, with the token of the beginning if it is requested.
func tokenizeBegin(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Content string `json:"content"`
		Add     bool   `json:"add_special"`
		Parse   bool   `json:"parse_special"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || q.Add != q.Parse {
		http.Error(w, `{"error":{"message":"special tokens are added, or parsed, alone"}}`, http.StatusBadRequest)
		return
	}
	ids := bytesOf(q.Content)
	if q.Add {
		ids = fmt.Sprint(Begin, ",", ids)
	}
	fmt.Fprintf(w, `{"tokens":[%s]}`, ids)
}
