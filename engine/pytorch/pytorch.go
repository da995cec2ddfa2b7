package pytorch

import (
	"context"
	"embed"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/chat"
	"github.com/llenergymeasure/llem/internal/pyworker"
)

// name of the backend in study files.
const name = "pytorch"

// install is how a user installs the engine.
const install = "python3 -m venv torch && torch/bin/pip install torch transformers; then --python torch/bin/python"

// scripts is the worker, without its tests.
//
//go:embed worker/__main__.py worker/llem_worker/*.py
var scripts embed.FS

// launcher runs models with PyTorch. The zero value looks for an interpreter in
// the process's environment.
type launcher struct {
	// Python is the interpreter to use, a path or a name in PATH.
	Python string
	// Env looks up environment variables; nil means os.Getenv.
	Env func(string) string
	// Limits bounds how long the worker may take.
	Limits backend.WorkerOptions
}

var _ backend.Backend = launcher{}

// Name implements backend.Backend.
func (launcher) Name() string { return name }

// Probe implements backend.Backend: it starts the worker, which imports torch.
func (b launcher) Probe(ctx context.Context) (backend.Info, error) {
	python, err := b.interpreter(ctx)
	if err != nil {
		return backend.Info{}, err
	}
	return b.worker().Probe(ctx, python)
}

// Start implements backend.Backend. spec.Options is the study's pytorch section.
func (b launcher) Start(ctx context.Context, spec backend.Spec) (backend.Session, error) {
	spec, err := resolve(spec)
	if err != nil {
		return nil, err
	}
	s, err := b.worker().Start(ctx, b.interpreter, spec)
	if err != nil {
		return nil, err
	}
	return session{s}, nil
}

func (b launcher) worker() pyworker.Worker {
	return pyworker.Worker{Name: name, Install: install, Scripts: scripts, Limits: b.Limits}
}

// interpreter finds the Python that runs the worker.
func (b launcher) interpreter(ctx context.Context) (string, error) {
	return pyworker.Interpreter{Python: b.Python, Env: b.Env, Needs: "torch and transformers"}.Find(ctx)
}

// session fills in the options of a spec for a loaded model, like Start.
type session struct{ backend.Session }

var (
	_ backend.Adapter = session{}
	_ chat.Templater  = session{}
)

// Template implements chat.Templater.
func (s session) Template(ctx context.Context, conversations []chat.Conversation) ([][]int32, error) {
	t, ok := s.Session.(chat.Templater)
	if !ok {
		return nil, chat.Unable(name)
	}
	return t.Template(ctx, conversations)
}

// Adapt implements backend.Adapter; package study defines what can change while the model stays loaded.
func (s session) Adapt(ctx context.Context, spec backend.Spec) error {
	spec, err := resolve(spec)
	if err != nil {
		return err
	}
	return backend.Adapt(ctx, s.Session, spec)
}
