package vllm

import (
	"context"
	"embed"
	"encoding/json"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/option"
	"github.com/llenergymeasure/llem/internal/pyworker"
	"github.com/llenergymeasure/llem/internal/server"
)

// scripts is the worker of mode offline.
//
//go:embed worker/__main__.py worker/llem_vllm/*.py
var scripts embed.FS

// offlineMode is the value of vllm.mode for an engine that is stepped in a worker, where every step is visible:
// tier T1. The other, serve, is vLLM's own server.
const offlineMode = "offline"

// offline reports whether the study requests the worker.
func offline(spec backend.Spec) bool {
	section, err := option.Section(spec.Options)
	return err == nil && section["mode"] == offlineMode
}

// startOffline launches the worker.
func (b launcher) startOffline(ctx context.Context, spec backend.Spec) (backend.Session, error) {
	section, err := option.Section(spec.Options)
	if err != nil {
		return nil, err
	}
	a, err := adapterOf(spec, section)
	if err != nil {
		return nil, err
	}
	// The worker has the adapter in memory once it has started.
	defer a.Remove()
	if a.Asked != "" {
		section["lora_path"], section["lora_rank"], section["lora_sha256"] = a.Path, a.Rank, a.SHA256
		section["max_lora_rank"] = mostRank(a.Rank)
		if spec.Options, err = json.Marshal(section); err != nil {
			return nil, err
		}
	}
	w := pyworker.Worker{Name: name, Install: install, Scripts: scripts, Inside: server.Interpreted,
		Limits: backend.WorkerOptions{LoadTimeout: b.Options.StartTimeout},
		Env:    []string{"VLLM_ENABLE_V1_MULTIPROCESSING=0", "VLLM_NO_USAGE_STATS=1"}}
	return w.Start(ctx, b.Interpreter, spec)
}
