package llamacpp

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/backendtest"
	"github.com/llenergymeasure/llem/backend/chat"
	"github.com/llenergymeasure/llem/internal/enginefake"
	"github.com/llenergymeasure/llem/internal/enginetest"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/server"
	"github.com/llenergymeasure/llem/internal/servertest"
)

func TestMain(m *testing.M) {
	servertest.Main(map[string]servertest.Dialect{name: servertest.LlamaCpp{}})
	m.Run()
}

// stub is the backend with a stub as llama-server.
func stub(s servertest.Stubbed) backend.Backend { return enginetest.Stub(newBackend(""), s) }

// spec is a random model of a shape.
func spec(t *testing.T, shape string) backend.Spec {
	r, err := model.Store{Dir: t.TempDir()}.Resolve(t.Context(),
		model.Request{Model: "random:" + shape, Format: model.FormatGGUF, DType: "float16"})
	if err != nil {
		t.Fatal(err)
	}
	return backend.Spec{Model: "random:" + shape, Path: r.Path, Synthetic: true, DType: "float16"}
}

func TestConformance(t *testing.T) {
	enginetest.Conformance(t, name, stub, spec(t, "tiny-llama"), enginefake.FakeTokens, nil)
}

func TestStub(t *testing.T) {
	servertest.Suite{Backend: stub, Spec: spec(t, "tiny-llama"), Option: "--threads", Settings: `{"threads":1}`,
		LateTokens: true}.Run(t, name)
}

// TestRealServer runs the suite against llama-server itself.
func TestRealServer(t *testing.T) {
	program := os.Getenv("LLEM_TEST_LLAMA_SERVER")
	if program == "" {
		t.Skip("LLEM_TEST_LLAMA_SERVER names no llama-server")
	}
	s := spec(t, "tiny-llama")
	s.Options = []byte(`{"threads":1}`)
	b := newBackend(program)
	b.Options = server.Options{StartTimeout: time.Minute, StallTimeout: time.Minute, StopTimeout: 5 * time.Second}
	backendtest.Run(t, backendtest.Suite{Backend: b, Spec: s, Tokens: model.ByteTokenizer{}.Encode, Serves: true})
}

// TestRealModels: llama-server loads models that this program writes, and computes all of a prompt that it has
// just seen.
func TestRealModels(t *testing.T) {
	program := os.Getenv("LLEM_TEST_LLAMA_SERVER")
	if program == "" {
		t.Skip("LLEM_TEST_LLAMA_SERVER names no llama-server")
	}
	for _, shape := range []string{"tiny-llama", "tiny-qwen2", "tiny-qwen3", "tiny-qwen3moe", "tiny-gemma2",
		"tiny-gemma3"} {
		t.Run(shape, func(t *testing.T) {
			s := spec(t, shape)
			s.BatchSize, s.MaxContext, s.Options = 2, 128, []byte(`{"threads":1}`)
			b := newBackend(program)
			b.Options.StartTimeout = time.Minute
			session, err := b.Start(t.Context(), s)
			if err != nil {
				t.Fatalf("%v\n%s", err, fault.As(err).LogTail)
			}
			defer session.Close()
			prompt := make([]int32, 50)
			for i := range prompt {
				prompt[i] = int32(40 + i)
			}
			work := backend.Workload{OutputTokens: 70,
				Requests: []backend.Prompt{{ID: 1, Tokens: prompt}, {ID: 2, Tokens: prompt}, {ID: 3, Tokens: prompt}}}
			log, err := session.Run(t.Context(), work)
			if err != nil {
				t.Fatal(err)
			}
			for _, q := range log.Requests {
				if !q.OK || q.PromptComputed != 50 || q.OutputTokens != 70 || q.FinishReason != "length" {
					t.Errorf("request %+v", q)
				}
			}
			if n := len(log.Requests[0].Output); n != 70 {
				t.Errorf("%d ids of 70 tokens: a random model must not say unfinished characters", n)
			}
		})
	}
}

