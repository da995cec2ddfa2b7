package vllm

import (
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/option"
)

// settings holds the settings of vLLM in a study; [settings.Fields] describes each. A value that is left out is
// the engine's default and is not part of an experiment's ID.
type settings struct {
	// mode is serve (its server, over HTTP) or offline (in a worker that sees every
	// step); "" is serve.
	mode string
	// maxNumSeqs is the maximum number of sequences in one engine step; 0 is the engine's default.
	maxNumSeqs int
	// maxNumBatchedTokens is the token budget of one engine step.
	maxNumBatchedTokens int
	maxModelLen         int
	quantization        string
	kvCacheDType        string
	// kvCacheMemoryBytes and gpuMemoryUtilization are two ways to size the cache.
	kvCacheMemoryBytes   int
	gpuMemoryUtilization float64
	blockSize            int
	cpuOffloadGB         float64

	tensorParallelSize   int
	pipelineParallelSize int
	dataParallelSize     int
	enableExpertParallel engine.Toggle
	// disableCustomAllReduce falls back to NCCL.
	disableCustomAllReduce     engine.Toggle
	distributedExecutorBackend string

	enforceEager engine.Toggle
	// compilationMode is vLLM's optimisation level; "" is the engine's default.
	compilationMode      string
	cudaGraphMode        string
	attentionBackend     string
	disableCascadeAttn   engine.Toggle
	enableChunkedPrefill engine.Toggle
	enablePrefixCaching  engine.Toggle

	longPrefillTokenThreshold int
	schedulingPolicy          string
	asyncScheduling           engine.Toggle
	streamInterval            int

	// cudaGraphCaptureSizes are batch sizes, as in "1,2,4".
	cudaGraphCaptureSizes string
	// apiServerCount is the number of processes that take requests.
	apiServerCount int

	// The three are parts of speculative_config.
	speculativeMethod string
	speculativeModel  string
	speculativeTokens int

	// lora is "" (none), random:RANK or the path of an adapter.
	lora string
}

// Fields implements engine.Section: the names of the options of vLLM.
func (s *settings) Fields() []engine.Field {
	return append(engine.Optional(
		engine.Choice(&s.mode, "mode",
			"its server over HTTP, or its engine stepped in a worker, which sees every step", "serve", "offline"),
		engine.Whole(&s.maxNumSeqs, "max_num_seqs", 1, option.ManySequences,
			"maximum number of sequences in one engine step"),
		engine.Whole(&s.maxNumBatchedTokens, "max_num_batched_tokens", 1, option.ManyTokens,
			"token budget of one engine step"),
		engine.Whole(&s.maxModelLen, "max_model_len", 1, option.ManyTokens,
			"maximum number of tokens of one sequence, prompt and output"),
		engine.Text(&s.quantization, "quantization", "a method such as fp8, awq, gptq or bitsandbytes",
			"quantisation of the weights"),
		engine.Choice(&s.kvCacheDType, "kv_cache_dtype", "type of the KV cache", "auto", "bfloat16", "fp8",
			"fp8_e4m3", "fp8_e5m2"),
		engine.Whole(&s.kvCacheMemoryBytes, "kv_cache_memory_bytes", 1, 1<<50, "size of the KV cache on each device"),
		engine.Number(&s.gpuMemoryUtilization, "gpu_memory_utilization", 0.01, 1,
			"share of the device's memory that the engine may take"),
		engine.Whole(&s.blockSize, "block_size", 1, 4096, "tokens in one block of the KV cache"),
		engine.Number(&s.cpuOffloadGB, "cpu_offload_gb", 0, 65536, "weights kept in host memory, GB per device"),
		engine.Whole(&s.tensorParallelSize, "tensor_parallel_size", 1, option.ManyDevices,
			"devices that share each layer"),
		engine.Whole(&s.pipelineParallelSize, "pipeline_parallel_size", 1, option.ManyDevices,
			"groups of devices that share the layers"),
		engine.Whole(&s.dataParallelSize, "data_parallel_size", 1, option.ManyDevices, "copies of the model"),
		engine.Switch(&s.enableExpertParallel, "enable_expert_parallel",
			"spread experts over devices instead of splitting each"),
		engine.Switch(&s.disableCustomAllReduce, "disable_custom_all_reduce", "use NCCL for all reductions"),
		engine.Choice(&s.distributedExecutorBackend, "distributed_executor_backend", "what starts the workers", "mp",
			"ray", "uni"),
		engine.Switch(&s.enforceEager, "enforce_eager", "disable compilation and CUDA graphs"),
		engine.Choice(&s.compilationMode, "compilation_mode", "optimisation level (-O)", "0", "1", "2",
			"3").OrNumber(3),
		engine.Choice(&s.cudaGraphMode, "cudagraph_mode", "what CUDA graphs capture", "NONE", "PIECEWISE", "FULL",
			"FULL_DECODE_ONLY", "FULL_AND_PIECEWISE").As("compilation-config.cudagraph_mode"),
		engine.Text(&s.attentionBackend, "attention_backend", "a backend such as FLASH_ATTN or FLASHINFER",
			"implementation of attention"),
		engine.Switch(&s.disableCascadeAttn, "disable_cascade_attn", "disable cascade attention"),
		engine.Switch(&s.enableChunkedPrefill, "enable_chunked_prefill", "split long prompts over steps"),
		engine.Switch(&s.enablePrefixCaching, "enable_prefix_caching", "keep the cache of common prompt beginnings"),
		engine.Whole(&s.longPrefillTokenThreshold, "long_prefill_token_threshold", 0, option.ManyTokens,
			"length above which a prompt counts as long"),
		engine.Choice(&s.schedulingPolicy, "scheduling_policy", "order of waiting requests", "fcfs", "priority"),
		engine.Switch(&s.asyncScheduling, "async_scheduling", "prepare the next step while one runs"),
		engine.Whole(&s.streamInterval, "stream_interval", 1, 1<<20, "tokens sent together"),
		engine.List(&s.cudaGraphCaptureSizes, "cudagraph_capture_sizes", "batch sizes such as 1,2,4,8", option.Sizes,
			"batch sizes that CUDA graphs capture").As("compilation-config.cudagraph_capture_sizes"),
		engine.Whole(&s.apiServerCount, "api_server_count", 1, 1024, "processes that take requests"),
		engine.Text(&s.speculativeMethod, "speculative_method",
			"a method such as ngram, eagle, eagle3, medusa or draft_model",
			"speculative decoding; none by default").As("speculative-config.method"),
		engine.Text(&s.speculativeModel, "speculative_model", "a model",
			"draft model of speculative decoding").As("speculative-config.model"),
		engine.Whole(&s.speculativeTokens, "num_speculative_tokens", 1, 1024,
			"draft tokens per step").As("speculative-config.num_speculative_tokens"),
	), option.LoRA(&s.lora, "a folder of peft", ""))
}
