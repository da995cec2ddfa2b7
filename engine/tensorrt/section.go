package tensorrt

import "github.com/llenergymeasure/llem/engine"

// Section holds the settings of TensorRT-LLM in a study; [Section.Fields] says what
// each means. A value that is left out is the engine's default and is not part of an
// experiment's ID.
type Section struct {
	// MaxBatchSize is the most sequences in one engine step; 0 is the engine's
	// default.
	MaxBatchSize int
	// MaxNumTokens is the token budget of one engine step.
	MaxNumTokens int
	MaxSeqLen    int

	TensorParallelSize    int
	PipelineParallelSize  int
	MoEExpertParallelSize int
	EnableAttentionDP     engine.Toggle

	KVCacheDType          string
	FreeGPUMemoryFraction float64
	TokensPerBlock        int
	MaxCacheTokens        int
	EnableBlockReuse      engine.Toggle

	EnableChunkedPrefill    engine.Toggle
	DisableOverlapScheduler engine.Toggle
	CUDAGraphMaxBatchSize   int
	CUDAGraphPadding        engine.Toggle
	TorchCompile            engine.Toggle
	AttnBackend             string
	MoEBackend              string
	StreamInterval          int
	BatchWaitTimeoutMS      int

	// CUDAGraphBatchSizes are batch sizes, as in "1,2,4".
	CUDAGraphBatchSizes string

	// The three are parts of speculative_config.
	SpeculativeDecodingType string
	SpeculativeModel        string
	SpeculativeMaxDraftLen  int
}

// Fields implements engine.Section: the names of the options of TensorRT-LLM.
func (s *Section) Fields() []engine.Field {
	return engine.Optional(
		engine.Whole(&s.MaxBatchSize, "max_batch_size", 1, engine.ManySequences,
			"the most sequences in one engine step"),
		engine.Whole(&s.MaxNumTokens, "max_num_tokens", 1, engine.ManyTokens, "token budget of one engine step"),
		engine.Whole(&s.MaxSeqLen, "max_seq_len", 1, engine.ManyTokens, "the most tokens of one sequence"),
		engine.Whole(&s.TensorParallelSize, "tensor_parallel_size", 1, engine.ManyDevices,
			"devices that share each layer"),
		engine.Whole(&s.PipelineParallelSize, "pipeline_parallel_size", 1, engine.ManyDevices,
			"groups of devices that share the layers"),
		engine.Whole(&s.MoEExpertParallelSize, "moe_expert_parallel_size", 1, engine.ManyDevices,
			"devices that share the experts"),
		engine.Switch(&s.EnableAttentionDP, "enable_attention_dp", "attention by data parallelism"),
		engine.Choice(&s.KVCacheDType, "kv_cache_dtype", "type of the KV cache", "auto", "fp8", "int8", "nvfp4"),
		engine.Number(&s.FreeGPUMemoryFraction, "free_gpu_memory_fraction", 0.01, 1,
			"share of the free memory for the KV cache"),
		engine.Whole(&s.TokensPerBlock, "tokens_per_block", 1, 4096, "tokens in one block of the KV cache"),
		engine.Whole(&s.MaxCacheTokens, "max_cache_tokens", 1, engine.ManyTokens, "tokens in the KV cache"),
		engine.Switch(&s.EnableBlockReuse, "enable_block_reuse", "keep the cache of common prompt beginnings"),
		engine.Switch(&s.EnableChunkedPrefill, "enable_chunked_prefill", "split long prompts over steps"),
		engine.Switch(&s.DisableOverlapScheduler, "disable_overlap_scheduler",
			"do not prepare the next step while one runs"),
		engine.Whole(&s.CUDAGraphMaxBatchSize, "cuda_graph_max_batch_size", 1, engine.ManySequences,
			"the largest batch that a CUDA graph captures"),
		engine.Switch(&s.CUDAGraphPadding, "cuda_graph_padding", "round batches up to a captured size"),
		engine.Switch(&s.TorchCompile, "torch_compile", "compile the model"),
		engine.Text(&s.AttnBackend, "attn_backend", "a backend such as TRTLLM or FLASHINFER",
			"implementation of attention"),
		engine.Text(&s.MoEBackend, "moe_backend", "a backend such as CUTLASS or TRTLLM", "implementation of experts"),
		engine.Whole(&s.StreamInterval, "stream_interval", 1, 1<<20, "tokens sent together"),
		engine.Whole(&s.BatchWaitTimeoutMS, "batch_wait_timeout_ms", 0, 1e6, "time to wait for a fuller batch"),
		engine.List(&s.CUDAGraphBatchSizes, "cuda_graph_batch_sizes", "batch sizes such as 1,2,4,8", engine.Sizes,
			"batch sizes that CUDA graphs capture"),
		engine.Text(&s.SpeculativeDecodingType, "speculative_decoding_type",
			"a type such as MTP, Eagle, NGram or DraftTarget", "how tokens are guessed ahead; without it none are"),
		engine.Text(&s.SpeculativeModel, "speculative_model", "a model", "the model that guesses"),
		engine.Whole(&s.SpeculativeMaxDraftLen, "speculative_max_draft_len", 1, 1024,
			"tokens that are guessed at once"),
	)
}
