package vllm

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/backendtest"
	"github.com/llenergymeasure/llem/backend/server"
	"github.com/llenergymeasure/llem/backend/server/servertest"
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
		Backend: stub(t, servertest.None, "1ms"),
		Spec:    backend.Spec{Model: "random:tiny-llama", Path: tiny(t), Synthetic: true, DType: "bfloat16"},
		Tokens:  backendtest.FakeTokens,
	})
}
