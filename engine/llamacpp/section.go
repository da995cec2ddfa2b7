package llamacpp

import "github.com/llenergymeasure/llem/engine"

// Section holds the settings of llama.cpp in a study; [Section.Fields] says what
// each means. A value that is left out is the engine's default and is not part of an
// experiment's ID.
type Section struct {
	// Parallel is the number of slots, which is the most sequences in one step; 0 is
	// the engine's default.
	Parallel int
	// BatchTokens and UBatchTokens are the logical and the physical batch, in tokens
	// (-b and -ub).
	BatchTokens  int
	UBatchTokens int
	ContextSize  int
	ContBatching engine.Toggle

	// GPULayers is auto, all or a number.
	GPULayers string
	SplitMode string
	// TensorSplit is the part of each GPU, as in "3,1"; MainGPU the one that does what is
	// not split, where 0 is the engine's default.
	TensorSplit string
	MainGPU     int
	CPUMoE      int
	KVOffload   engine.Toggle
	OpOffload   engine.Toggle

	FlashAttn  engine.Toggle
	CacheTypeK string
	CacheTypeV string

	Threads      int
	ThreadsBatch int
	// Poll is a number from 0 to 100.
	Poll   string
	NUMA   string
	Repack engine.Toggle
}

// Fields implements engine.Section: the names of the options of llama.cpp.
func (s *Section) Fields() []engine.Field {
	return engine.Optional(
		engine.Whole(&s.Parallel, "parallel", 1, engine.ManySequences,
			"slots: the most sequences in one engine step (-np)"),
		engine.Whole(&s.BatchTokens, "batch_tokens", 1, engine.ManyTokens, "logical batch in tokens (-b)"),
		engine.Whole(&s.UBatchTokens, "ubatch_tokens", 1, engine.ManyTokens, "physical batch in tokens (-ub)"),
		engine.Whole(&s.ContextSize, "ctx_size", 1, engine.ManyTokens, "tokens in the KV cache, over all slots (-c)"),
		engine.Switch(&s.ContBatching, "cont_batching", "a finished sequence makes room at once"),
		engine.Pattern(&s.GPULayers, "n_gpu_layers", "auto, all or a whole number", `^(auto|all|0|[1-9][0-9]{0,5})$`,
			"layers on the GPU (-ngl)", "auto", "all").OrNumber(999999),
		engine.Choice(&s.SplitMode, "split_mode", "how several GPUs share the model", "none", "layer", "row", "tensor"),
		engine.List(&s.TensorSplit, "tensor_split", "parts such as 3,1", `^[0-9]+(\.[0-9]+)?(,[0-9]+(\.[0-9]+)?)*$`,
			"part of each GPU (-ts)"),
		engine.Whole(&s.MainGPU, "main_gpu", 0, engine.ManyDevices, "the GPU for what is not split (-mg)"),
		engine.Whole(&s.CPUMoE, "n_cpu_moe", 0, engine.ManyDevices, "layers whose experts stay on the CPU"),
		engine.Switch(&s.KVOffload, "kv_offload", "KV cache on the GPU"),
		engine.Switch(&s.OpOffload, "op_offload", "operations on host tensors on the GPU"),
		engine.Switch(&s.FlashAttn, "flash_attn", "flash attention (-fa)"),
		engine.Choice(&s.CacheTypeK, "cache_type_k", "type of the cached keys", cacheTypes...),
		engine.Choice(&s.CacheTypeV, "cache_type_v", "type of the cached values", cacheTypes...),
		engine.Whole(&s.Threads, "threads", 1, 4096, "threads of decoding (-t)"),
		engine.Whole(&s.ThreadsBatch, "threads_batch", 1, 4096, "threads of prefill (-tb)"),
		engine.Pattern(&s.Poll, "poll", "a whole number from 0 to 100", `^(0|[1-9][0-9]?|100)$`,
			"how eagerly idle threads look for work, 0 to 100: each look costs energy").OrNumber(100),
		engine.Choice(&s.NUMA, "numa", "placement on machines with several memories", "distribute", "isolate",
			"numactl"),
		engine.Switch(&s.Repack, "repack", "rearrange weights for the CPU"),
	)
}
