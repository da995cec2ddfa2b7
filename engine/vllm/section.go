package vllm

import "github.com/llenergymeasure/llem/engine"

// Section holds the settings of vLLM in a study; [Section.Fields] says what
// each means. A value that is left out is the engine's default and is not part of an
// experiment's ID.
type Section struct {
	// Mode is serve (its server, over HTTP) or offline (in a worker that sees every
	// step); "" is serve.
	Mode string
	// MaxNumSeqs is the most sequences in one engine step; 0 is the engine's default.
	MaxNumSeqs int
	// MaxNumBatchedTokens is the token budget of one engine step.
	MaxNumBatchedTokens int
	MaxModelLen         int
	Quantization        string
	KVCacheDType        string
	// KVCacheMemoryBytes and GPUMemoryUtilization are two ways to size the cache.
	KVCacheMemoryBytes   int
	GPUMemoryUtilization float64
	BlockSize            int
	CPUOffloadGB         float64

	TensorParallelSize   int
	PipelineParallelSize int
	DataParallelSize     int
	EnableExpertParallel engine.Toggle
	// DisableCustomAllReduce falls back to NCCL.
	DisableCustomAllReduce     engine.Toggle
	DistributedExecutorBackend string

	EnforceEager engine.Toggle
	// CompilationMode is vLLM's optimisation level; "" is the engine's default.
	CompilationMode      string
	CUDAGraphMode        string
	AttentionBackend     string
	DisableCascadeAttn   engine.Toggle
	EnableChunkedPrefill engine.Toggle
	EnablePrefixCaching  engine.Toggle

	LongPrefillTokenThreshold int
	SchedulingPolicy          string
	AsyncScheduling           engine.Toggle
	StreamInterval            int

	// CUDAGraphCaptureSizes are batch sizes, as in "1,2,4".
	CUDAGraphCaptureSizes string
	// APIServerCount is the number of processes that take requests.
	APIServerCount int

	// The three are parts of speculative_config.
	SpeculativeMethod string
	SpeculativeModel  string
	SpeculativeTokens int
}

// Fields implements engine.Section: the names of the options of vLLM.
func (s *Section) Fields() []engine.Field {
	return engine.Optional(
		engine.Choice(&s.Mode, "mode",
			"its server over HTTP, or its engine stepped in a worker, which sees every step", "serve", "offline"),
		engine.Whole(&s.MaxNumSeqs, "max_num_seqs", 1, engine.ManySequences, "the most sequences in one engine step"),
		engine.Whole(&s.MaxNumBatchedTokens, "max_num_batched_tokens", 1, engine.ManyTokens,
			"token budget of one engine step"),
		engine.Whole(&s.MaxModelLen, "max_model_len", 1, engine.ManyTokens,
			"the most tokens of one sequence, prompt and output"),
		engine.Text(&s.Quantization, "quantization", "a method such as fp8, awq, gptq or bitsandbytes",
			"quantisation of the weights"),
		engine.Choice(&s.KVCacheDType, "kv_cache_dtype", "type of the KV cache", "auto", "bfloat16", "fp8",
			"fp8_e4m3", "fp8_e5m2"),
		engine.Whole(&s.KVCacheMemoryBytes, "kv_cache_memory_bytes", 1, 1<<50, "size of the KV cache on each device"),
		engine.Number(&s.GPUMemoryUtilization, "gpu_memory_utilization", 0.01, 1,
			"share of the device's memory that the engine may take"),
		engine.Whole(&s.BlockSize, "block_size", 1, 4096, "tokens in one block of the KV cache"),
		engine.Number(&s.CPUOffloadGB, "cpu_offload_gb", 0, 65536, "weights kept in host memory, GB per device"),
		engine.Whole(&s.TensorParallelSize, "tensor_parallel_size", 1, engine.ManyDevices,
			"devices that share each layer"),
		engine.Whole(&s.PipelineParallelSize, "pipeline_parallel_size", 1, engine.ManyDevices,
			"groups of devices that share the layers"),
		engine.Whole(&s.DataParallelSize, "data_parallel_size", 1, engine.ManyDevices, "copies of the model"),
		engine.Switch(&s.EnableExpertParallel, "enable_expert_parallel",
			"spread experts over devices instead of splitting each"),
		engine.Switch(&s.DisableCustomAllReduce, "disable_custom_all_reduce", "use NCCL for all reductions"),
		engine.Choice(&s.DistributedExecutorBackend, "distributed_executor_backend", "what starts the workers", "mp",
			"ray", "uni"),
		engine.Switch(&s.EnforceEager, "enforce_eager", "no compilation and no CUDA graphs"),
		engine.Choice(&s.CompilationMode, "compilation_mode", "optimisation level (-O)", "0", "1", "2",
			"3").OrNumber(3),
		engine.Choice(&s.CUDAGraphMode, "cudagraph_mode", "what CUDA graphs capture", "NONE", "PIECEWISE", "FULL",
			"FULL_DECODE_ONLY", "FULL_AND_PIECEWISE"),
		engine.Text(&s.AttentionBackend, "attention_backend", "a backend such as FLASH_ATTN or FLASHINFER",
			"implementation of attention"),
		engine.Switch(&s.DisableCascadeAttn, "disable_cascade_attn", "no cascade attention"),
		engine.Switch(&s.EnableChunkedPrefill, "enable_chunked_prefill", "split long prompts over steps"),
		engine.Switch(&s.EnablePrefixCaching, "enable_prefix_caching", "keep the cache of common prompt beginnings"),
		engine.Whole(&s.LongPrefillTokenThreshold, "long_prefill_token_threshold", 0, engine.ManyTokens,
			"prompts longer than this are long"),
		engine.Choice(&s.SchedulingPolicy, "scheduling_policy", "order of waiting requests", "fcfs", "priority"),
		engine.Switch(&s.AsyncScheduling, "async_scheduling", "prepare the next step while one runs"),
		engine.Whole(&s.StreamInterval, "stream_interval", 1, 1<<20, "tokens sent together"),
		engine.List(&s.CUDAGraphCaptureSizes, "cudagraph_capture_sizes", "batch sizes such as 1,2,4,8", engine.Sizes,
			"batch sizes that CUDA graphs capture"),
		engine.Whole(&s.APIServerCount, "api_server_count", 1, 1024, "processes that take requests"),
		engine.Text(&s.SpeculativeMethod, "speculative_method",
			"a method such as ngram, eagle, eagle3, medusa or draft_model",
			"how tokens are guessed ahead; without it none are"),
		engine.Text(&s.SpeculativeModel, "speculative_model", "a model", "the model that guesses"),
		engine.Whole(&s.SpeculativeTokens, "num_speculative_tokens", 1, 1024, "tokens that are guessed at once"),
	)
}
