package servertest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/backend/chat"
)

// VLLM answers like vLLM's completions API, with return_token_ids.
type VLLM struct{}

// Health implements Dialect.
func (VLLM) Health() string { return "/health" }

// Paths implements Dialect.
func (VLLM) Paths() []string { return []string{"/v1/completions"} }

// Options implements Dialect.
func (VLLM) Options() []string {
	return []string{"--max-num-seqs", "--served-model-name", "--dtype", "--seed", "--generation-config",
		"--enable-prompt-tokens-details",
		"--load-format", "--no-enable-prefix-caching", "--enable-prefix-caching",
		"--max-model-len", "--enable-lora", "--max-loras",
		"--max-lora-rank", "--lora-modules"}
}

// Parse implements Dialect.
func (VLLM) Parse(_ string, body []byte) (Request, error) {
	var q struct {
		Model       string   `json:"model"`
		Prompt      []int32  `json:"prompt"`
		MaxTokens   int      `json:"max_tokens"`
		IgnoreEOS   bool     `json:"ignore_eos"`
		Temperature *float64 `json:"temperature"`
		Stream      bool     `json:"stream"`
	}
	if err := json.Unmarshal(body, &q); err != nil {
		return Request{}, err
	}
	if lora, _, _ := strings.Cut(given("--lora-modules"), "="); q.Model != cmp.Or(lora, "llem") {
		return Request{}, fmt.Errorf(`{"error":{"message":"the adapter is not requested: the model is %q"}}`, q.Model)
	}
	return checked(Request{Prompt: q.Prompt, Output: q.MaxTokens, Greedy: q.Temperature != nil && *q.Temperature == 0,
		Forced: q.IgnoreEOS, Stream: q.Stream})
}

// checked refuses requests that no engine accepts, and requests that would not do the work to be measured.
func checked(r Request) (Request, error) {
	switch {
	case len(r.Prompt) == 0 || r.Output < 1:
		return r, errors.New(`{"error":{"message":"a prompt and a number of tokens are needed"}}`)
	case !r.Greedy || !r.Forced || !r.Stream:
		return r, errors.New(`{"error":{"message":"the request must be greedy, forced and streamed"}}`)
	}
	for _, id := range r.Prompt {
		if id < 0 || id > 1<<20 {
			return r, fmt.Errorf(`{"error":{"message":"Token id %d is out of vocabulary"}}`, id)
		}
	}
	return r, nil
}

// tokens returns the ids of n tokens from a position on, as JSON.
func tokens(r Request, from, n int) string {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = token(r, from+i)
	}
	text, _ := json.Marshal(ids)
	return string(text)
}

// token returns the id that the stub generates: it depends only on prompt and position.
func token(r Request, n int) int32 { return (r.Prompt[0]+int32(len(r.Prompt)*31+n*7))%256 + r.shift }

// Token implements Dialect.
func (VLLM) Token(r Request, from, n int, last bool) string {
	reason := "null"
	if last {
		reason = `"length"`
	}
	return fmt.Sprintf(`{"id":"cmpl-1","object":"text_completion","created":1,"model":"llem",`+
		`"choices":[{"index":0,"text":"a","logprobs":null,"finish_reason":%s,"stop_reason":null,"token_ids":%s}],`+
		`"usage":null}`, reason, tokens(r, from, n))
}

// End implements Dialect.
func (VLLM) End(r Request, output, cached int) []string {
	return []string{
		fmt.Sprintf(`{"id":"cmpl-1","object":"text_completion","created":1,"model":"llem","choices":[],`+
			`"usage":{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d,`+
			`"prompt_tokens_details":{"cached_tokens":%d}}}`,
			len(r.Prompt), len(r.Prompt)+output, output, cached),
		"[DONE]",
	}
}

