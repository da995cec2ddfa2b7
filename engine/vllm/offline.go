package vllm

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/server"
)

// scripts is the worker of mode offline.
//
//go:embed worker/__main__.py worker/llem_vllm/*.py
var scripts embed.FS

// Offline is the value of vllm.mode for an engine that is stepped in a worker, where
// every step is seen: tier T1. The other, serve, is vLLM's own server.
const Offline = "offline"

// offline says whether the study asks for the worker.
func offline(spec backend.Spec) bool {
	section, err := server.Section(spec.Options)
	return err == nil && section["mode"] == Offline
}

// startOffline launches the worker.
func (b Backend) startOffline(ctx context.Context, spec backend.Spec) (backend.Session, error) {
	python := ""
	if spec.Container == nil { // an image has its own interpreter
		var err error
		if python, err = b.Interpreter(ctx); err != nil {
			return nil, err
		}
	}
	command, dir, err := unpack(python)
	if err != nil {
		return nil, err
	}
	if spec.Container != nil {
		spec.Container, command.Args = server.Interpreted(spec.Container, dir)
	}
	s, err := backend.StartWorker(ctx, Name, command, spec, backend.WorkerOptions{LoadTimeout: b.Options.StartTimeout})
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

// Adapt implements backend.Adapter, if the worker does.
func (s *session) Adapt(ctx context.Context, spec backend.Spec) error {
	return backend.Adapt(ctx, s.Session, spec)
}

func (s *session) Close() error {
	return errors.Join(s.Session.Close(), os.RemoveAll(s.dir))
}

// unpack writes the worker into a private folder, which the caller removes.
func unpack(python string) (backend.Command, string, error) {
	files, err := fs.Sub(scripts, "worker")
	if err != nil {
		return backend.Command{}, "", fmt.Errorf("unpack the vllm worker: %w", err)
	}
	dir, err := os.MkdirTemp("", "llem-vllm-*")
	if err != nil {
		return backend.Command{}, "", fmt.Errorf("unpack the vllm worker: %w", err)
	}
	if err := os.CopyFS(dir, files); err != nil {
		return backend.Command{}, "", errors.Join(fmt.Errorf("unpack the vllm worker: %w", err), os.RemoveAll(dir))
	}
	env := append([]string{"PYTHONUNBUFFERED=1", "VLLM_ENABLE_V1_MULTIPROCESSING=0"}, environment...)
	return backend.Command{Path: python, Args: []string{dir}, Env: env, Folders: []string{dir}}, dir, nil
}
