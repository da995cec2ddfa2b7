package sglang

import (
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/option"
)

const (
	// variable names the interpreter for this engine only.
	variable = "LLEM_PYTHON_SGLANG"
	install  = "python3 -m venv sglang && sglang/bin/pip install sglang; then --python sglang/bin/python"
)

// Descriptor describes the engine to the program.
func Descriptor() engine.Descriptor {
	return engine.Descriptor{
		Name: name, Title: title,
		Decoding: map[string]string{"temperature": "", "top_p": "", "top_k": "",
			"seed": "of each request with `sglang.enable_deterministic_inference`, else of the server: then requests " +
				"that run together change what is drawn",
			"min_p": "", "repetition_penalty": "of output tokens alone, not of prompt tokens"},
		Section:  func() engine.Section { return new(settings) },
		Conflict: conflict,
		Estimate: estimate,
		Serves:   func(engine.Section) bool { return true },
		Image:    "lmsysorg/sglang", Program: "python3",
		Variable: variable,
		Profile:  profile(),
		Symptoms: symptoms(),
		Packages: []string{"sglang*", "sgl-*", "flashinfer*"},
		New:      func(e engine.Env) backend.Backend { return newBackend(e.Own(variable)) },
	}
}

func conflict(section engine.Section, j engine.Job) *engine.Conflict {
	s := section.(*settings)
	if s.speculativeAlgorithm == "" && (s.speculativeDraftModel != "" || s.speculativeSteps > 0 ||
		s.speculativeEagleTopK > 0 || s.speculativeDraftTokens > 0) {
		return option.Idle("sglang.speculative_num_steps", "sglang.speculative_algorithm", "another key of speculation")
	}
	return option.TooShort("sglang.context_length", s.contextLength, j)
}

func estimate(section engine.Section) engine.Estimate {
	s := section.(*settings)
	return engine.Estimate{Quantization: s.quantization, CacheType: s.kvCacheDType,
		CacheBits: option.CacheBits(s.kvCacheDType), Parallel: s.tensorParallelSize, Stages: s.pipelineParallelSize,
		Copies: s.dataParallelSize, Pool: s.memFractionStatic, Chunk: s.chunkedPrefillSize,
		Unknown: option.Adapted(s.lora)}
}

// profile is nominal.
func profile() *engine.Profile {
	return &engine.Profile{Context: option.MiB(600), Buffers: option.MiB(1500), Pool: 0.88, Chunk: 8192,
		Step: 1.2e-3, Elementwise: 0.25, CacheMoves: 1, Start: 40, LoadRate: 2e9, First: 2}
}

// symptoms are from SGLang's sources and runs.
func symptoms() []backend.Symptom {
	return []backend.Symptom{
		{Class: codes.ClassKVTooSmall, Texts: []string{"Not enough memory. Please try to"}},
		{Class: codes.ClassGraphCompile, Texts: []string{"Capture cuda graph failed"}},
		// Printed before it kills its own processes.
		{Texts: []string{"Received sigquit from a child process"}},
	}
}
