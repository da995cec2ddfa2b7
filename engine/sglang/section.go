package sglang

import "github.com/llenergymeasure/llem/engine"

// Section holds the settings of SGLang in a study; [Section.Fields] says what
// each means. A value that is left out is the engine's default and is not part of an
// experiment's ID.
type Section struct {
	// MaxRunningRequests is the most sequences in one engine step; 0 is the engine's
	// default.
	MaxRunningRequests int
	MaxTotalTokens     int
	ContextLength      int
	MemFractionStatic  float64
	Quantization       string
	KVCacheDType       string
	PageSize           int

	TensorParallelSize   int
	PipelineParallelSize int
	DataParallelSize     int
	ExpertParallelSize   int

	ChunkedPrefillSize       int
	MaxPrefillTokens         int
	EnableMixedChunk         engine.Toggle
	SchedulePolicy           string
	ScheduleConservativeness float64
	DisableOverlapSchedule   engine.Toggle
	DisableRadixCache        engine.Toggle
	StreamInterval           int

	AttentionBackend             string
	SamplingBackend              string
	DisableCUDAGraph             engine.Toggle
	CUDAGraphMaxBS               int
	EnableTorchCompile           engine.Toggle
	EnableDeterministicInference engine.Toggle

	// CUDAGraphBS are batch sizes, as in "1,2,4".
	CUDAGraphBS string

	SpeculativeAlgorithm   string
	SpeculativeDraftModel  string
	SpeculativeSteps       int
	SpeculativeEagleTopK   int
	SpeculativeDraftTokens int
}

// Fields implements engine.Section: the names of the options of SGLang.
func (s *Section) Fields() []engine.Field {
	return engine.Optional(
		engine.Whole(&s.MaxRunningRequests, "max_running_requests", 1, engine.ManySequences,
			"the most sequences in one engine step"),
		engine.Whole(&s.MaxTotalTokens, "max_total_tokens", 1, engine.ManyTokens, "tokens in the KV cache"),
		engine.Whole(&s.ContextLength, "context_length", 1, engine.ManyTokens, "the most tokens of one sequence"),
		engine.Number(&s.MemFractionStatic, "mem_fraction_static", 0.01, 1,
			"share of the device's memory for weights and KV cache"),
		engine.Text(&s.Quantization, "quantization", "a method such as fp8, awq or gptq",
			"quantisation of the weights"),
		engine.Choice(&s.KVCacheDType, "kv_cache_dtype", "type of the KV cache", "auto", "bfloat16", "fp8_e4m3",
			"fp8_e5m2"),
		engine.Whole(&s.PageSize, "page_size", 1, 4096, "tokens in one page of the KV cache"),
		engine.Whole(&s.TensorParallelSize, "tensor_parallel_size", 1, engine.ManyDevices,
			"devices that share each layer (--tp)"),
		engine.Whole(&s.PipelineParallelSize, "pipeline_parallel_size", 1, engine.ManyDevices,
			"groups of devices that share the layers (--pp-size)"),
		engine.Whole(&s.DataParallelSize, "data_parallel_size", 1, engine.ManyDevices, "copies of the model (--dp)"),
		engine.Whole(&s.ExpertParallelSize, "expert_parallel_size", 1, engine.ManyDevices,
			"devices that share the experts (--ep-size)"),
		engine.Whole(&s.ChunkedPrefillSize, "chunked_prefill_size", -1, engine.ManyTokens,
			"the most prompt tokens in one chunk; -1 does not split"),
		engine.Whole(&s.MaxPrefillTokens, "max_prefill_tokens", 1, engine.ManyTokens, "token budget of a prefill step"),
		engine.Switch(&s.EnableMixedChunk, "enable_mixed_chunk", "prefill and decode in one step"),
		engine.Choice(&s.SchedulePolicy, "schedule_policy", "order of waiting requests", "lpm", "random", "fcfs",
			"dfs-weight", "lof", "priority"),
		engine.Number(&s.ScheduleConservativeness, "schedule_conservativeness", 0.01, 10,
			"above 1 admits fewer requests at once"),
		engine.Switch(&s.DisableOverlapSchedule, "disable_overlap_schedule",
			"do not prepare the next step while one runs"),
		engine.Switch(&s.DisableRadixCache, "disable_radix_cache", "do not keep the cache of common prompt beginnings"),
		engine.Whole(&s.StreamInterval, "stream_interval", 1, 1<<20, "tokens sent together"),
		engine.Text(&s.AttentionBackend, "attention_backend", "a backend such as flashinfer, fa3 or triton",
			"implementation of attention"),
		engine.Choice(&s.SamplingBackend, "sampling_backend", "implementation of sampling", "flashinfer", "pytorch"),
		engine.Switch(&s.DisableCUDAGraph, "disable_cuda_graph", "no CUDA graphs"),
		engine.Whole(&s.CUDAGraphMaxBS, "cuda_graph_max_bs", 1, engine.ManySequences,
			"the largest batch that a CUDA graph captures"),
		engine.Switch(&s.EnableTorchCompile, "enable_torch_compile", "compile the model"),
		engine.Switch(&s.EnableDeterministicInference, "enable_deterministic_inference",
			"results that do not depend on the batch"),
		engine.List(&s.CUDAGraphBS, "cuda_graph_bs", "batch sizes such as 1,2,4,8", engine.Sizes,
			"batch sizes that CUDA graphs capture"),
		engine.Text(&s.SpeculativeAlgorithm, "speculative_algorithm",
			"an algorithm such as EAGLE, EAGLE3, NEXTN or NGRAM", "how tokens are guessed ahead; without it none are"),
		engine.Text(&s.SpeculativeDraftModel, "speculative_draft_model_path", "a model", "the model that guesses"),
		engine.Whole(&s.SpeculativeSteps, "speculative_num_steps", 1, 1024, "steps of the model that guesses"),
		engine.Whole(&s.SpeculativeEagleTopK, "speculative_eagle_topk", 1, 1024, "guesses that each step goes on with"),
		engine.Whole(&s.SpeculativeDraftTokens, "speculative_num_draft_tokens", 1, 1024,
			"guessed tokens that are checked at once"),
	)
}
