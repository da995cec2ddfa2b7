package tensorrt

import (
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/option"
)

const (
	// variable names the interpreter for this engine only.
	variable = "LLEM_PYTHON_TENSORRT"
	install  = "python3 -m venv trtllm && trtllm/bin/pip install tensorrt-llm --extra-index-url " +
		"https://pypi.nvidia.com (it needs an NVIDIA GPU); then --python trtllm/bin/python"
)

// ignored is the reason why settings are refused for which requests have a field.
const ignored = "the release of the image that llem names (1.3.0rc5) accepts it and ignores it"

// Descriptor describes the engine to the program.
func Descriptor() engine.Descriptor {
	return engine.Descriptor{
		Name: name, Title: title, Aliases: []string{"trtllm", "tensorrt_llm", "trt"},
		Lacks: map[string]string{
			"lora": "llem does not load adapters with TensorRT-LLM: it takes each as an object with a path in " +
				"every request, which no test of llem covers",
			"decoding.min_p":              ignored,
			"decoding.repetition_penalty": ignored,
		},
		Decoding: map[string]string{"temperature": "", "top_p": "", "top_k": "",
			"seed": "sent with every request; releases before August 2026 ignore it"},
		Section:  func() engine.Section { return new(settings) },
		Conflict: conflict,
		Estimate: estimate,
		Serves:   func(engine.Section) bool { return true },
		Image:    "nvcr.io/nvidia/tensorrt-llm/release:1.3.0rc5", // there is no tag "latest"
		Program:  program,
		Variable: variable,
		Profile:  profile(),
		Symptoms: symptoms(),
		Packages: []string{"tensorrt*"},
		New:      func(e engine.Env) backend.Backend { return newBackend(e.Own(variable)) },
	}
}

func conflict(section engine.Section, j engine.Job) *engine.Conflict {
	s := section.(*settings)
	switch {
	case s.speculativeDecodingType == "" && (s.speculativeModel != "" || s.speculativeMaxDraftLen > 0):
		return option.Idle("tensorrt.speculative_max_draft_len", "tensorrt.speculative_decoding_type",
			"speculative_model or speculative_max_draft_len")
	case s.cudaGraphBatchSizes != "" && s.cudaGraphMaxBatchSize > 0:
		return engine.Conflictf("tensorrt.cuda_graph_batch_sizes", "give one of them",
			"tensorrt.cuda_graph_batch_sizes and tensorrt.cuda_graph_max_batch_size both choose the captured sizes")
	case s.enableChunkedPrefill != engine.On && s.maxNumTokens > 0 && j.Synthetic && j.InputTokens > s.maxNumTokens:
		return engine.Conflictf("tensorrt.max_num_tokens", "raise it, or let prompts be split: "+
			"tensorrt.enable_chunked_prefill: true", "tensorrt.max_num_tokens %d is less than a prompt of %d tokens",
			s.maxNumTokens, j.InputTokens)
	}
	return option.TooShort("tensorrt.max_seq_len", s.maxSeqLen, j)
}

func estimate(section engine.Section) engine.Estimate {
	s := section.(*settings)
	return engine.Estimate{CacheType: s.kvCacheDType, CacheBits: option.CacheBits(s.kvCacheDType),
		Parallel: s.tensorParallelSize, Stages: s.pipelineParallelSize, Pool: s.freeGPUMemoryFraction,
		Chunk: s.maxNumTokens}
}

// profile is nominal.
func profile() *engine.Profile {
	return &engine.Profile{Context: option.MiB(600), Buffers: option.MiB(1000), Pool: 0.9, Chunk: 8192,
		Step: 1e-3, Elementwise: 0.25, CacheMoves: 1, Start: 60, LoadRate: 2e9, First: 2, Strict: true}
}

// symptoms are from TensorRT-LLM's sources and users' reports.
func symptoms() []backend.Symptom {
	return []backend.Symptom{
		{Class: codes.ClassOOMGPU, Texts: []string{"Executor creation failed due to insufficient GPU memory"}},
		{Class: codes.ClassStartTimeout, Texts: []string{"server_start_timeout"}},
	}
}
