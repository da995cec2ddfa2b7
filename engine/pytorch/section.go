package pytorch

import (
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/option"
)

// settings holds the settings of PyTorch in a study; [settings.Fields] describes each.
type settings struct {
	// BatchSize is the number of sequences in a batch.
	BatchSize int
	// AttnImplementation is the implementation of attention, as transformers names it.
	AttnImplementation string
	// Device is auto (CUDA if there is a GPU), cuda, cuda:N or cpu.
	Device string

	// The zero values of the following are the defaults of their keys, so that experiments of earlier versions keep
	// their IDs.

	// Batching is "" (static) or continuous.
	Batching string
	// CacheImplementation is "" (dynamic) or static.
	CacheImplementation string
	// Compile is "" (off) or a mode of torch.compile for the decode step.
	Compile string
	// Quantization of the weights is "" (none) or a library with a format.
	Quantization string
	// MatmulPrecision is "" (highest), high or medium.
	MatmulPrecision string
	// Threads of the host; 0 leaves the number to PyTorch.
	Threads int
	// PrefillChunkSize is the maximum number of columns of a batch in one forward pass of prefill; 0 means all of
	// them.
	PrefillChunkSize int
	// DeviceMap is "" (single) or auto, which spreads the layers over all visible GPUs.
	DeviceMap string
	// TensorParallelSize is the number of processes, each with a GPU, that share every layer; 0 means 1.
	TensorParallelSize int
	// LoRA is "" (none), random:RANK or the folder of an adapter.
	LoRA string
}

// Fields implements engine.Section.
func (s *settings) Fields() []engine.Field {
	return []engine.Field{
		engine.Whole(&s.BatchSize, "batch_size", 1, 1<<20, "sequences per batch"),
		engine.Choice(&s.AttnImplementation, "attn_implementation", "implementation of attention", "sdpa", "eager",
			"flash_attention_2", "flash_attention_3"),
		engine.Pattern(&s.Device, "device", "auto, cpu, cuda or cuda:N", `^(auto|cpu|cuda(:(0|[1-9][0-9]{0,8}))?)$`,
			"auto takes CUDA if there is a GPU", "auto", "cpu", "cuda").OfMachine(),
		engine.Choice(&s.Batching, "batching", "whether the place of a finished sequence is refilled at once", "static",
			"continuous").ZeroMeans("static"),
		engine.Choice(&s.CacheImplementation, "cache_implementation",
			"whether the KV cache grows or is allocated for the longest sequence", "dynamic", "static").ZeroMeans(
			"dynamic"),
		engine.Choice(&s.Compile, "compile", "mode of torch.compile for the decode step; needs a static cache", "off",
			"default", "reduce-overhead", "max-autotune").ZeroMeans("off"),
		engine.Choice(&s.Quantization, "quantization", "quantisation of the weights of linear layers", "none",
			"bitsandbytes-8bit", "bitsandbytes-4bit", "torchao-int8", "torchao-int4", "torchao-float8").ZeroMeans(
			"none"),
		engine.Choice(&s.MatmulPrecision, "matmul_precision",
			"precision of float32 products; below highest, tensor cores may round", "highest", "high",
			"medium").ZeroMeans("highest"),
		engine.Whole(&s.Threads, "threads", 0, 4096,
			"threads of PyTorch on the host; 0 leaves the number to PyTorch").OmitZero(),
		engine.Whole(&s.PrefillChunkSize, "prefill_chunk_size", 0, 1<<20,
			"maximum number of prompt tokens in one forward pass; 0 is all of them").OmitZero(),
		engine.Choice(&s.DeviceMap, "device_map", "auto spreads the layers over all visible GPUs, which work in turn",
			"single", "auto").ZeroMeans("single"),
		engine.Whole(&s.TensorParallelSize, "tensor_parallel_size", 1, option.ManyDevices,
			"devices that share each layer: the first visible GPUs, or processes on a CPU").ZeroMeans("1"),
		option.LoRA(&s.LoRA, "a folder of peft", ""),
	}
}
