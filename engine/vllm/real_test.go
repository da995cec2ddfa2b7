package vllm

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/backendtest"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/server"
	"github.com/llenergymeasure/llem/internal/shape"
)

// modes are the two ways of running vLLM.
var modes = []string{offlineMode, "serve"}

// itself returns vLLM: LLEM_TEST_VLLM names an interpreter that has it. On a CPU each start takes a minute or
// more.
func itself(t *testing.T) launcher {
	python := os.Getenv("LLEM_TEST_VLLM")
	if python == "" {
		t.Skip("NOT RUN AGAINST VLLM: LLEM_TEST_VLLM names no interpreter that has it")
	}
	for key, value := range map[string]string{"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
		"OMP_NUM_THREADS": "1"} {
		t.Setenv(key, value)
	}
	b := newBackend(python)
	b.Options = server.Options{StartTimeout: 10 * time.Minute, StallTimeout: 5 * time.Minute,
		StopTimeout: 20 * time.Second}
	return b
}

// realSpec returns a model that vLLM's attention supports on a CPU: its heads have 32 values or more.
func realSpec(t *testing.T, mode string) backend.Spec {
	const name = "smollm2-135m"
	dir := filepath.Join(t.TempDir(), "model")
	shape, err := shape.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := model.WriteHFDir(dir, shape.Config, gguf.BFloat16); err != nil {
		t.Fatal(err)
	}
	return backend.Spec{Model: "random:" + name, Path: dir, Synthetic: true, DType: "bfloat16", MaxContext: 256,
		Options: []byte(`{"mode":"` + mode + `","enforce_eager":true,"max_num_seqs":4,"max_num_batched_tokens":4096}`)}
}

// TestRealVLLM runs the conformance suite.
func TestRealVLLM(t *testing.T) {
	b := itself(t)
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			spec := realSpec(t, mode)
			spec.MaxContext = 0 // the suite's
			backendtest.Run(t, backendtest.Suite{Backend: b, Spec: spec, Tokens: model.ByteTokenizer{}.Encode,
				Schedules: mode == offlineMode, Serves: mode != offlineMode})
		})
	}
}

// TestRealModesDoTheSame: for the same requests the server and the worker compute the same tokens, and the steps
// of both contain all of them exactly once.
func TestRealModesDoTheSame(t *testing.T) {
	b := itself(t)
	work := backend.Workload{OutputTokens: 16}
	random := rand.New(rand.NewPCG(1, 2))
	prompt := 0
	for i, length := range []int{40, 7, 64, 1, 23, 40} {
		tokens := make([]int32, length)
		for k := range tokens {
			tokens[k] = random.Int32N(256)
		}
		work.Requests = append(work.Requests, backend.Prompt{ID: i, Tokens: tokens})
		prompt += length
	}
	logs := map[string]*backend.Log{}
	for _, mode := range modes {
		s, err := b.Start(t.Context(), realSpec(t, mode))
		if err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		log, err := s.Run(t.Context(), work)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		slices.SortFunc(log.Requests, func(a, b backend.Request) int { return a.ID - b.ID })
		logs[mode] = log
		var prefill, decode int
		for _, step := range log.Steps {
			prefill, decode = prefill+step.PrefillTokens, decode+step.DecodeTokens
		}
		// A prompt's last token gives the first of the output.
		if out := len(work.Requests) * (work.OutputTokens - 1); prefill != prompt || decode != out {
			t.Errorf("%s: steps of %d and %d tokens, want %d and %d", mode, prefill, decode, prompt, out)
		}
	}
	for i, got := range logs["serve"].Requests {
		want := logs[offlineMode].Requests[i]
		if !slices.Equal(got.Output, want.Output) || got.PromptComputed != want.PromptComputed ||
			got.FinishReason != want.FinishReason {
			t.Errorf("request %d: %v (%d computed, %s) and %v (%d, %s)", i,
				got.Output, got.PromptComputed, got.FinishReason, want.Output, want.PromptComputed, want.FinishReason)
		}
	}
}
