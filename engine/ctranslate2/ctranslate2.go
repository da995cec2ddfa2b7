// Package ctranslate2 runs models with CTranslate2 in a Python process: a C++ engine with its own model format, on
// CPUs and NVIDIA GPUs.
//
// The process is the worker in the folder worker, see package pyworker. Random models are written in CTranslate2's
// format at the shape of llem's config, with numpy only: Llama, Mistral and Qwen2. Hugging Face folders are
// converted on first use by the package's converter, which needs torch and transformers, and kept in llem's cache.
//
// Requests run in static batches, each one call of generate_batch: only the length ends a sequence. Tokens are the
// most likely ones, or sampled (sampling_temperature, sampling_topk, sampling_topp). The engine's thread takes the
// seed when it first samples: samples depend on the seed over the life of an engine, and a second run on one
// engine samples other tokens. Prompts are token ids: the vocabulary of the models is their ids as texts.
//
// # Steps
//
// Steps are observed exactly, tier T1: the engine calls back for each token once it is on the host, so the device
// has finished the pass by then. The stamp is taken in the first call of a pass; it is late by the time needed to
// enter Python, a few microseconds. Passes with a callback are separate steps. The prefill is one step up to the
// first token, although the engine makes two passes of it: all tokens of the prompts but the last, then the last.
//
// Prompts of unequal length are computed together only up to the shortest; the rest of the longer ones goes one
// token at a time through passes in which shorter ones already decode. The log counts these tokens as prefill: a
// step may hold both kinds. Passes in which no sequence gets a token are part of the next visible step.
package ctranslate2

import (
	"context"
	"embed"
	"path/filepath"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/pyworker"
)

// Name of the backend in study files.
const name = "ctranslate2"

// install is how a user installs the engine.
const install = "python3 -m venv ct2 && ct2/bin/pip install ctranslate2 tokenizers; then --python ct2/bin/python"

// scripts is the worker.
//
//go:embed worker/__main__.py worker/llem_ctranslate2/*.py
var scripts embed.FS

// launcher runs models with CTranslate2.
type launcher struct {
	// Python is the interpreter to use, a path or a name in PATH; empty takes the interpreter of the virtual
	// environment, or of PATH.
	Python string
	// Limits bounds how long the worker may take.
	Limits backend.WorkerOptions
}

// Name implements backend.Backend.
func (launcher) Name() string { return name }

// Probe implements backend.Backend: it starts the worker, which imports ctranslate2.
func (b launcher) Probe(ctx context.Context) (backend.Info, error) {
	python, err := b.interpreter(ctx)
	if err != nil {
		return backend.Info{}, err
	}
	w, err := b.worker()
	if err != nil {
		return backend.Info{}, err
	}
	return w.Probe(ctx, python)
}

// Start implements backend.Backend. spec.Options is the study's ctranslate2 section.
func (b launcher) Start(ctx context.Context, spec backend.Spec) (backend.Session, error) {
	w, err := b.worker()
	if err != nil {
		return nil, err
	}
	return w.Start(ctx, b.interpreter, spec)
}

// worker returns the worker with the folder of converted models.
func (b launcher) worker() (pyworker.Worker, error) {
	cache, err := model.DefaultCacheDir()
	if err != nil {
		return pyworker.Worker{}, err
	}
	return pyworker.Worker{Name: name, Install: install, Scripts: scripts, Limits: b.Limits,
		Env: []string{"LLEM_CTRANSLATE2_CACHE=" + filepath.Join(cache, name)}}, nil
}

func (b launcher) interpreter(ctx context.Context) (string, error) {
	return pyworker.Interpreter{Python: b.Python, Needs: "ctranslate2 and tokenizers"}.Find(ctx)
}
