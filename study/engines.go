package study

import (
	"encoding/json"
	"fmt"
)

// The sections of the serving engines follow the names of the engines' own options.
// A value that is left out is the engine's default and is not part of the
// experiment's ID.

// Toggle is an option of an engine that is on, off, or left to the engine.
type Toggle string

// Values of a [Toggle].
const (
	Unset Toggle = ""
	On    Toggle = "true"
	Off   Toggle = "false"
)

// MarshalJSON writes true, false or null.
func (t Toggle) MarshalJSON() ([]byte, error) {
	if t == Unset {
		return []byte("null"), nil
	}
	return []byte(t), nil
}

// UnmarshalJSON reads true, false or null.
func (t *Toggle) UnmarshalJSON(data []byte) error {
	var b *bool
	if err := json.Unmarshal(data, &b); err != nil {
		return fmt.Errorf("read a switch: %w", err)
	}
	switch {
	case b == nil:
		*t = Unset
	case *b:
		*t = On
	default:
		*t = Off
	}
	return nil
}

// VLLMSection holds the settings of vLLM.
type VLLMSection struct {
	// Mode is serve (its server, over HTTP) or offline (in a worker that sees every
	// step); "" is serve.
	Mode string `json:"mode,omitempty"`
	// MaxNumSeqs is the most sequences in one engine step; 0 is the engine's default.
	MaxNumSeqs int `json:"max_num_seqs,omitempty"`
	// MaxNumBatchedTokens is the token budget of one engine step.
	MaxNumBatchedTokens int    `json:"max_num_batched_tokens,omitempty"`
	MaxModelLen         int    `json:"max_model_len,omitempty"`
	Quantization        string `json:"quantization,omitempty"`
	KVCacheDType        string `json:"kv_cache_dtype,omitempty"`
	// KVCacheMemoryBytes and GPUMemoryUtilization are two ways to size the cache.
	KVCacheMemoryBytes   int     `json:"kv_cache_memory_bytes,omitempty"`
	GPUMemoryUtilization float64 `json:"gpu_memory_utilization,omitempty"`
	BlockSize            int     `json:"block_size,omitempty"`
	CPUOffloadGB         float64 `json:"cpu_offload_gb,omitempty"`

	TensorParallelSize   int    `json:"tensor_parallel_size,omitempty"`
	PipelineParallelSize int    `json:"pipeline_parallel_size,omitempty"`
	DataParallelSize     int    `json:"data_parallel_size,omitempty"`
	EnableExpertParallel Toggle `json:"enable_expert_parallel,omitempty"`
	// DisableCustomAllReduce falls back to NCCL.
	DisableCustomAllReduce     Toggle `json:"disable_custom_all_reduce,omitempty"`
	DistributedExecutorBackend string `json:"distributed_executor_backend,omitempty"`

	EnforceEager Toggle `json:"enforce_eager,omitempty"`
	// CompilationMode is vLLM's optimisation level; "" is the engine's default.
	CompilationMode      string `json:"compilation_mode,omitempty"`
	CUDAGraphMode        string `json:"cudagraph_mode,omitempty"`
	AttentionBackend     string `json:"attention_backend,omitempty"`
	DisableCascadeAttn   Toggle `json:"disable_cascade_attn,omitempty"`
	EnableChunkedPrefill Toggle `json:"enable_chunked_prefill,omitempty"`
	EnablePrefixCaching  Toggle `json:"enable_prefix_caching,omitempty"`

	LongPrefillTokenThreshold int    `json:"long_prefill_token_threshold,omitempty"`
	SchedulingPolicy          string `json:"scheduling_policy,omitempty"`
	AsyncScheduling           Toggle `json:"async_scheduling,omitempty"`
	StreamInterval            int    `json:"stream_interval,omitempty"`

	// CUDAGraphCaptureSizes are batch sizes, as in "1,2,4".
	CUDAGraphCaptureSizes string `json:"cudagraph_capture_sizes,omitempty"`
	// APIServerCount is the number of processes that take requests.
	APIServerCount int `json:"api_server_count,omitempty"`

	// The three are parts of speculative_config.
	SpeculativeMethod string `json:"speculative_method,omitempty"`
	SpeculativeModel  string `json:"speculative_model,omitempty"`
	SpeculativeTokens int    `json:"num_speculative_tokens,omitempty"`
}

