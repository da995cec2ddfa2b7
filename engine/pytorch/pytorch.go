package pytorch

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/llenergymeasure/llem/backend"
)

// Name of the backend in study files.
const Name = "pytorch"

// scripts is the worker. Its tests are not part of it.
//
//go:embed worker/__main__.py worker/llem_worker/*.py
var scripts embed.FS

// Backend runs models with PyTorch. The zero value looks for an interpreter in
// the process's environment.
type Backend struct {
	// Python is the interpreter to use, a path or a name in PATH.
	Python string
	// Env looks up environment variables; nil means os.Getenv.
	Env func(string) string
	// Limits bounds how long the worker may take.
	Limits backend.WorkerOptions
}

var _ backend.Backend = Backend{}

// Name implements backend.Backend.
func (Backend) Name() string { return Name }

// Probe implements backend.Backend: it starts the worker, which imports torch.
func (b Backend) Probe(ctx context.Context) (backend.Info, error) {
	command, dir, err := b.prepare(ctx)
	if err != nil {
		return backend.Info{}, err
	}
	defer os.RemoveAll(dir)
	return backend.ProbeWorker(ctx, command, b.Limits)
}

// Start implements backend.Backend. spec.Options is the study's pytorch section.
func (b Backend) Start(ctx context.Context, spec backend.Spec) (backend.Session, error) {
	spec, err := resolve(spec)
	if err != nil {
		return nil, err
	}
	prepare := b.prepare
	if spec.Container != nil { // an image has its own interpreter
		prepare = func(context.Context) (backend.Command, string, error) { return unpack("") }
	}
	command, dir, err := prepare(ctx)
	if err != nil {
		return nil, err
	}
	s, err := backend.StartWorker(ctx, Name, command, spec, b.Limits)
	if err != nil {
		_ = os.RemoveAll(dir) // the failure to start is what matters
		return nil, err
	}
	return &session{Session: s, dir: dir}, nil
}

// session removes the worker's files when the worker is gone.
type session struct {
	backend.Session
	dir string
}

var _ backend.Adapter = (*session)(nil)

// Adapt implements backend.Adapter; see package study for what can change while the
// model stays loaded.
func (s *session) Adapt(ctx context.Context, spec backend.Spec) error {
	spec, err := resolve(spec)
	if err != nil {
		return err
	}
	return backend.Adapt(ctx, s.Session, spec)
}

func (s *session) Close() error {
	return errors.Join(s.Session.Close(), os.RemoveAll(s.dir))
}

// prepare finds the interpreter and unpacks the worker for it.
func (b Backend) prepare(ctx context.Context) (command backend.Command, dir string, err error) {
	python, err := b.Interpreter(ctx)
	if err != nil {
		return command, "", err
	}
	return unpack(python)
}

// unpack writes the worker into a private folder, which the caller removes.
// Files, and not a program on the command line: tracebacks then show the lines.
func unpack(python string) (command backend.Command, dir string, err error) {
	files, err := fs.Sub(scripts, "worker")
	if err != nil {
		return command, "", fmt.Errorf("unpack the pytorch worker: %w", err)
	}
	dir, err = os.MkdirTemp("", "llem-pytorch-*")
	if err != nil {
		return command, "", fmt.Errorf("unpack the pytorch worker: %w", err)
	}
	if err := os.CopyFS(dir, files); err != nil {
		return command, "", errors.Join(fmt.Errorf("unpack the pytorch worker: %w", err), os.RemoveAll(dir))
	}
	return backend.Command{Path: python, Args: []string{dir}, Env: workerEnv(), Folders: []string{dir}}, dir, nil
}

// workerEnv is added to the user's environment. Nothing may be fetched: whatever
// a model needs is in its folder already.
func workerEnv() []string {
	return []string{
		"PYTHONUNBUFFERED=1",
		"TOKENIZERS_PARALLELISM=false",
		"HF_HUB_OFFLINE=1",
		"TRANSFORMERS_OFFLINE=1",
		"HF_HUB_DISABLE_TELEMETRY=1",
	}
}

func (b Backend) getenv(key string) string {
	if b.Env != nil {
		return b.Env(key)
	}
	return os.Getenv(key)
}