// TestCommandLine checks the arguments of the engine.
func TestCommandLine(t *testing.T) {
	s := spec(t, "tiny-llama")
	s.BatchSize, s.MaxContext = 3, 300
	s.Options = []byte(`{"parallel":3,"ubatch_tokens":64,"flash_attn":true,"kv_offload":false,"n_gpu_layers":"0",` +
		`"poll":"0","threads":2,"cache_type_k":"q8_0"}`)
	l, err := (&dialect{command: servertest.Command(t, name, servertest.None),
		info: backend.Info{Version: "1"}}).Launch(t.Context(), s, 1234)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(l.Command.Args, " ") + " "
	for _, want := range []string{
		"--model " + s.Path + " --host 127.0.0.1 --port 1234 --metrics", "--offline", "--no-ui", "--fit off",
		"--no-cache-prompt", "--cache-ram 0",
		"--slot-prompt-similarity 0", "--parallel 3", "--ctx-size 1536", "--ubatch-size 64", "--flash-attn on",
		"--no-kv-offload",
		"--n-gpu-layers 0", "--poll 0", "--threads 2", "--cache-type-k q8_0",
	} {
		if !strings.Contains(got, want+" ") {
			t.Errorf("%s\nlacks %s", got, want)
		}
	}
	if strings.Contains(got, "--no-webui") {
		t.Errorf("%s\nhas two names of one option", got)
	}
	if l.Loaded.Device != "cpu" || l.Loaded.DType != "float16" || l.Loaded.Vocab < 259 || l.Loaded.TextVocab < 256 ||
		l.Loaded.TextVocab > l.Loaded.Vocab {
		t.Errorf("loaded = %+v", l.Loaded)
	}
	s.Options, s.BatchSize = nil, 0
	l, err = (&dialect{command: backend.Command{Path: "/no/such/llama-server"}}).Launch(t.Context(), s, 1234)
	if got := strings.Join(l.Command.Args, " "); err != nil || !strings.Contains(got, "--parallel 4") ||
		!strings.Contains(got, "--ctx-size 2048") {
		t.Errorf("%s, %v: want the server's own four slots", got, err)
	}
	s.Path = filepath.Join(t.TempDir(), "none.gguf")
	if _, err := (&dialect{}).Launch(t.Context(), s, 1234); err == nil || !strings.Contains(err.Error(), "none.gguf") {
		t.Errorf("%v, want the missing file", err)
	}
}

func TestVersionAndDevice(t *testing.T) {
	for text, want := range map[string]string{
		"version: 4567 (abc)\nbuilt with gcc\n":                                      "4567 (abc)",
		"load_backend: loaded CUDA\nversion: 1.0 (build 7, commit ab)\nbuilt with\n": "1.0 (build 7, commit ab)",
		"usage: something else":                                                      "", "": "",
	} {
		if got, ok := versionOf(text); (got != want && ok) || ok != (want != "") {
			t.Errorf("version of %q is %q, %v", text, got, ok)
		}
	}
	for text, want := range map[string]string{
		"Available devices:\n":                              "cpu",
		"Available devices:\n  CUDA0: NVIDIA H200 (1 MiB)":  "cuda",
		"Available devices:\n  ROCm0: AMD Instinct (1 MiB)": "rocm",
	} {
		if got := deviceOf(text); got != want {
			t.Errorf("device of %q is %q", text, got)
		}
	}
}

func TestSampling(t *testing.T) {
	servertest.Sampling(t, func(s backend.Spec, p backend.Prompt, output int) []byte {
		return (&dialect{}).Request(s, p, output).Body
	}, `"min_p":0.05`, `"repeat_penalty":1.1`, `"repeat_last_n":-1`, `"samplers":["penalties","temperature",`)
}

func TestContainer(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	servertest.Container(t, name, stub, spec(t, "tiny-llama"))
}

// TestTemplate: a conversation in the model's own template is tokenized like in the server, which adds the first
// token and parses special tokens; without a template in the file nothing is requested.
func TestTemplate(t *testing.T) {
	s := spec(t, "tiny-llama")
	s.BatchSize, s.MaxContext, s.Path = 1, 64, filepath.Join(t.TempDir(), "chat.gguf")
	file := gguf.File{Meta: map[string]any{"general.architecture": "llama",
		"tokenizer.ggml.tokens":   make([]string, 300),
		"tokenizer.chat_template": "{{ messages }}"}}
	if err := file.Write(t.Context(), s.Path); err != nil {
		t.Fatal(err)
	}
	b := stub(servertest.Stubbed{Command: servertest.Command(t, name, servertest.None), Start: 20 * time.Second,
		Stall: 3 * time.Second})
	session, err := b.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	c := chat.Conversation{{Role: "user", Content: "Hi"}}
	got, err := session.(chat.Templater).Template(t.Context(), []chat.Conversation{c})
	want := append([]int32{servertest.Begin}, enginefake.FakeTokens(servertest.InTemplate(c))...)
	if err != nil || len(got) != 1 || !slices.Equal(got[0], want) {
		t.Errorf("template = %v, %v; want %v", got, err, want)
	}
	enginetest.Refused(t, b, s)
}

// TestPromptTime: the server reports how long a prompt took, which gives the start of a request.
func TestPromptTime(t *testing.T) {
	e, err := new(dialect).Read([]byte(`{"content":"","tokens":[],"stop":true,"stop_type":"limit",` +
		`"tokens_predicted":2,"tokens_evaluated":3,"timings":{"cache_n":0,"prompt_n":3,"prompt_ms":12.5}}`))
	if err != nil || e.Prefill == nil || *e.Prefill != 12500*time.Microsecond || e.Queued != nil {
		t.Errorf("%+v, %v", e, err)
	}
}

// TestAdapter: an adapter is loaded at start, and the server reports that it applies it.
func TestAdapter(t *testing.T) {
	s := spec(t, "tiny-llama")
	s.MaxContext = 64
	enginetest.Adapter(t, name, stub, s)
}
