package vllm

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/enginefake"
	"github.com/llenergymeasure/llem/internal/enginetest"
	"github.com/llenergymeasure/llem/internal/servertest"
)

func TestMain(m *testing.M) {
	if os.Getenv(pythonEnv) != "" {
		os.Exit(pythonMain(os.Args[1:]))
	}
	servertest.Main(map[string]servertest.Dialect{name: servertest.VLLM{}})
	m.Run()
}

// stub is the backend with a stub in place of vLLM's program.
func stub(s servertest.Stubbed) backend.Backend {
	b := newBackend("")
	b.Backend = enginetest.Stub(b.Backend, s)
	return b
}

func TestConformance(t *testing.T) {
	enginetest.Conformance(t, name, stub, servertest.Spec(t), enginefake.FakeTokens, enginefake.FakeTemplate)
}

func TestStub(t *testing.T) {
	servertest.Suite{Backend: stub, Spec: servertest.Spec(t), SaysCache: true, Option: "--max-num-seqs",
		Settings: `{"max_num_seqs":4}`, Caching: `{"enable_prefix_caching":true}`}.Run(t, name)
}

// TestCommandLine checks the arguments of the engine.
func TestCommandLine(t *testing.T) {
	s := servertest.Spec(t)
	s.Seed, s.MaxContext = 7, 64
	s.Options = []byte(`{"max_num_seqs":64,"enforce_eager":true,"async_scheduling":false,"compilation_mode":"2",` +
		`"cudagraph_mode":"FULL","cudagraph_capture_sizes":"1,2","speculative_method":"ngram",` +
		`"num_speculative_tokens":3,"gpu_memory_utilization":0.5,"enable_prefix_caching":null}`)
	l, err := (&dialect{command: backend.Command{Path: "vllm"}}).Launch(t.Context(), s, 1234)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(l.Command.Args, " ")
	for _, want := range []string{
		"serve " + s.Path + " --host 127.0.0.1 --port 1234", "--dtype bfloat16", "--seed 7",
		"--generation-config vllm", "--load-format dummy",
		"--max-num-seqs 64", "--enforce-eager", "--no-async-scheduling", "-O2",
		`--compilation-config {"cudagraph_capture_sizes":[1,2],"cudagraph_mode":"FULL"}`,
		`--speculative-config {"method":"ngram","num_speculative_tokens":3}`,
		"--gpu-memory-utilization 0.5", "--no-enable-prefix-caching", "--max-model-len 64",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nlacks %s", got, want)
		}
	}
}

func TestSampling(t *testing.T) {
	servertest.Sampling(t, func(s backend.Spec, p backend.Prompt, output int) []byte {
		return (&dialect{}).Request(s, p, output).Body
	}, `"min_p":0.05`, `"repetition_penalty":1.1`)
}

// TestTemplateRefused: a conversation that the model's template refuses is a failure in the server's words, with
// the next step.
func TestTemplateRefused(t *testing.T) {
	b := stub(servertest.Stubbed{Command: servertest.Command(t, name, servertest.None), Start: 20 * time.Second,
		Stall: 3 * time.Second})
	enginetest.Refused(t, b, servertest.Spec(t))
}

// TestAdapter: an adapter is loaded at start, at a rank that vLLM supports, and every request names it.
func TestAdapter(t *testing.T) {
	s := servertest.Spec(t)
	s.Path, s.MaxContext = servertest.Shaped(t), 64
	enginetest.Adapter(t, name, stub, s)
	for rank, want := range map[int]int{1: 8, 8: 8, 9: 16, 512: 512, 600: 600} {
		if got := mostRank(rank); got != want {
			t.Errorf("max_lora_rank %d for rank %d, want %d", got, rank, want)
		}
	}
}
