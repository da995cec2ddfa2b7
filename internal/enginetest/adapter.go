package enginetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/servertest"
)

// Adapter checks that an engine with an adapter of random weights loads it, names it in every request, reports it,
// and leaves nothing of it behind; and that an adapter that cannot be loaded is refused before the engine is
// started.
func Adapter(t *testing.T, dialect string, stub func(servertest.Stubbed) backend.Backend, spec backend.Spec) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	b := stub(servertest.Stubbed{Command: servertest.Command(t, dialect, servertest.None), Start: 20 * time.Second,
		Stall: 3 * time.Second})
	spec.Options = []byte(`{"lora":"random:4"}`)
	session, err := b.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	log, err := session.Run(t.Context(),
		backend.Workload{OutputTokens: 3, Requests: []backend.Prompt{{ID: 1, Tokens: []int32{5, 6}}}})
	if err != nil || !log.Requests[0].OK {
		t.Errorf("a request to an engine with an adapter: %+v, %v", log, err)
	}
	if s := session.Loaded().Settings; s["lora"] != "random:4" || s["lora_rank"] != "4" {
		t.Errorf("the engine reports %v", s)
	}
	if err := session.Close(); err != nil {
		t.Error(err)
	}
	for options, want := range map[string]string{
		`{"lora":"random:9999"}`:                      "inputs and",
		`{"lora":"` + t.TempDir() + `/no/such.gguf"}`: "no/such.gguf",
	} {
		spec.Options = []byte(options)
		session, err := b.Start(t.Context(), spec)
		if err == nil {
			session.Close()
		}
		if f := fault.As(err); err == nil || !strings.Contains(f.Error(), want) || f.Next == "" ||
			f.Class == codes.ClassEngine {
			t.Errorf("%s: %v, want %s", options, err, want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "llem-lora*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
