package engine

// MemoryModel is how an engine holds a model's tensors.
type MemoryModel string

// The memory models that estimates know.
const (
	// MemoryTorch follows the tensors of transformers on PyTorch.
	MemoryTorch MemoryModel = "torch"
	// MemoryGGML follows the buffers of ggml.
	MemoryGGML MemoryModel = "ggml"
)

// Profile is what an engine adds to the arithmetic of a model, for estimates of memory and time. Constants without
// a measurement are nominal.
type Profile struct {
	// Memory is how tensors are held; empty means like a server: a share of the device is taken at start.
	Memory MemoryModel
	// GGML reports that weights and cache have ggml's forms.
	GGML bool
	// Context is the memory of the driver and the libraries on the device, in bytes.
	Context int64
	// Reserve is the part of the memory other than weights and workspace that the allocator keeps beyond the peak.
	Reserve float64
	// Buffers are the engine's own, such as captured graphs, in bytes.
	Buffers int64
	// Pool is the share of the device that the engine takes at start, used or not.
	Pool float64
	// Chunk bounds the prompt tokens of one step; 0 sets no limit.
	Chunk int
	// Launch is the host's time for one kernel, in seconds; 0 if graphs are replayed.
	Launch float64
	// Step is the host's further time for one step, in seconds.
	Step float64
	// Elementwise is the traffic of norms, rotations and activations relative to separate
	// kernels for each operation.
	Elementwise float64
	// CacheMoves is how often a decode step moves the cache: reading it once is 1, growing it by a copy is 3.
	CacheMoves float64
	// Start is the time from the command to the beginning of loading, in seconds.
	Start float64
	// LoadRate is the rate at which weights are loaded, in bytes per second.
	LoadRate float64
	// First is the extra time of the first warm-up, in seconds.
	First float64
	// Fitted reports that the constants were fitted to measurements.
	Fitted bool
	// Widens reports that the engine computes in types that the device has no units for.
	Widens bool
	// Strict reports that it refuses 8-bit floats if the device has no units for them.
	Strict bool
}
