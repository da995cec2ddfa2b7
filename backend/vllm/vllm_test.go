package vllm

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/backendtest"
	"github.com/llenergymeasure/llem/backend/server"
	"github.com/llenergymeasure/llem/backend/server/servertest"
	"github.com/llenergymeasure/llem/internal/model"
)

func TestMain(m *testing.M) {
	servertest.Main(map[string]servertest.Dialect{Name: servertest.VLLM{}})
	m.Run()
}

// stub is the backend with a stub in place of vLLM's program.
func stub(t *testing.T, fault servertest.Fault, step string) Backend {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Backend{Command: &backend.Command{Path: self, Env: []string{servertest.Env + "=" + Name + "," + string(fault) + "," + step}},
		Options: server.Options{StartTimeout: 20 * time.Second, StallTimeout: 3 * time.Second, StopTimeout: 2 * time.Second, Poll: 20 * time.Millisecond}}
}

// tiny is the folder of a tiny model.
func tiny(t *testing.T) string {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"vocab_size": 300}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestConformance(t *testing.T) {
	backendtest.Run(t, backendtest.Suite{
		Backend: stub(t, servertest.None, "1ms"), Fixed: true,
		Spec:   backend.Spec{Model: "random:tiny-llama", Path: tiny(t), Synthetic: true, DType: "bfloat16"},
		Tokens: backendtest.FakeTokens,
	})
}

func spec(t *testing.T) backend.Spec {
	return backend.Spec{Model: "random:tiny-llama", Path: tiny(t), Synthetic: true, DType: "bfloat16", MaxContext: 64, LogPath: filepath.Join(t.TempDir(), "engine.log")}
}

// work is four prompts of three tokens, of which the first tells them apart.
func work() backend.Workload {
	w := backend.Workload{OutputTokens: 8}
	for i := range int32(4) {
		w.Requests = append(w.Requests, backend.Prompt{ID: int(i) + 10, Tokens: []int32{i + 1, 5, 6, 7}})
	}
	return w
}

// TestFaults: every way to fail ends in time, in the class that says what it was, and
// leaves nothing running.
func TestFaults(t *testing.T) {
	for fault, q := range map[servertest.Fault]struct {
		class      backend.Class
		says, hint string
	}{
		servertest.NeverReady:    {backend.ClassStartTimeout, "not ready within 2s: GET /health: the server answered 503", "engine.log"},
		servertest.DiesLoading:   {backend.ClassUnsupportedModel, "exited with status 1 while starting", ""},
		servertest.BadFlag:       {backend.ClassVersion, "unrecognized arguments: --no-such", "leave that key out"},
		servertest.DiesStreaming: {backend.ClassOOMGPU, "exited with status 1 while running", ""},
		servertest.Stalls:        {backend.ClassHung, "sent nothing for", "engine.log"},
		servertest.Answers500:    {backend.ClassEngine, "answered 500", "engine.log"},
		servertest.Malformed:     {backend.ClassEngine, "broke its own format", "engine.log"},
		servertest.BreaksOff:     {backend.ClassEngine, "after 3 of 8 tokens", "engine.log"},
		servertest.CountsWrong:   {backend.ClassEngine, "counts 9 output tokens, its stream brought 8", "engine.log"},
	} {
		t.Run(string(fault), func(t *testing.T) {
			b := stub(t, fault, "1ms")
			b.Options.StartTimeout, b.Options.StallTimeout = 2*time.Second, time.Second
			began := time.Now()
			session, err := b.Start(t.Context(), spec(t))
			pid := 0
			if err == nil {
				pid = session.Loaded().PID
				_, err = session.Run(t.Context(), work())
				if closeErr := session.Close(); closeErr != nil {
					t.Error(closeErr)
				}
			}
			f, ok := errors.AsType[*backend.Failure](err)
			if !ok || f.Class != q.class || !strings.Contains(f.Error(), q.says) || !strings.Contains(f.Hint, q.hint) || f.Hint == "" {
				t.Errorf("class %v, message %q, hint %q, want %s, %q and %q", f.Class, f.Error(), f.Hint, q.class, q.says, q.hint)
			}
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("it took %v", took)
			}
			if pid != 0 && syscall.Kill(-pid, 0) == nil {
				t.Error("a process is left")
			}
		})
	}
}

