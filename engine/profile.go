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

// Profile is what an engine adds to the arithmetic of a model, for estimates of memory and
// time. Constants that no measurement stands behind are nominal.
type Profile struct {
	// Memory is how tensors are held; empty is a server's: a share of the device is taken at
	// start.
	Memory MemoryModel
	// GGML reports that weights and cache have ggml's forms.
	GGML bool
	// Context is what the driver and the libraries hold on the device, in bytes.
	Context int64
	// Reserve is the part of what is neither weights nor workspace that the allocator
	// keeps beyond the peak.
	Reserve float64
	// Buffers are the engine's own, such as captured graphs, in bytes.
	Buffers int64
	// Pool is the share of the device that the engine takes at start, used or not.
	Pool float64
	// Chunk bounds the prompt tokens of one step; 0 does not.
	Chunk int
	// Launch is the host's time for one kernel, in seconds; 0: graphs are replayed.
	Launch float64
	// Step is the host's time for one step, besides, in seconds.
	Step float64
	// Elementwise is the traffic of norms, rotations and activations relative to separate
	// kernels for each operation.
	Elementwise float64
	// CacheMoves is how often a decode step moves the cache: reading it once is 1, growing
	// it by a copy 3.
	CacheMoves float64
	// Start is the time from the command to the beginning of loading, in seconds.
	Start float64
	// LoadRate is the rate at which weights are loaded, in bytes per second.
	LoadRate float64
	// First is by how much the first warm-up takes longer, in seconds.
	First float64
	// Fitted reports that the constants were fitted to measurements.
	Fitted bool
	// Widens reports that the engine computes in types that the device has no units for.
	Widens bool
	// Strict reports that it refuses 8-bit floats where the device has no units for them.
	Strict bool
}
