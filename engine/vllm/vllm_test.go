package vllm

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/backendtest"
	"github.com/llenergymeasure/llem/backend/server"
	"github.com/llenergymeasure/llem/backend/server/servertest"
)

func TestMain(m *testing.M) {
	if os.Getenv(pythonEnv) != "" {
		os.Exit(pythonMain(os.Args[1:]))
	}
	servertest.Main(map[string]servertest.Dialect{Name: servertest.VLLM{}})
	m.Run()
}

// stub is the backend with a stub in place of vLLM's program.
func stub(s servertest.Stubbed) backend.Backend {
	return Backend{Command: &s.Command, Options: server.Options{StartTimeout: s.Start, StallTimeout: s.Stall,
		StopTimeout: 2 * time.Second, Poll: 20 * time.Millisecond, Streams: s.Streams}}
}

func spec(t *testing.T) backend.Spec {
	return backend.Spec{Model: "random:tiny-llama", Path: servertest.Folder(t), Synthetic: true, DType: "bfloat16"}
}

func TestConformance(t *testing.T) {
	backendtest.Run(t, backendtest.Suite{
		Backend: stub(servertest.Stubbed{Command: servertest.Command(t, Name, servertest.None),
			Start: 20 * time.Second, Stall: 3 * time.Second}),
		Spec:   spec(t),
		Tokens: backendtest.FakeTokens,
	})
}

func TestStub(t *testing.T) {
	servertest.Suite{Backend: stub, Spec: spec(t), SaysCache: true, Option: "--max-num-seqs",
		Settings: `{"max_num_seqs":4}`}.Run(t, Name)
}

// TestCommandLine: what the engine is started with.
func TestCommandLine(t *testing.T) {
	s := spec(t)
	s.Seed, s.MaxContext = 7, 64
	s.Options = []byte(`{"max_num_seqs":64,"enforce_eager":true,"async_scheduling":false,"compilation_mode":"2","cudagraph_mode":"FULL","gpu_memory_utilization":0.5,"enable_prefix_caching":null}`)
	l, err := (&dialect{command: backend.Command{Path: "vllm"}}).Launch(t.Context(), s, 1234)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(l.Command.Args, " ")
	for _, want := range []string{
		"serve " + s.Path + " --host 127.0.0.1 --port 1234", "--dtype bfloat16", "--seed 7",
		"--generation-config vllm", "--load-format dummy",
		"--max-num-seqs 64", "--enforce-eager", "--no-async-scheduling", "-O2",
		`--compilation-config {"cudagraph_mode":"FULL"}`,
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
	})
}
