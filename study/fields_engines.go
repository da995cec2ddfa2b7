package study

// optional marks the fields of an engine whose defaults are its own.
func optional(fields ...*field) []*field {
	for _, f := range fields {
		f.optional = true
	}
	return fields
}

// alsoNumber says that whole numbers up to most are among a field's texts.
func alsoNumber(f *field, most int) *field {
	f.kind.schema = map[string]any{"anyOf": []any{map[string]any{"type": "integer", "minimum": 0, "maximum": most}, f.kind.schema}}
	return f
}

// listField takes numbers: a list, or a text with commas, which separate no values of an
// axis.
func listField(key, want, pattern, help string, at func(*settings) *string) *field {
	f := patternField(key, want, pattern, help, at)
	f.undivided, f.list = true, true
	number := map[string]any{"type": "number", "minimum": 0}
	f.kind.schema = map[string]any{"anyOf": []any{f.kind.schema, map[string]any{"type": "array", "items": number, "minItems": 1}}}
	return f
}

// sizesPattern is that of batch sizes.
const sizesPattern = `^[1-9][0-9]{0,6}(,[1-9][0-9]{0,6})*$`

// Sizes that no engine exceeds.
const (
	manySequences = 1 << 20
	manyTokens    = 1 << 30
	manyDevices   = 4096
)

var vllmFields = optional(
	choiceField("vllm.mode", "its server over HTTP, or its engine stepped in a worker, which sees every step", func(s *settings) *string { return &s.vllm.Mode }, "serve", "offline"),
	wholeField("vllm.max_num_seqs", 1, manySequences, "the most sequences in one engine step", func(s *settings) *int { return &s.vllm.MaxNumSeqs }),
	wholeField("vllm.max_num_batched_tokens", 1, manyTokens, "token budget of one engine step", func(s *settings) *int { return &s.vllm.MaxNumBatchedTokens }),
	wholeField("vllm.max_model_len", 1, manyTokens, "the most tokens of one sequence, prompt and output", func(s *settings) *int { return &s.vllm.MaxModelLen }),
	textField("vllm.quantization", "a method such as fp8, awq, gptq or bitsandbytes", "quantisation of the weights", func(s *settings) *string { return &s.vllm.Quantization }),
	choiceField("vllm.kv_cache_dtype", "type of the KV cache", func(s *settings) *string { return &s.vllm.KVCacheDType }, "auto", "bfloat16", "fp8", "fp8_e4m3", "fp8_e5m2"),
	wholeField("vllm.kv_cache_memory_bytes", 1, 1<<50, "size of the KV cache on each device", func(s *settings) *int { return &s.vllm.KVCacheMemoryBytes }),
	numberField("vllm.gpu_memory_utilization", 0.01, 1, "share of the device's memory that the engine may take", func(s *settings) *float64 { return &s.vllm.GPUMemoryUtilization }),
	wholeField("vllm.block_size", 1, 4096, "tokens in one block of the KV cache", func(s *settings) *int { return &s.vllm.BlockSize }),
	numberField("vllm.cpu_offload_gb", 0, 65536, "weights kept in host memory, GB per device", func(s *settings) *float64 { return &s.vllm.CPUOffloadGB }),
	wholeField("vllm.tensor_parallel_size", 1, manyDevices, "devices that share each layer", func(s *settings) *int { return &s.vllm.TensorParallelSize }),
	wholeField("vllm.pipeline_parallel_size", 1, manyDevices, "groups of devices that share the layers", func(s *settings) *int { return &s.vllm.PipelineParallelSize }),
	wholeField("vllm.data_parallel_size", 1, manyDevices, "copies of the model", func(s *settings) *int { return &s.vllm.DataParallelSize }),
	toggleField("vllm.enable_expert_parallel", "spread experts over devices instead of splitting each", func(s *settings) *Toggle { return &s.vllm.EnableExpertParallel }),
	toggleField("vllm.disable_custom_all_reduce", "use NCCL for all reductions", func(s *settings) *Toggle { return &s.vllm.DisableCustomAllReduce }),
	choiceField("vllm.distributed_executor_backend", "what starts the workers", func(s *settings) *string { return &s.vllm.DistributedExecutorBackend }, "mp", "ray", "uni"),
	toggleField("vllm.enforce_eager", "no compilation and no CUDA graphs", func(s *settings) *Toggle { return &s.vllm.EnforceEager }),
	alsoNumber(choiceField("vllm.compilation_mode", "optimisation level (-O)", func(s *settings) *string { return &s.vllm.CompilationMode }, "0", "1", "2", "3"), 3),
	choiceField("vllm.cudagraph_mode", "what CUDA graphs capture", func(s *settings) *string { return &s.vllm.CUDAGraphMode }, "NONE", "PIECEWISE", "FULL", "FULL_DECODE_ONLY", "FULL_AND_PIECEWISE"),
	textField("vllm.attention_backend", "a backend such as FLASH_ATTN or FLASHINFER", "implementation of attention", func(s *settings) *string { return &s.vllm.AttentionBackend }),
	toggleField("vllm.disable_cascade_attn", "no cascade attention", func(s *settings) *Toggle { return &s.vllm.DisableCascadeAttn }),
	toggleField("vllm.enable_chunked_prefill", "split long prompts over steps", func(s *settings) *Toggle { return &s.vllm.EnableChunkedPrefill }),
	toggleField("vllm.enable_prefix_caching", "keep the cache of common prompt beginnings", func(s *settings) *Toggle { return &s.vllm.EnablePrefixCaching }),
	wholeField("vllm.long_prefill_token_threshold", 0, manyTokens, "prompts longer than this are long", func(s *settings) *int { return &s.vllm.LongPrefillTokenThreshold }),
	choiceField("vllm.scheduling_policy", "order of waiting requests", func(s *settings) *string { return &s.vllm.SchedulingPolicy }, "fcfs", "priority"),
	toggleField("vllm.async_scheduling", "prepare the next step while one runs", func(s *settings) *Toggle { return &s.vllm.AsyncScheduling }),
	wholeField("vllm.stream_interval", 1, 1<<20, "tokens sent together", func(s *settings) *int { return &s.vllm.StreamInterval }),
	listField("vllm.cudagraph_capture_sizes", "batch sizes such as 1,2,4,8", sizesPattern, "batch sizes that CUDA graphs capture", func(s *settings) *string { return &s.vllm.CUDAGraphCaptureSizes }),
	wholeField("vllm.api_server_count", 1, 1024, "processes that take requests", func(s *settings) *int { return &s.vllm.APIServerCount }),
	textField("vllm.speculative_method", "a method such as ngram, eagle, eagle3, medusa or draft_model", "how tokens are guessed ahead; without it none are", func(s *settings) *string { return &s.vllm.SpeculativeMethod }),
	textField("vllm.speculative_model", "a model", "the model that guesses", func(s *settings) *string { return &s.vllm.SpeculativeModel }),
	wholeField("vllm.num_speculative_tokens", 1, 1024, "tokens that are guessed at once", func(s *settings) *int { return &s.vllm.SpeculativeTokens }),
)

