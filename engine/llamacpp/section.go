package llamacpp

import (
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/option"
)

// settings holds the settings of llama.cpp in a study; [settings.Fields] describes each. A value that is left out
// is the engine's default and is not part of an experiment's ID.
type settings struct {
	// parallel is the number of slots, the maximum number of sequences per step; 0 is the engine's default.
	parallel int
	// batchTokens and ubatchTokens are the logical and the physical batch, in tokens
	// (-b and -ub).
	batchTokens  int
	ubatchTokens int
	contextSize  int
	contBatching engine.Toggle

	// gpuLayers is auto, all or a number.
	gpuLayers string
	splitMode string
	// tensorSplit is the part of each GPU, as in "3,1"; mainGPU the GPU for what is not split, where 0 is the engine's
	// default.
	tensorSplit string
	mainGPU     int
	cpuMoE      int
	kvOffload   engine.Toggle
	opOffload   engine.Toggle

	flashAttn  engine.Toggle
	cacheTypeK string
	cacheTypeV string

	threads      int
	threadsBatch int
	// poll is a number from 0 to 100.
	poll   string
	numa   string
	repack engine.Toggle

	// lora is "" (none), random:RANK or the path of an adapter.
	lora string
}

// Fields implements engine.Section: the names of the options of llama.cpp.
func (s *settings) Fields() []engine.Field {
	return append(engine.Optional(
		engine.Whole(&s.parallel, "parallel", 1, option.ManySequences,
			"slots: maximum number of sequences in one engine step (-np)"),
		engine.Whole(&s.batchTokens, "batch_tokens", 1, option.ManyTokens,
			"logical batch in tokens (-b)").As("batch-size"),
		engine.Whole(&s.ubatchTokens, "ubatch_tokens", 1, option.ManyTokens,
			"physical batch in tokens (-ub)").As("ubatch-size"),
		engine.Whole(&s.contextSize, "ctx_size", 1, option.ManyTokens, "tokens in the KV cache, over all slots (-c)"),
		engine.Switch(&s.contBatching, "cont_batching", "the place of a finished sequence is refilled at once"),
		engine.Pattern(&s.gpuLayers, "n_gpu_layers", "auto, all or a whole number", `^(auto|all|0|[1-9][0-9]{0,5})$`,
			"layers on the GPU (-ngl)", "auto", "all").OrNumber(999999),
		engine.Choice(&s.splitMode, "split_mode", "how several GPUs share the model", "none", "layer", "row", "tensor"),
		engine.List(&s.tensorSplit, "tensor_split", "parts such as 3,1", `^[0-9]+(\.[0-9]+)?(,[0-9]+(\.[0-9]+)?)*$`,
			"part of each GPU (-ts)"),
		engine.Whole(&s.mainGPU, "main_gpu", 0, option.ManyDevices, "the GPU for what is not split (-mg)"),
		engine.Whole(&s.cpuMoE, "n_cpu_moe", 0, option.ManyDevices, "layers whose experts stay on the CPU"),
		engine.Switch(&s.kvOffload, "kv_offload", "KV cache on the GPU"),
		engine.Switch(&s.opOffload, "op_offload", "operations on host tensors on the GPU"),
		engine.Switch(&s.flashAttn, "flash_attn", "flash attention (-fa)"),
		engine.Choice(&s.cacheTypeK, "cache_type_k", "type of the cached keys", cacheTypes...),
		engine.Choice(&s.cacheTypeV, "cache_type_v", "type of the cached values", cacheTypes...),
		engine.Whole(&s.threads, "threads", 1, 4096, "threads of decoding (-t)"),
		engine.Whole(&s.threadsBatch, "threads_batch", 1, 4096, "threads of prefill (-tb)"),
		engine.Pattern(&s.poll, "poll", "a whole number from 0 to 100", `^(0|[1-9][0-9]?|100)$`,
			"how eagerly idle threads poll for work, 0 to 100: polling costs energy").OrNumber(100),
		engine.Choice(&s.numa, "numa", "placement of threads and memory on NUMA machines", "distribute", "isolate",
			"numactl"),
		engine.Switch(&s.repack, "repack", "rearrange weights for the CPU"),
	), option.LoRA(&s.lora, "a GGUF file written by convert_lora_to_gguf.py", ".gguf"))
}
