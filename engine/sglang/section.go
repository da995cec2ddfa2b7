package sglang

import (
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/option"
)

// settings holds the settings of SGLang in a study; [settings.Fields] describes each. A value that is left out is
// the engine's default and is not part of an experiment's ID.
type settings struct {
	// maxRunningRequests is the maximum number of sequences in one engine step; 0 is the engine's default.
	maxRunningRequests int
	maxTotalTokens     int
	contextLength      int
	memFractionStatic  float64
	quantization       string
	kvCacheDType       string
	pageSize           int

	tensorParallelSize   int
	pipelineParallelSize int
	dataParallelSize     int
	expertParallelSize   int

	chunkedPrefillSize       int
	maxPrefillTokens         int
	enableMixedChunk         engine.Toggle
	schedulePolicy           string
	scheduleConservativeness float64
	disableOverlapSchedule   engine.Toggle
	disableRadixCache        engine.Toggle
	streamInterval           int

	attentionBackend             string
	samplingBackend              string
	disableCUDAGraph             engine.Toggle
	cudaGraphMaxBS               int
	enableTorchCompile           engine.Toggle
	enableDeterministicInference engine.Toggle

	// cudaGraphBS are batch sizes, as in "1,2,4".
	cudaGraphBS string

	speculativeAlgorithm   string
	speculativeDraftModel  string
	speculativeSteps       int
	speculativeEagleTopK   int
	speculativeDraftTokens int

	// lora is "" (none), random:RANK or the path of an adapter.
	lora string
}

// Fields implements engine.Section: the names of the options of SGLang.
func (s *settings) Fields() []engine.Field {
	return append(engine.Optional(
		engine.Whole(&s.maxRunningRequests, "max_running_requests", 1, option.ManySequences,
			"maximum number of sequences in one engine step"),
		engine.Whole(&s.maxTotalTokens, "max_total_tokens", 1, option.ManyTokens, "tokens in the KV cache"),
		engine.Whole(&s.contextLength, "context_length", 1, option.ManyTokens,
			"maximum number of tokens of one sequence"),
		engine.Number(&s.memFractionStatic, "mem_fraction_static", 0.01, 1,
			"share of the device's memory for weights and KV cache"),
		engine.Text(&s.quantization, "quantization", "a method such as fp8, awq or gptq",
			"quantisation of the weights"),
		engine.Choice(&s.kvCacheDType, "kv_cache_dtype", "type of the KV cache", "auto", "bfloat16", "fp8_e4m3",
			"fp8_e5m2"),
		engine.Whole(&s.pageSize, "page_size", 1, 4096, "tokens in one page of the KV cache"),
		engine.Whole(&s.tensorParallelSize, "tensor_parallel_size", 1, option.ManyDevices,
			"devices that share each layer (--tp)"),
		engine.Whole(&s.pipelineParallelSize, "pipeline_parallel_size", 1, option.ManyDevices,
			"groups of devices that share the layers (--pp-size)"),
		engine.Whole(&s.dataParallelSize, "data_parallel_size", 1, option.ManyDevices, "copies of the model (--dp)"),
		engine.Whole(&s.expertParallelSize, "expert_parallel_size", 1, option.ManyDevices,
			"devices that share the experts (--ep-size)"),
		engine.Whole(&s.chunkedPrefillSize, "chunked_prefill_size", -1, option.ManyTokens,
			"maximum number of prompt tokens in one chunk; -1 does not split"),
		engine.Whole(&s.maxPrefillTokens, "max_prefill_tokens", 1, option.ManyTokens, "token budget of a prefill step"),
		engine.Switch(&s.enableMixedChunk, "enable_mixed_chunk", "prefill and decode in one step"),
		engine.Choice(&s.schedulePolicy, "schedule_policy", "order of waiting requests", "lpm", "random", "fcfs",
			"dfs-weight", "lof", "priority"),
		engine.Number(&s.scheduleConservativeness, "schedule_conservativeness", 0.01, 10,
			"above 1 admits fewer requests at once"),
		engine.Switch(&s.disableOverlapSchedule, "disable_overlap_schedule",
			"do not prepare the next step while one runs"),
		engine.Switch(&s.disableRadixCache, "disable_radix_cache", "disable the cache of common prompt beginnings"),
		engine.Whole(&s.streamInterval, "stream_interval", 1, 1<<20, "tokens sent together"),
		engine.Text(&s.attentionBackend, "attention_backend", "a backend such as flashinfer, fa3 or triton",
			"implementation of attention"),
		engine.Choice(&s.samplingBackend, "sampling_backend", "implementation of sampling", "flashinfer", "pytorch"),
		engine.Switch(&s.disableCUDAGraph, "disable_cuda_graph", "no CUDA graphs"),
		engine.Whole(&s.cudaGraphMaxBS, "cuda_graph_max_bs", 1, option.ManySequences,
			"the largest batch that a CUDA graph captures"),
		engine.Switch(&s.enableTorchCompile, "enable_torch_compile", "compile the model"),
		engine.Switch(&s.enableDeterministicInference, "enable_deterministic_inference",
			"batch-independent results"),
		engine.List(&s.cudaGraphBS, "cuda_graph_bs", "batch sizes such as 1,2,4,8", option.Sizes,
			"batch sizes that CUDA graphs capture"),
		engine.Text(&s.speculativeAlgorithm, "speculative_algorithm",
			"an algorithm such as EAGLE, EAGLE3, NEXTN or NGRAM", "speculative decoding; none by default"),
		engine.Text(&s.speculativeDraftModel, "speculative_draft_model_path", "a model",
			"draft model of speculative decoding"),
		engine.Whole(&s.speculativeSteps, "speculative_num_steps", 1, 1024, "draft steps"),
		engine.Whole(&s.speculativeEagleTopK, "speculative_eagle_topk", 1, 1024,
			"draft tokens that each draft step continues from"),
		engine.Whole(&s.speculativeDraftTokens, "speculative_num_draft_tokens", 1, 1024,
			"draft tokens verified at once"),
	), option.LoRA(&s.lora, "a folder of peft", ""))
}