var sglangFields = optional(
	wholeField("sglang.max_running_requests", 1, manySequences, "the most sequences in one engine step", func(s *settings) *int { return &s.sglang.MaxRunningRequests }),
	wholeField("sglang.max_total_tokens", 1, manyTokens, "tokens in the KV cache", func(s *settings) *int { return &s.sglang.MaxTotalTokens }),
	wholeField("sglang.context_length", 1, manyTokens, "the most tokens of one sequence", func(s *settings) *int { return &s.sglang.ContextLength }),
	numberField("sglang.mem_fraction_static", 0.01, 1, "share of the device's memory for weights and KV cache", func(s *settings) *float64 { return &s.sglang.MemFractionStatic }),
	textField("sglang.quantization", "a method such as fp8, awq or gptq", "quantisation of the weights", func(s *settings) *string { return &s.sglang.Quantization }),
	choiceField("sglang.kv_cache_dtype", "type of the KV cache", func(s *settings) *string { return &s.sglang.KVCacheDType }, "auto", "bfloat16", "fp8_e4m3", "fp8_e5m2"),
	wholeField("sglang.page_size", 1, 4096, "tokens in one page of the KV cache", func(s *settings) *int { return &s.sglang.PageSize }),
	wholeField("sglang.tensor_parallel_size", 1, manyDevices, "devices that share each layer (--tp)", func(s *settings) *int { return &s.sglang.TensorParallelSize }),
	wholeField("sglang.pipeline_parallel_size", 1, manyDevices, "groups of devices that share the layers (--pp-size)", func(s *settings) *int { return &s.sglang.PipelineParallelSize }),
	wholeField("sglang.data_parallel_size", 1, manyDevices, "copies of the model (--dp)", func(s *settings) *int { return &s.sglang.DataParallelSize }),
	wholeField("sglang.expert_parallel_size", 1, manyDevices, "devices that share the experts (--ep-size)", func(s *settings) *int { return &s.sglang.ExpertParallelSize }),
	wholeField("sglang.chunked_prefill_size", -1, manyTokens, "the most prompt tokens in one chunk; -1 does not split", func(s *settings) *int { return &s.sglang.ChunkedPrefillSize }),
	wholeField("sglang.max_prefill_tokens", 1, manyTokens, "token budget of a prefill step", func(s *settings) *int { return &s.sglang.MaxPrefillTokens }),
	toggleField("sglang.enable_mixed_chunk", "prefill and decode in one step", func(s *settings) *Toggle { return &s.sglang.EnableMixedChunk }),
	choiceField("sglang.schedule_policy", "order of waiting requests", func(s *settings) *string { return &s.sglang.SchedulePolicy }, "lpm", "random", "fcfs", "dfs-weight", "lof", "priority"),
	numberField("sglang.schedule_conservativeness", 0.01, 10, "above 1 admits fewer requests at once", func(s *settings) *float64 { return &s.sglang.ScheduleConservativeness }),
	toggleField("sglang.disable_overlap_schedule", "do not prepare the next step while one runs", func(s *settings) *Toggle { return &s.sglang.DisableOverlapSchedule }),
	toggleField("sglang.disable_radix_cache", "do not keep the cache of common prompt beginnings", func(s *settings) *Toggle { return &s.sglang.DisableRadixCache }),
	wholeField("sglang.stream_interval", 1, 1<<20, "tokens sent together", func(s *settings) *int { return &s.sglang.StreamInterval }),
	textField("sglang.attention_backend", "a backend such as flashinfer, fa3 or triton", "implementation of attention", func(s *settings) *string { return &s.sglang.AttentionBackend }),
	choiceField("sglang.sampling_backend", "implementation of sampling", func(s *settings) *string { return &s.sglang.SamplingBackend }, "flashinfer", "pytorch"),
	toggleField("sglang.disable_cuda_graph", "no CUDA graphs", func(s *settings) *Toggle { return &s.sglang.DisableCUDAGraph }),
	wholeField("sglang.cuda_graph_max_bs", 1, manySequences, "the largest batch that a CUDA graph captures", func(s *settings) *int { return &s.sglang.CUDAGraphMaxBS }),
	toggleField("sglang.enable_torch_compile", "compile the model", func(s *settings) *Toggle { return &s.sglang.EnableTorchCompile }),
	toggleField("sglang.enable_deterministic_inference", "results that do not depend on the batch", func(s *settings) *Toggle { return &s.sglang.EnableDeterministicInference }),
	listField("sglang.cuda_graph_bs", "batch sizes such as 1,2,4,8", sizesPattern, "batch sizes that CUDA graphs capture", func(s *settings) *string { return &s.sglang.CUDAGraphBS }),
	textField("sglang.speculative_algorithm", "an algorithm such as EAGLE, EAGLE3, NEXTN or NGRAM", "how tokens are guessed ahead; without it none are", func(s *settings) *string { return &s.sglang.SpeculativeAlgorithm }),
	textField("sglang.speculative_draft_model_path", "a model", "the model that guesses", func(s *settings) *string { return &s.sglang.SpeculativeDraftModel }),
	wholeField("sglang.speculative_num_steps", 1, 1024, "steps of the model that guesses", func(s *settings) *int { return &s.sglang.SpeculativeSteps }),
	wholeField("sglang.speculative_eagle_topk", 1, 1024, "guesses that each step goes on with", func(s *settings) *int { return &s.sglang.SpeculativeEagleTopK }),
	wholeField("sglang.speculative_num_draft_tokens", 1, 1024, "guessed tokens that are checked at once", func(s *settings) *int { return &s.sglang.SpeculativeDraftTokens }),
)