// SGLangSection holds the settings of SGLang.
type SGLangSection struct {
	// MaxRunningRequests is the most sequences in one engine step; 0 is the engine's
	// default.
	MaxRunningRequests int     `json:"max_running_requests,omitempty"`
	MaxTotalTokens     int     `json:"max_total_tokens,omitempty"`
	ContextLength      int     `json:"context_length,omitempty"`
	MemFractionStatic  float64 `json:"mem_fraction_static,omitempty"`
	Quantization       string  `json:"quantization,omitempty"`
	KVCacheDType       string  `json:"kv_cache_dtype,omitempty"`
	PageSize           int     `json:"page_size,omitempty"`

	TensorParallelSize   int `json:"tensor_parallel_size,omitempty"`
	PipelineParallelSize int `json:"pipeline_parallel_size,omitempty"`
	DataParallelSize     int `json:"data_parallel_size,omitempty"`
	ExpertParallelSize   int `json:"expert_parallel_size,omitempty"`

	ChunkedPrefillSize       int     `json:"chunked_prefill_size,omitempty"`
	MaxPrefillTokens         int     `json:"max_prefill_tokens,omitempty"`
	EnableMixedChunk         Toggle  `json:"enable_mixed_chunk,omitempty"`
	SchedulePolicy           string  `json:"schedule_policy,omitempty"`
	ScheduleConservativeness float64 `json:"schedule_conservativeness,omitempty"`
	DisableOverlapSchedule   Toggle  `json:"disable_overlap_schedule,omitempty"`
	DisableRadixCache        Toggle  `json:"disable_radix_cache,omitempty"`
	StreamInterval           int     `json:"stream_interval,omitempty"`

	AttentionBackend             string `json:"attention_backend,omitempty"`
	SamplingBackend              string `json:"sampling_backend,omitempty"`
	DisableCUDAGraph             Toggle `json:"disable_cuda_graph,omitempty"`
	CUDAGraphMaxBS               int    `json:"cuda_graph_max_bs,omitempty"`
	EnableTorchCompile           Toggle `json:"enable_torch_compile,omitempty"`
	EnableDeterministicInference Toggle `json:"enable_deterministic_inference,omitempty"`

	// CUDAGraphBS are batch sizes, as in "1,2,4".
	CUDAGraphBS string `json:"cuda_graph_bs,omitempty"`

	SpeculativeAlgorithm   string `json:"speculative_algorithm,omitempty"`
	SpeculativeDraftModel  string `json:"speculative_draft_model_path,omitempty"`
	SpeculativeSteps       int    `json:"speculative_num_steps,omitempty"`
	SpeculativeEagleTopK   int    `json:"speculative_eagle_topk,omitempty"`
	SpeculativeDraftTokens int    `json:"speculative_num_draft_tokens,omitempty"`
}

// TensorRTSection holds the settings of TensorRT-LLM.
type TensorRTSection struct {
	// MaxBatchSize is the most sequences in one engine step; 0 is the engine's
	// default.
	MaxBatchSize int `json:"max_batch_size,omitempty"`
	// MaxNumTokens is the token budget of one engine step.
	MaxNumTokens int `json:"max_num_tokens,omitempty"`
	MaxSeqLen    int `json:"max_seq_len,omitempty"`

	TensorParallelSize    int    `json:"tensor_parallel_size,omitempty"`
	PipelineParallelSize  int    `json:"pipeline_parallel_size,omitempty"`
	MoEExpertParallelSize int    `json:"moe_expert_parallel_size,omitempty"`
	EnableAttentionDP     Toggle `json:"enable_attention_dp,omitempty"`

	KVCacheDType          string  `json:"kv_cache_dtype,omitempty"`
	FreeGPUMemoryFraction float64 `json:"free_gpu_memory_fraction,omitempty"`
	TokensPerBlock        int     `json:"tokens_per_block,omitempty"`
	MaxCacheTokens        int     `json:"max_cache_tokens,omitempty"`
	EnableBlockReuse      Toggle  `json:"enable_block_reuse,omitempty"`

	EnableChunkedPrefill    Toggle `json:"enable_chunked_prefill,omitempty"`
	DisableOverlapScheduler Toggle `json:"disable_overlap_scheduler,omitempty"`
	CUDAGraphMaxBatchSize   int    `json:"cuda_graph_max_batch_size,omitempty"`
	CUDAGraphPadding        Toggle `json:"cuda_graph_padding,omitempty"`
	TorchCompile            Toggle `json:"torch_compile,omitempty"`
	AttnBackend             string `json:"attn_backend,omitempty"`
	MoEBackend              string `json:"moe_backend,omitempty"`
	StreamInterval          int    `json:"stream_interval,omitempty"`
	BatchWaitTimeoutMS      int    `json:"batch_wait_timeout_ms,omitempty"`

	// CUDAGraphBatchSizes are batch sizes, as in "1,2,4".
	CUDAGraphBatchSizes string `json:"cuda_graph_batch_sizes,omitempty"`

	// The three are parts of speculative_config.
	SpeculativeDecodingType string `json:"speculative_decoding_type,omitempty"`
	SpeculativeModel        string `json:"speculative_model,omitempty"`
	SpeculativeMaxDraftLen  int    `json:"speculative_max_draft_len,omitempty"`
}

// LlamaCppSection holds the settings of llama.cpp's llama-server.
type LlamaCppSection struct {
	// Parallel is the number of slots, which is the most sequences in one step; 0 is
	// the engine's default.
	Parallel int `json:"parallel,omitempty"`
	// BatchTokens and UBatchTokens are the logical and the physical batch, in tokens
	// (-b and -ub).
	BatchTokens  int    `json:"batch_tokens,omitempty"`
	UBatchTokens int    `json:"ubatch_tokens,omitempty"`
	ContextSize  int    `json:"ctx_size,omitempty"`
	ContBatching Toggle `json:"cont_batching,omitempty"`

	// GPULayers is auto, all or a number.
	GPULayers string `json:"n_gpu_layers,omitempty"`
	SplitMode string `json:"split_mode,omitempty"`
	// TensorSplit is the part of each GPU, as in "3,1"; MainGPU the one that does what is
	// not split, where 0 is the engine's default.
	TensorSplit string `json:"tensor_split,omitempty"`
	MainGPU     int    `json:"main_gpu,omitempty"`
	CPUMoE      int    `json:"n_cpu_moe,omitempty"`
	KVOffload   Toggle `json:"kv_offload,omitempty"`
	OpOffload   Toggle `json:"op_offload,omitempty"`

	FlashAttn  Toggle `json:"flash_attn,omitempty"`
	CacheTypeK string `json:"cache_type_k,omitempty"`
	CacheTypeV string `json:"cache_type_v,omitempty"`

	Threads      int `json:"threads,omitempty"`
	ThreadsBatch int `json:"threads_batch,omitempty"`
	// Poll is a number from 0 to 100.
	Poll   string `json:"poll,omitempty"`
	NUMA   string `json:"numa,omitempty"`
	Repack Toggle `json:"repack,omitempty"`
}
