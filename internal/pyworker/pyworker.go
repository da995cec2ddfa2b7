// Package pyworker runs an engine in a Python process: the shared part of such engines.
//
// A worker is a folder of scripts, embedded in the binary by the engine's package: a __main__.py and the engine's
// own Python package. It is unpacked to a private folder together with this package's Python package
// llem_protocol, which speaks the protocol of package backend, and runs until its session is closed.
package pyworker

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/scratch"
	"github.com/llenergymeasure/llem/note"
)

// protocol is imported by all workers.
//
//go:embed llem_protocol/*.py
var protocol embed.FS

// Worker is an engine that runs as Python scripts.
type Worker struct {
	// Name of the engine.
	Name string
	// Install is how a user installs the engine: the next step where a package is missing.
	Install string
	// Scripts holds them in the folder worker.
	Scripts fs.FS
	// Env is added to [Environment] and the user's variables.
	Env []string
	// Limits bounds how long the worker may take.
	Limits backend.WorkerOptions
	// Inside, if set, turns a container and the worker's arguments into a container that runs its interpreter with
	// these arguments; nil if the container's program is an interpreter.
	Inside func(c *backend.Container, args ...string) (*backend.Container, []string)
}

// Environment returns variables to add to the user's. Nothing may be downloaded: whatever a model needs is already
// in its folder.
func Environment() []string {
	return []string{
		"PYTHONUNBUFFERED=1",
		"TOKENIZERS_PARALLELISM=false",
		"HF_HUB_OFFLINE=1",
		"TRANSFORMERS_OFFLINE=1",
		"HF_HUB_DISABLE_TELEMETRY=1",
		"DO_NOT_TRACK=1",
	}
}

// Probe starts the worker, which imports its libraries, and requests its description.
func (w Worker) Probe(ctx context.Context, python string) (backend.Info, error) {
	command, limits, err := w.unpack(python)
	if err != nil {
		return backend.Info{}, err
	}
	info, err := backend.ProbeWorker(ctx, command, limits)
	return info, installing(err, w.Install)
}

// inImage is the next step where an image lacks a package.
const inImage = "name an image that has it with container.image"

// installing adds the next step to the failure of a worker whose packages are missing: the worker leaves it to this
// program, which has one for all who ask.
func installing(err error, next string) error {
	f, ok := errors.AsType[*note.Failure](err)
	if !ok || f.Class != codes.ClassNotInstalled || f.Next != "" {
		return err
	}
	out := *f
	out.Next = next
	return &out
}

// Start starts the worker and loads the model of spec. An image has its own interpreter; otherwise find returns
// one.
func (w Worker) Start(ctx context.Context, find func(context.Context) (string, error),
	spec backend.Spec) (backend.Session, error) {
	python := ""
	if spec.Container == nil {
		var err error
		if python, err = find(ctx); err != nil {
			return nil, err
		}
	}
	command, limits, err := w.unpack(python)
	if err != nil {
		return nil, err
	}
	if spec.Container != nil && w.Inside != nil {
		spec.Container, command.Args = w.Inside(spec.Container, command.Args...)
	}
	next := w.Install
	if spec.Container != nil {
		next = inImage
	}
	session, err := backend.StartWorker(ctx, w.Name, command, spec, limits)
	return session, installing(err, next)
}

// StartPulser starts a worker that can generate a load with known edges on a device.
func (w Worker) StartPulser(ctx context.Context, python, device string) (*backend.Pulser, error) {
	command, limits, err := w.unpack(python)
	if err != nil {
		return nil, err
	}
	pulser, err := backend.StartPulser(ctx, w.Name, command, device, limits)
	return pulser, installing(err, w.Install)
}

// unpack writes the worker into a private folder, which is removed when the worker is gone. It writes files
// instead of passing a program on the command line, so that tracebacks show source lines.
func (w Worker) unpack(python string) (backend.Command, backend.WorkerOptions, error) {
	dir, err := scratch.Dir(w.Name)
	if err != nil {
		return backend.Command{}, w.Limits, fmt.Errorf("unpack the %s worker: %w", w.Name, err)
	}
	files, err := fs.Sub(w.Scripts, "worker")
	if err == nil {
		err = errors.Join(os.CopyFS(dir, files), os.CopyFS(dir, protocol))
	}
	if err != nil {
		return backend.Command{}, w.Limits, errors.Join(fmt.Errorf("unpack the %s worker: %w", w.Name, err),
			os.RemoveAll(dir))
	}
	limits := w.Limits
	limits.Cleanup = func() error { return os.RemoveAll(dir) }
	return backend.Command{Path: python, Args: []string{dir}, Env: append(Environment(), w.Env...),
		Folders: []string{dir}}, limits, nil
}
