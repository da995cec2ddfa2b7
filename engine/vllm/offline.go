package vllm

import (
	"context"
	"embed"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/pyworker"
	"github.com/llenergymeasure/llem/internal/server"
)

// scripts is the worker of mode offline.
//
//go:embed worker/__main__.py worker/llem_vllm/*.py
var scripts embed.FS

// offlineMode is the value of vllm.mode for an engine that is stepped in a worker, where
// every step is seen: tier T1. The other, serve, is vLLM's own server.
const offlineMode = "offline"

// offline says whether the study asks for the worker.
func offline(spec backend.Spec) bool {
	section, err := server.Section(spec.Options)
	return err == nil && section["mode"] == offlineMode
}

// startOffline launches the worker.
func (b launcher) startOffline(ctx context.Context, spec backend.Spec) (backend.Session, error) {
	w := pyworker.Worker{Name: name, Scripts: scripts, Inside: server.Interpreted,
		Limits: backend.WorkerOptions{LoadTimeout: b.Options.StartTimeout},
		Env:    []string{"VLLM_ENABLE_V1_MULTIPROCESSING=0", "VLLM_NO_USAGE_STATS=1"}}
	return w.Start(ctx, b.Interpreter, spec)
}