var tensorrtFields = optional(
	wholeField("tensorrt.max_batch_size", 1, manySequences, "the most sequences in one engine step", func(s *settings) *int { return &s.tensorrt.MaxBatchSize }),
	wholeField("tensorrt.max_num_tokens", 1, manyTokens, "token budget of one engine step", func(s *settings) *int { return &s.tensorrt.MaxNumTokens }),
	wholeField("tensorrt.max_seq_len", 1, manyTokens, "the most tokens of one sequence", func(s *settings) *int { return &s.tensorrt.MaxSeqLen }),
	wholeField("tensorrt.tensor_parallel_size", 1, manyDevices, "devices that share each layer", func(s *settings) *int { return &s.tensorrt.TensorParallelSize }),
	wholeField("tensorrt.pipeline_parallel_size", 1, manyDevices, "groups of devices that share the layers", func(s *settings) *int { return &s.tensorrt.PipelineParallelSize }),
	wholeField("tensorrt.moe_expert_parallel_size", 1, manyDevices, "devices that share the experts", func(s *settings) *int { return &s.tensorrt.MoEExpertParallelSize }),
	toggleField("tensorrt.enable_attention_dp", "attention by data parallelism", func(s *settings) *Toggle { return &s.tensorrt.EnableAttentionDP }),
	choiceField("tensorrt.kv_cache_dtype", "type of the KV cache", func(s *settings) *string { return &s.tensorrt.KVCacheDType }, "auto", "fp8", "int8", "nvfp4"),
	numberField("tensorrt.free_gpu_memory_fraction", 0.01, 1, "share of the free memory for the KV cache", func(s *settings) *float64 { return &s.tensorrt.FreeGPUMemoryFraction }),
	wholeField("tensorrt.tokens_per_block", 1, 4096, "tokens in one block of the KV cache", func(s *settings) *int { return &s.tensorrt.TokensPerBlock }),
	wholeField("tensorrt.max_cache_tokens", 1, manyTokens, "tokens in the KV cache", func(s *settings) *int { return &s.tensorrt.MaxCacheTokens }),
	toggleField("tensorrt.enable_block_reuse", "keep the cache of common prompt beginnings", func(s *settings) *Toggle { return &s.tensorrt.EnableBlockReuse }),
	toggleField("tensorrt.enable_chunked_prefill", "split long prompts over steps", func(s *settings) *Toggle { return &s.tensorrt.EnableChunkedPrefill }),
	toggleField("tensorrt.disable_overlap_scheduler", "do not prepare the next step while one runs", func(s *settings) *Toggle { return &s.tensorrt.DisableOverlapScheduler }),
	wholeField("tensorrt.cuda_graph_max_batch_size", 1, manySequences, "the largest batch that a CUDA graph captures", func(s *settings) *int { return &s.tensorrt.CUDAGraphMaxBatchSize }),
	toggleField("tensorrt.cuda_graph_padding", "round batches up to a captured size", func(s *settings) *Toggle { return &s.tensorrt.CUDAGraphPadding }),
	toggleField("tensorrt.torch_compile", "compile the model", func(s *settings) *Toggle { return &s.tensorrt.TorchCompile }),
	textField("tensorrt.attn_backend", "a backend such as TRTLLM or FLASHINFER", "implementation of attention", func(s *settings) *string { return &s.tensorrt.AttnBackend }),
	textField("tensorrt.moe_backend", "a backend such as CUTLASS or TRTLLM", "implementation of experts", func(s *settings) *string { return &s.tensorrt.MoEBackend }),
	wholeField("tensorrt.stream_interval", 1, 1<<20, "tokens sent together", func(s *settings) *int { return &s.tensorrt.StreamInterval }),
	wholeField("tensorrt.batch_wait_timeout_ms", 0, 1e6, "time to wait for a fuller batch", func(s *settings) *int { return &s.tensorrt.BatchWaitTimeoutMS }),
	listField("tensorrt.cuda_graph_batch_sizes", "batch sizes such as 1,2,4,8", sizesPattern, "batch sizes that CUDA graphs capture", func(s *settings) *string { return &s.tensorrt.CUDAGraphBatchSizes }),
	textField("tensorrt.speculative_decoding_type", "a type such as MTP, Eagle, NGram or DraftTarget", "how tokens are guessed ahead; without it none are", func(s *settings) *string { return &s.tensorrt.SpeculativeDecodingType }),
	textField("tensorrt.speculative_model", "a model", "the model that guesses", func(s *settings) *string { return &s.tensorrt.SpeculativeModel }),
	wholeField("tensorrt.speculative_max_draft_len", 1, 1024, "tokens that are guessed at once", func(s *settings) *int { return &s.tensorrt.SpeculativeMaxDraftLen }),
)

