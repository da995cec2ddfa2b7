// Package embedded runs models in a ggml engine that is part of the llem binary: no Python, no download, no
// server. It is the reference for checking the other backends, because every engine step is visible.
//
// The engine itself (Ollama's Go packages over ggml) is in package ggml and runs in a child process: the program
// starts itself again as `llem worker embedded` and the child calls ggml.WorkerMain. A fatal error in C code
// therefore ends one run, never the study.
package embedded

import (
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/embedded/internal/core"
	"github.com/llenergymeasure/llem/internal/codes"
)

// Descriptor describes the engine to the program.
func Descriptor() engine.Descriptor {
	return engine.Descriptor{
		Name: core.Name, Title: "the embedded engine", Summary: "ggml inside llem, on the CPU",
		Lacks: map[string]string{"lora": "the embedded engine does not load adapters"},
		Decoding: map[string]string{"temperature": "", "top_p": "", "top_k": "", "seed": "", "min_p": "",
			"repetition_penalty": ""},
		Section: func() engine.Section { return core.Defaults() },
		Settle:  settle,
		GGUF:    true, Reads: core.Reads, DType: "float16",
		GPU:      func(engine.Section) bool { return false },
		Program:  "llem",
		Profile:  profile(),
		Symptoms: symptoms(),
		New:      func(engine.Env) backend.Backend { return core.Backend{} },
	}
}

// settle fills in the batch size and, if the study does not set them, the threads.
func settle(section engine.Section, batch, threads int) {
	s := section.(*core.Section)
	s.BatchSize = batch
	if s.Threads == 0 {
		s.Threads = threads
	}
}

// profile contains constants of the engine; internal/estimate has the rates of the CPU.
func profile() *engine.Profile {
	return &engine.Profile{Memory: engine.MemoryGGML, GGML: true, CacheMoves: 1, Start: 0.2, LoadRate: 3e9,
		Fitted: true}
}

// symptoms are from Ollama's packages.
func symptoms() []backend.Symptom {
	return []backend.Symptom{
		{Class: codes.ClassUnsupportedModel, Texts: []string{"tokenizer not supported"}},
	}
}