// TestOtherWork: an engine that does other work than it was asked for says so in the
// log, request by request.
func TestOtherWork(t *testing.T) {
	for fault, check := range map[servertest.Fault]func(backend.Request, *backend.Log) bool{
		servertest.FewerTokens: func(q backend.Request, _ *backend.Log) bool { return q.OK && q.OutputTokens == 6 },
		servertest.MoreTokens:  func(q backend.Request, _ *backend.Log) bool { return q.OK && q.OutputTokens == 10 },
		servertest.CacheHit: func(q backend.Request, _ *backend.Log) bool {
			return q.OK && q.PromptTokens == 4 && q.PromptComputed == 2
		},
		servertest.TwoAtOnce: func(q backend.Request, log *backend.Log) bool {
			return q.OK && q.OutputTokens == 8 && len(q.TokenNS) == 8 && q.TokenNS[0] == q.TokenNS[1] && log.SharedStamps == 16
		},
		servertest.ClosesIdle: func(q backend.Request, log *backend.Log) bool {
			return q.OK && q.OutputTokens == 8 && log.Reconnects == 3
		},
	} {
		t.Run(string(fault), func(t *testing.T) {
			b := stub(t, fault, "1ms")
			if fault == servertest.ClosesIdle {
				b.Options.Streams = 1
			}
			session, err := b.Start(t.Context(), spec(t))
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			log, err := session.Run(t.Context(), work())
			if err != nil {
				t.Fatal(err)
			}
			for _, q := range log.Requests {
				if !check(q, log) {
					t.Errorf("request %+v, %d shared stamps, %d reconnects", q, log.SharedStamps, log.Reconnects)
				}
			}
		})
	}
}

// TestCommandLine: what the engine is started with.
func TestCommandLine(t *testing.T) {
	s := spec(t)
	s.Seed = 7
	s.Options = []byte(`{"max_num_seqs":64,"enforce_eager":true,"async_scheduling":false,"compilation_mode":"2","cudagraph_mode":"FULL","gpu_memory_utilization":0.5,"enable_prefix_caching":null}`)
	l, err := (&engine{command: backend.Command{Path: "vllm"}}).Launch(t.Context(), s, 1234)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(l.Command.Args, " ")
	for _, want := range []string{
		"serve " + s.Path + " --host 127.0.0.1 --port 1234", "--dtype bfloat16", "--seed 7", "--generation-config vllm", "--load-format dummy",
		"--max-num-seqs 64", "--enforce-eager", "--no-async-scheduling", "-O2", `--compilation-config {"cudagraph_mode":"FULL"}`,
		"--gpu-memory-utilization 0.5", "--no-enable-prefix-caching", "--max-model-len 64",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nlacks %s", got, want)
		}
	}
}

// TestRealVLLM runs the conformance suite against vLLM itself: LLEM_TEST_VLLM names an
// interpreter that has it.
func TestRealVLLM(t *testing.T) {
	python := os.Getenv("LLEM_TEST_VLLM")
	if python == "" {
		t.Skip("NOT RUN AGAINST VLLM: LLEM_TEST_VLLM names no interpreter that has it")
	}
	dir := filepath.Join(t.TempDir(), "model")
	shape, err := model.Lookup("smollm2-135m")
	if err != nil {
		t.Fatal(err)
	}
	if err := model.WriteHFDir(dir, shape.Config, model.BFloat16); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{Offline, "serve"} {
		t.Run(mode, func(t *testing.T) {
			backendtest.Run(t, backendtest.Suite{
				Backend: Backend{Python: python}, Fixed: true,
				Spec: backend.Spec{Model: "random:smollm2-135m", Path: dir, Synthetic: true, DType: "bfloat16",
					Options: []byte(`{"mode":"` + mode + `","enforce_eager":true,"max_num_seqs":4,"max_num_batched_tokens":4096}`)},
			})
		})
	}
}
