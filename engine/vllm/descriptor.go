package vllm

import (
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
)

const (
	// variable names the interpreter of this engine alone.
	variable = "LLEM_PYTHON_VLLM"
	install  = "python3 -m venv vllm && vllm/bin/pip install vllm; then --python vllm/bin/python"
)

// Descriptor is what the program knows about this engine.
func Descriptor() engine.Descriptor {
	return engine.Descriptor{
		Name: Name, Title: "vLLM",
		Section:  func() engine.Section { return new(Section) },
		Conflict: conflict,
		Estimate: estimate,
		Serves:   func(s engine.Section) bool { return s.(*Section).Mode != Offline },
		Image:    "vllm/vllm-openai", Program: "vllm",
		Install: install, Variable: variable, Packages: []string{"vllm", "torch"},
		New: func(e engine.Env) backend.Backend { return New(e.Own(variable)) },
	}
}

func conflict(section engine.Section, j engine.Job) *engine.Conflict {
	s := section.(*Section)
	switch {
	case s.GPUMemoryUtilization > 0 && s.KVCacheMemoryBytes > 0:
		return engine.Conflictf("vllm.gpu_memory_utilization", "give one of them",
			"vllm.gpu_memory_utilization and vllm.kv_cache_memory_bytes both size the KV cache")
	case s.SpeculativeMethod == "" && (s.SpeculativeModel != "" || s.SpeculativeTokens > 0):
		return engine.Idle("vllm.num_speculative_tokens", "vllm.speculative_method",
			"speculative_model or num_speculative_tokens")
	}
	return engine.TooShort("vllm.max_model_len", s.MaxModelLen, j)
}

func estimate(section engine.Section) engine.Estimate {
	s := section.(*Section)
	return engine.Estimate{Quantization: s.Quantization, CacheType: s.KVCacheDType,
		CacheBits: engine.CacheBits(s.KVCacheDType), Parallel: s.TensorParallelSize, Stages: s.PipelineParallelSize,
		Copies: s.DataParallelSize, Pool: s.GPUMemoryUtilization, PoolCache: int64(s.KVCacheMemoryBytes),
		Chunk: s.MaxNumBatchedTokens}
}
