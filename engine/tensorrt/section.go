package tensorrt

import (
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/option"
)

// settings holds the settings of TensorRT-LLM in a study; [settings.Fields] describes each. A value that is left
// out is the engine's default and is not part of an experiment's ID.
type settings struct {
	// maxBatchSize is the maximum number of sequences in one engine step; 0 is the engine's default.
	maxBatchSize int
	// maxNumTokens is the token budget of one engine step.
	maxNumTokens int
	maxSeqLen    int

	tensorParallelSize    int
	pipelineParallelSize  int
	moeExpertParallelSize int
	enableAttentionDP     engine.Toggle

	kvCacheDType          string
	freeGPUMemoryFraction float64
	tokensPerBlock        int
	maxCacheTokens        int
	enableBlockReuse      engine.Toggle

	enableChunkedPrefill    engine.Toggle
	disableOverlapScheduler engine.Toggle
	cudaGraphMaxBatchSize   int
	cudaGraphPadding        engine.Toggle
	torchCompile            engine.Toggle
	attnBackend             string
	moeBackend              string
	streamInterval          int
	batchWaitTimeoutMS      int

	// cudaGraphBatchSizes are batch sizes, as in "1,2,4".
	cudaGraphBatchSizes string

	// The three are parts of speculative_config.
	speculativeDecodingType string
	speculativeModel        string
	speculativeMaxDraftLen  int
}

// Fields implements engine.Section: the names of the options of TensorRT-LLM.
func (s *settings) Fields() []engine.Field {
	return engine.Optional(
		engine.Whole(&s.maxBatchSize, "max_batch_size", 1, option.ManySequences,
			"maximum number of sequences in one engine step"),
		engine.Whole(&s.maxNumTokens, "max_num_tokens", 1, option.ManyTokens, "token budget of one engine step"),
		engine.Whole(&s.maxSeqLen, "max_seq_len", 1, option.ManyTokens, "maximum number of tokens of one sequence"),
		engine.Whole(&s.tensorParallelSize, "tensor_parallel_size", 1, option.ManyDevices,
			"devices that share each layer"),
		engine.Whole(&s.pipelineParallelSize, "pipeline_parallel_size", 1, option.ManyDevices,
			"groups of devices that share the layers"),
		engine.Whole(&s.moeExpertParallelSize, "moe_expert_parallel_size", 1, option.ManyDevices,
			"devices that share the experts"),
		engine.Switch(&s.enableAttentionDP, "enable_attention_dp", "attention by data parallelism"),
		engine.Choice(&s.kvCacheDType, "kv_cache_dtype", "type of the KV cache", "auto", "fp8", "int8",
			"nvfp4").As("kv_cache_config.dtype"),
		engine.Number(&s.freeGPUMemoryFraction, "free_gpu_memory_fraction", 0.01, 1,
			"share of the free memory for the KV cache").As("kv_cache_config.free_gpu_memory_fraction"),
		engine.Whole(&s.tokensPerBlock, "tokens_per_block", 1, 4096,
			"tokens in one block of the KV cache").As("kv_cache_config.tokens_per_block"),
		engine.Whole(&s.maxCacheTokens, "max_cache_tokens", 1, option.ManyTokens,
			"tokens in the KV cache").As("kv_cache_config.max_tokens"),
		engine.Switch(&s.enableBlockReuse, "enable_block_reuse",
			"keep the cache of common prompt beginnings").As("kv_cache_config.enable_block_reuse"),
		engine.Switch(&s.enableChunkedPrefill, "enable_chunked_prefill", "split long prompts over steps"),
		engine.Switch(&s.disableOverlapScheduler, "disable_overlap_scheduler",
			"do not prepare the next step while one runs"),
		engine.Whole(&s.cudaGraphMaxBatchSize, "cuda_graph_max_batch_size", 1, option.ManySequences,
			"the largest batch that a CUDA graph captures").As("cuda_graph_config.max_batch_size"),
		engine.Switch(&s.cudaGraphPadding, "cuda_graph_padding",
			"round batches up to a captured size").As("cuda_graph_config.enable_padding"),
		engine.Switch(&s.torchCompile, "torch_compile", "compile the model"),
		engine.Text(&s.attnBackend, "attn_backend", "a backend such as TRTLLM or FLASHINFER",
			"implementation of attention"),
		engine.Text(&s.moeBackend, "moe_backend", "a backend such as CUTLASS or TRTLLM",
			"implementation of experts").As("moe_config.backend"),
		engine.Whole(&s.streamInterval, "stream_interval", 1, 1<<20, "tokens sent together"),
		engine.Whole(&s.batchWaitTimeoutMS, "batch_wait_timeout_ms", 0, 1e6, "time to wait for a fuller batch"),
		engine.List(&s.cudaGraphBatchSizes, "cuda_graph_batch_sizes", "batch sizes such as 1,2,4,8", option.Sizes,
			"batch sizes that CUDA graphs capture").As("cuda_graph_config.batch_sizes"),
		engine.Text(&s.speculativeDecodingType, "speculative_decoding_type",
			"a type such as MTP, Eagle, NGram or DraftTarget",
			"speculative decoding; none by default").As("speculative_config.decoding_type"),
		engine.Text(&s.speculativeModel, "speculative_model", "a model",
			"draft model of speculative decoding").As("speculative_config.speculative_model"),
		engine.Whole(&s.speculativeMaxDraftLen, "speculative_max_draft_len", 1, 1024,
			"draft tokens per step").As("speculative_config.max_draft_len"),
	)
}