// Pages implements Dialect.
func (VLLM) Pages(s *Stub) map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"/metrics": func(w http.ResponseWriter, _ *http.Request) {
			prompt, cached, output, steps, running := s.Counts()
			const labels = `{engine="0",model_name="llem"}`
			fmt.Fprintf(w, "# HELP vllm:num_requests_running Number of requests in model execution batches.\n# "+
				"TYPE vllm:num_requests_running gauge\nvllm:num_requests_running%s %d.0\n", labels, running)
			caches := "False"
			if s.Caches() {
				caches = "True"
			}
			fmt.Fprintf(w, "# TYPE vllm:cache_config_info "+
				"gauge\nvllm:cache_config_info{block_size=\"16\",enable_prefix_caching=\"%s\",engine=\"0\"} 1.0\n",
				caches)
			fmt.Fprintf(w, "# TYPE vllm:prompt_tokens_total counter\nvllm:prompt_tokens_total%s %d.0\n", labels, prompt)
			fmt.Fprintf(w, "# TYPE vllm:prefix_cache_hits_total counter\nvllm:prefix_cache_hits_total%s %d.0\n",
				labels, cached)
			fmt.Fprintf(w, "# TYPE vllm:generation_tokens_total counter\nvllm:generation_tokens_total%s %d.0\n",
				labels, output)
			fmt.Fprintf(w, "# TYPE vllm:iteration_tokens_total histogram\nvllm:iteration_tokens_total_count%s %d.0\n",
				labels, steps)
		},
		"/v1/models": func(w http.ResponseWriter, _ *http.Request) {
			lora, _, ok := strings.Cut(given("--lora-modules"), "=")
			if ok {
				lora = fmt.Sprintf(`,{"id":"%s","object":"model","parent":"llem"}`, lora)
			}
			fmt.Fprintf(w, `{"object":"list","data":[{"id":"llem","object":"model","parent":null}%s]}`, lora)
		},
		"/tokenize":           s.tokenizeChat,
		"/reset_prefix_cache": s.resetPage(),
	}
}

// resetPage empties the prefix cache in development mode only.
func (s *Stub) resetPage() http.HandlerFunc {
	if os.Getenv("VLLM_SERVER_DEV_MODE") != "1" {
		return http.NotFound
	}
	return s.forget(`{"success": true}`, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"success": false}`)
	})
}

// tokenizeChat answers like tokenize if a prompt is given, and with a conversation in the template if messages
// are.
func (s *Stub) tokenizeChat(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Messages chat.Conversation `json:"messages"`
		Generate bool              `json:"add_generation_prompt"`
		Special  *bool             `json:"add_special_tokens"`
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &q)
	}
	switch r.Body = io.NopCloser(bytes.NewReader(body)); {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case q.Messages == nil:
		tokenize("prompt")(w, r)
	case !q.Generate || q.Special == nil || *q.Special || refuses(q.Messages):
		http.Error(w, `{"error":{"message":"Conversation roles must alternate","code":400}}`, http.StatusBadRequest)
	default:
		text := InTemplate(q.Messages)
		fmt.Fprintf(w, `{"count":%d,"max_model_len":4096,"tokens":[%s]}`, len(text), bytesOf(text))
	}
}

// Refused is a role that a stub's template rejects.
const Refused = "tool"

func refuses(c chat.Conversation) bool {
	return slices.ContainsFunc(c, func(m chat.Message) bool { return m.Role == Refused })
}

// InTemplate returns a conversation in the chat template of a stub.
func InTemplate(c chat.Conversation) string {
	var text strings.Builder
	for _, m := range c {
		text.WriteString("<" + m.Role + ">" + m.Content)
	}
	return text.String() + "<assistant>"
}

// tokenize answers with the bytes of a text as token ids. The text is the request's value of key.
func tokenize(key string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var q map[string]any
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		text, _ := q[key].(string)
		fmt.Fprintf(w, `{"count":%d,"max_model_len":4096,"tokens":[%s]}`, len(text), bytesOf(text))
	}
}

func bytesOf(text string) string {
	ids := make([]string, len(text))
	for i := range len(text) {
		ids[i] = fmt.Sprint(text[i])
	}
	return strings.Join(ids, ",")
}
