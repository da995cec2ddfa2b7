package pyworker

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/backendtest"
	"github.com/llenergymeasure/llem/internal/enginefake"
)

// python returns any interpreter: these tests need no package.
func python(t *testing.T) string {
	t.Helper()
	path, err := Interpreter{Needs: "nothing"}.Find(t.Context())
	if err != nil {
		t.Skip(err)
	}
	return path
}

// fake is a backend of the scripts in testdata, whose engine computes nothing.
type fake struct {
	worker Worker
	python string
}

func (fake) Name() string { return "fake" }

func (f fake) Probe(ctx context.Context) (backend.Info, error) { return f.worker.Probe(ctx, f.python) }

func (f fake) Start(ctx context.Context, spec backend.Spec) (backend.Session, error) {
	return f.worker.Start(ctx, func(context.Context) (string, error) { return f.python, nil }, spec)
}

func newFake(t *testing.T) fake {
	t.Setenv("TMPDIR", t.TempDir())
	return fake{Worker{Name: "fake", Scripts: os.DirFS("testdata")}, python(t)}
}

// left checks that no unpacked worker is left.
func left(t *testing.T) {
	t.Helper()
	if files, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "llem-*")); err != nil || len(files) > 0 {
		t.Errorf("left behind: %q, %v", files, err)
	}
}

// TestConformance: the Python side of the protocol.
func TestConformance(t *testing.T) {
	backendtest.Run(t, backendtest.Suite{Backend: newFake(t), Tokens: enginefake.FakeTokens,
		Spec: backend.Spec{Model: "fake", Path: "fake", DType: "float32"}})
	left(t)
}

// TestNotes: the notes of the worker and of its engine, each once.
func TestNotes(t *testing.T) {
	s, err := newFake(t).Start(t.Context(), backend.Spec{Path: "fake", MaxContext: 8})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := s.Loaded().Notes; !slices.Equal(got, []string{"of the worker", "of the engine"}) {
		t.Errorf("notes %q", got)
	}
}

// TestFailedStart: nothing is left of a worker that could not be started.
func TestFailedStart(t *testing.T) {
	f := newFake(t)
	f.python = filepath.Join(t.TempDir(), "absent")
	if _, err := f.Start(t.Context(), backend.Spec{}); err == nil {
		t.Error("a missing interpreter was started")
	}
	left(t)
	f.python = script(t, filepath.Join(t.TempDir(), "python"), "exit 3")
	if _, err := f.Probe(t.Context()); err == nil {
		t.Error("an interpreter that ends at once answered")
	}
	left(t)
}

// TestEmbedded: the whole package of the protocol is in the binary.
func TestEmbedded(t *testing.T) {
	want, err := filepath.Glob("llem_protocol/*.py")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := fs.Glob(protocol, "llem_protocol/*"); err != nil || !slices.Equal(got, want) {
		t.Errorf("embedded %q, %v, want %q", got, err, want)
	}
}

// TestProtocolScripts runs the package's own tests.
func TestProtocolScripts(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), python(t), "-B", "-m", "unittest", "discover", "-p", "*_test.py")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
