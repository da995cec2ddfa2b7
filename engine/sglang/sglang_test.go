package sglang

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/adapter"
	"github.com/llenergymeasure/llem/internal/enginefake"
	"github.com/llenergymeasure/llem/internal/enginetest"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/servertest"
)

func TestMain(m *testing.M) {
	servertest.Main(map[string]servertest.Dialect{name: servertest.SGLang{},
		"cumulative": servertest.SGLang{Cumulative: true}})
	m.Run()
}

// stub is the backend with a stub as SGLang's program.
func stub(s servertest.Stubbed) backend.Backend { return enginetest.Stub(newBackend(""), s) }

func TestConformance(t *testing.T) {
	enginetest.Conformance(t, name, stub, servertest.Spec(t), enginefake.FakeTokens, nil)
}

// TestStub: both formats of the stream.
func TestStub(t *testing.T) {
	s := servertest.Suite{Backend: stub, Spec: servertest.Spec(t), SaysCache: true, CountsEarly: true,
		Option:   "--max-running-requests",
		Settings: `{"max_running_requests":4}`, Caching: `{"disable_radix_cache":false}`}
	t.Run("incremental", func(t *testing.T) { s.Run(t, name) })
	t.Run("cumulative", func(t *testing.T) { s.Run(t, "cumulative") })
}

// TestCommandLine checks the arguments of the engine. Its switches can only switch on.
func TestCommandLine(t *testing.T) {
	s := servertest.Spec(t)
	s.Seed, s.MaxContext = 7, 64
	s.Options = []byte(`{"max_running_requests":64,"disable_cuda_graph":true,"enable_mixed_chunk":false,` +
		`"tensor_parallel_size":2,"mem_fraction_static":0.5,"cuda_graph_max_bs":16}`)
	for name, q := range map[string]struct {
		command backend.Command
		has     []string
	}{
		"unknown version": {backend.Command{Path: "/no/such/python", Args: []string{"-m", "sglang.launch_server"}},
			[]string{
				"-m sglang.launch_server --model-path " + s.Path +
					" --host 127.0.0.1 --port 1234", "--dtype bfloat16", "--random-seed 7", "--enable-metrics",
				"--load-format dummy", "--max-running-requests 64", "--disable-cuda-graph",
				"--tensor-parallel-size 2", "--mem-fraction-static 0.5",
				"--cuda-graph-max-bs 16", "--disable-radix-cache", "--context-length 72"}},
		"newer version": {servertest.Command(t, name, servertest.None),
			[]string{"--cuda-graph-max-bs-decode 16", "--incremental-streaming-output"}},
	} {
		l, err := (&dialect{command: q.command}).Launch(t.Context(), s, 1234)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(l.Command.Args, " ")
		for _, want := range q.has {
			if !strings.Contains(got+" ", want+" ") {
				t.Errorf("%s: %s\nlacks %s", name, got, want)
			}
		}
		if strings.Contains(got, "mixed-chunk") || slices.Contains(l.Command.Args, "false") {
			t.Errorf("%s: %s\nhas a switch that is off", name, got)
		}
	}
	s.Options = []byte(`{"disable_radix_cache":false}`)
	l, err := (&dialect{command: backend.Command{Path: "/no/such/python"}}).Launch(t.Context(), s, 1234)
	if err != nil || strings.Contains(strings.Join(l.Command.Args, " "), "radix") {
		t.Errorf("%v, %v: the study enables the cache", l.Command.Args, err)
	}
}

func TestSampling(t *testing.T) {
	servertest.Sampling(t, func(s backend.Spec, p backend.Prompt, output int) []byte {
		return (&dialect{}).Request(s, p, output).Body
	}, `"min_p":0.05`, `"repetition_penalty":1.1`)
	e, s := &dialect{command: backend.Command{Path: "/no/such/python"}}, servertest.Spec(t)
	s.Decoding = backend.Decoding{Temperature: 0.7, Seed: 11}
	for option, want := range map[string]bool{`{}`: false, `{"enable_deterministic_inference":true}`: true} {
		s.Options = []byte(option)
		if _, err := e.Launch(t.Context(), s, 1234); err != nil {
			t.Fatal(err)
		}
		body := string(e.Request(s, backend.Prompt{ID: 1, Tokens: []int32{65}}, 3).Body)
		if strings.Contains(body, `"sampling_seed":11`) != want || !want && strings.Contains(body, "sampling_seed") {
			t.Errorf("%s: %s, want a seed: %v", option, body, want)
		}
	}
}

func TestContainer(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	servertest.Container(t, name, stub, servertest.Spec(t))
}

// TestQueueTime: newer servers report how long a request waited.
func TestQueueTime(t *testing.T) {
	for text, want := range map[string]time.Duration{
		`,"queue_time":0.25`: 250 * time.Millisecond,
		`,"queue_time":0.0`:  0,
		``:                   -1,
	} {
		e, err := new(dialect).Read([]byte(
			`{"output_ids":[1],"meta_info":{"prompt_tokens":3,"completion_tokens":1` + text + `}}`))
		if err != nil || (e.Queued == nil) != (want < 0) || e.Queued != nil && *e.Queued != want {
			t.Errorf("%q: %+v, %v, want %v", text, e, err, want)
		}
	}
}

// TestAdapter: an adapter is loaded at start, and every request names it.
func TestAdapter(t *testing.T) {
	s := servertest.Spec(t)
	s.Path, s.MaxContext = servertest.Shaped(t), 64
	enginetest.Adapter(t, name, stub, s)
}

// TestMissingAdapter: a server that lists its adapters without the one it was given fails the run; of a version that
// does not list any, nothing is known.
func TestMissingAdapter(t *testing.T) {
	for paths, want := range map[string]string{
		`,"lora_paths":null`:                        "missing",
		`,"lora_paths":[]`:                          "missing",
		`,"lora_paths":{"other":"/a"}`:              "missing",
		`,"lora_paths":{"llem-lora":"/a"}`:          "there",
		`,"lora_paths":[{"lora_name":"llem-lora"}]`: "there",
		``: "unknown",
	} {
		e := &dialect{lora: adapter.Adapter{Asked: "/a", Path: "/a", Rank: 8}, cache: true}
		var l backend.Loaded
		err := e.Describe(t.Context(), func(context.Context, string, string, []byte) ([]byte, error) {
			return []byte(`{"dtype":"bfloat16"` + paths + `}`), nil
		}, &l)
		got := "unknown"
		if l.Settings["lora"] != "" {
			got = "there"
		}
		if err != nil {
			got = "missing"
			const text = "without the adapter of sglang.lora /a"
			if f := fault.As(err); f.Next == "" || !strings.Contains(f.Error(), text) {
				t.Errorf("%s: %v", paths, err)
			}
		}
		if got != want {
			t.Errorf("%s: %s (%v), want %s", paths, got, err, want)
		}
	}
}
