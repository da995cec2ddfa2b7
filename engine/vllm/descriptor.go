package vllm

import (
	"regexp"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/option"
)

const (
	// variable names the interpreter for this engine only.
	variable = "LLEM_PYTHON_VLLM"
	install  = "python3 -m venv vllm && vllm/bin/pip install vllm; then --python vllm/bin/python"
)

// Descriptor describes the engine to the program.
func Descriptor() engine.Descriptor {
	return engine.Descriptor{
		Name: name, Title: title, Chats: true,
		Decoding: map[string]string{"temperature": "", "top_p": "", "top_k": "", "seed": "", "min_p": "",
			"repetition_penalty": ""},
		Section:  func() engine.Section { return new(settings) },
		Conflict: conflict,
		Estimate: estimate,
		Serves:   func(s engine.Section) bool { return s.(*settings).mode != offlineMode },
		// As a server, and as a worker whose engine is stepped.
		Schedules: func(engine.Section) bool { return true },
		Image:     "vllm/vllm-openai", Program: program,
		Variable: variable,
		Profile:  profile(),
		Symptoms: symptoms(),
		Packages: []string{"vllm*", "ray", "compressed-tensors", "llmcompressor", "outlines-core", "xgrammar"},
		New:      func(e engine.Env) backend.Backend { return newBackend(e.Own(variable)) },
	}
}

func conflict(section engine.Section, j engine.Job) *engine.Conflict {
	s := section.(*settings)
	switch {
	case s.gpuMemoryUtilization > 0 && s.kvCacheMemoryBytes > 0:
		return engine.Conflictf("vllm.gpu_memory_utilization", "give one of them",
			"vllm.gpu_memory_utilization and vllm.kv_cache_memory_bytes both size the KV cache")
	case s.speculativeMethod == "" && (s.speculativeModel != "" || s.speculativeTokens > 0):
		return option.Idle("vllm.num_speculative_tokens", "vllm.speculative_method",
			"speculative_model or num_speculative_tokens")
	case s.maxNumBatchedTokens > 0 && s.maxNumSeqs > s.maxNumBatchedTokens:
		return engine.Conflictf("vllm.max_num_batched_tokens", "raise it, or lower vllm.max_num_seqs",
			"vllm.max_num_batched_tokens %d is less than the %d sequences of vllm.max_num_seqs", s.maxNumBatchedTokens,
			s.maxNumSeqs)
	case s.enableChunkedPrefill == engine.Off && s.maxNumBatchedTokens > 0 && s.maxModelLen > s.maxNumBatchedTokens:
		return engine.Conflictf("vllm.max_num_batched_tokens", "raise it to vllm.max_model_len, or let prompts be "+
			"split: vllm.enable_chunked_prefill: true", "vllm.max_num_batched_tokens %d is less than the %d tokens of "+
			"vllm.max_model_len, and without chunked prefill vLLM does not start with it", s.maxNumBatchedTokens,
			s.maxModelLen)
	}
	return option.TooShort("vllm.max_model_len", s.maxModelLen, j)
}

func estimate(section engine.Section) engine.Estimate {
	s := section.(*settings)
	return engine.Estimate{Quantization: s.quantization, CacheType: s.kvCacheDType,
		CacheBits: option.CacheBits(s.kvCacheDType), Parallel: s.tensorParallelSize, Stages: s.pipelineParallelSize,
		Copies: s.dataParallelSize, Pool: s.gpuMemoryUtilization, PoolCache: int64(s.kvCacheMemoryBytes),
		Chunk: s.maxNumBatchedTokens, Unknown: option.Adapted(s.lora)}
}

// profile is nominal.
func profile() *engine.Profile {
	return &engine.Profile{Context: option.MiB(600), Buffers: option.MiB(1500), Pool: 0.9, Chunk: 8192,
		Step: 1.5e-3, Elementwise: 0.25, CacheMoves: 1, Start: 40, LoadRate: 2e9, First: 2}
}

// symptoms are from vLLM's sources and runs.
func symptoms() []backend.Symptom {
	return []backend.Symptom{
		{Class: codes.ClassKVTooSmall, Advise: fits, Texts: []string{"No available memory for the cache blocks",
			"KV cache is needed, which is larger than the available KV cache memory"}},
		{Class: codes.ClassOOMGPU,
			Texts: []string{"Free memory on device…is less than desired GPU memory utilization"}},
		{Class: codes.ClassNoDevice, Texts: []string{"Failed to infer device type"}},
		{Class: codes.ClassStartTimeout, Texts: []string{"Timed out waiting for engine"}},
	}
}

// longest matches the number of tokens for which vLLM's cache has room.
var longest = regexp.MustCompile(`estimated maximum model length is ([0-9]+)`)

// fits returns advice for a line about a cache that is too small.
func fits(line string) string {
	m := longest.FindStringSubmatch(line)
	if m == nil {
		return ""
	}
	return "prompt and output of at most " + m[1] + " tokens fit: use fewer, or raise the engine's share of memory"
}