// cacheTypes are llama.cpp's types of a KV cache.
var cacheTypes = []string{"f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"}

var llamacppFields = optional(
	wholeField("llamacpp.parallel", 1, manySequences, "slots: the most sequences in one engine step (-np)", func(s *settings) *int { return &s.llamacpp.Parallel }),
	wholeField("llamacpp.batch_tokens", 1, manyTokens, "logical batch in tokens (-b)", func(s *settings) *int { return &s.llamacpp.BatchTokens }),
	wholeField("llamacpp.ubatch_tokens", 1, manyTokens, "physical batch in tokens (-ub)", func(s *settings) *int { return &s.llamacpp.UBatchTokens }),
	wholeField("llamacpp.ctx_size", 1, manyTokens, "tokens in the KV cache, over all slots (-c)", func(s *settings) *int { return &s.llamacpp.ContextSize }),
	toggleField("llamacpp.cont_batching", "a finished sequence makes room at once", func(s *settings) *Toggle { return &s.llamacpp.ContBatching }),
	alsoNumber(patternField("llamacpp.n_gpu_layers", "auto, all or a whole number", `^(auto|all|0|[1-9][0-9]{0,5})$`, "layers on the GPU (-ngl)",
		func(s *settings) *string { return &s.llamacpp.GPULayers }, "auto", "all"), 999999),
	choiceField("llamacpp.split_mode", "how several GPUs share the model", func(s *settings) *string { return &s.llamacpp.SplitMode }, "none", "layer", "row", "tensor"),
	listField("llamacpp.tensor_split", "parts such as 3,1", `^[0-9]+(\.[0-9]+)?(,[0-9]+(\.[0-9]+)?)*$`, "part of each GPU (-ts)", func(s *settings) *string { return &s.llamacpp.TensorSplit }),
	wholeField("llamacpp.main_gpu", 0, manyDevices, "the GPU for what is not split (-mg)", func(s *settings) *int { return &s.llamacpp.MainGPU }),
	wholeField("llamacpp.n_cpu_moe", 0, manyDevices, "layers whose experts stay on the CPU", func(s *settings) *int { return &s.llamacpp.CPUMoE }),
	toggleField("llamacpp.kv_offload", "KV cache on the GPU", func(s *settings) *Toggle { return &s.llamacpp.KVOffload }),
	toggleField("llamacpp.op_offload", "operations on host tensors on the GPU", func(s *settings) *Toggle { return &s.llamacpp.OpOffload }),
	toggleField("llamacpp.flash_attn", "flash attention (-fa)", func(s *settings) *Toggle { return &s.llamacpp.FlashAttn }),
	choiceField("llamacpp.cache_type_k", "type of the cached keys", func(s *settings) *string { return &s.llamacpp.CacheTypeK }, cacheTypes...),
	choiceField("llamacpp.cache_type_v", "type of the cached values", func(s *settings) *string { return &s.llamacpp.CacheTypeV }, cacheTypes...),
	wholeField("llamacpp.threads", 1, 4096, "threads of decoding (-t)", func(s *settings) *int { return &s.llamacpp.Threads }),
	wholeField("llamacpp.threads_batch", 1, 4096, "threads of prefill (-tb)", func(s *settings) *int { return &s.llamacpp.ThreadsBatch }),
	alsoNumber(patternField("llamacpp.poll", "a whole number from 0 to 100", `^(0|[1-9][0-9]?|100)$`, "how eagerly idle threads look for work, 0 to 100: each look costs energy",
		func(s *settings) *string { return &s.llamacpp.Poll }), 100),
	choiceField("llamacpp.numa", "placement on machines with several memories", func(s *settings) *string { return &s.llamacpp.NUMA }, "distribute", "isolate", "numactl"),
	toggleField("llamacpp.repack", "rearrange weights for the CPU", func(s *settings) *Toggle { return &s.llamacpp.Repack }),
)
