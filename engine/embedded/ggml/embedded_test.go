//go:build cgo

package ggml

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/backendtest"
	"github.com/llenergymeasure/llem/engine/embedded/internal/core"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/shape"
)

// workerEnv turns the test binary into a worker; its value "noisy" adds noise on standard output.
const workerEnv = "LLEM_TEST_WORKER"

func TestMain(m *testing.M) {
	switch os.Getenv(workerEnv) {
	case "":
		os.Exit(m.Run())
	case "noisy":
		go func() {
			for {
				fmt.Println(`{"id":4,"event":"done"} noise on standard output`)
			}
		}()
	}
	if err := WorkerMain(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// testBackend starts this test binary as the worker.
func testBackend(t *testing.T, mode string) core.Backend {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return core.Backend{Command: &backend.Command{Path: self, Args: []string{"worker", core.Name},
		Env: []string{workerEnv + "=" + mode}}}
}

// tinyModel writes a random model of about a million parameters.
func tinyModel(t testing.TB, name string, dtype gguf.DType) string {
	t.Helper()
	s, err := shape.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := model.WriteGGUF(t.Context(), path, s.Config, dtype, 1, nil); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConformance(t *testing.T) {
	backendtest.Run(t, backendtest.Suite{
		Backend: testBackend(t, "plain"),
		Noisy:   testBackend(t, "noisy"),
		Spec: backend.Spec{
			Model: "random:tiny-llama", Path: tinyModel(t, "tiny-llama", "float16"), Synthetic: true,
			DType: "float16", Options: []byte(`{"threads":1}`),
		},
		Tokens: func(text string) []int32 { return model.ByteTokenizer{}.Encode(text) },
	})
}
