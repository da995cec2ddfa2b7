package estimate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/shape"
)

// Setup is what is estimated: a model on an engine on devices, and its work.
type Setup struct {
	Model shape.Config
	// Backend is a name of [Backends], or of the engine of Profile.
	Backend string
	// Profile of an engine that this program does not have; nil is that of Backend.
	Profile *engine.Profile
	// Attention is PyTorch's: sdpa (also ""), eager or flash_attention_2.
	Attention string
	// Format of the weights; empty is BF16.
	Format Format
	// Stored are the bytes of weights that stay as they are in their files: those of a GGUF file, or
	// of a quantised checkpoint. Format is then what is computed in. Zero: Format decides.
	Stored shape.StoredBytes
	// LoadsWhole says that the weights are loaded as they would be without Stored, and made
	// smaller then.
	LoadsWhole bool
	Device     Device
	// Parallel is the number of devices that share every layer; 0 is 1.
	Parallel int
	// Stages is the number of groups of devices that share the layers among them and
	// work in turn; 0 is 1.
	Stages int
	// Pool is the share of the device that a server takes at start, such as vLLM's
	// gpu_memory_utilization; 0 is the backend's default.
	Pool float64
	// PoolCache is the size of the key/value cache that a server takes instead of a
	// share of the device; 0: it takes a share.
	PoolCache digits.Bytes
	// CacheBits is the size of one element of the key/value cache; 0 is that of
	// activations.
	CacheBits float64
	// CacheTokens is for how many tokens a server without pages makes room; 0: as many
	// as it needs.
	CacheTokens int
	// Exact is all that the engine is told, in any spelling: only earlier runs with the
	// same are of the same configuration.
	Exact string
	// Chunk bounds the prompt tokens of one step of a server; 0 is the backend's
	// default.
	Chunk  int
	Work   Work
	Around Around
}

// Work is the workload: fixed prompts in batches.
type Work struct {
	Prompts int
	Batch   int // sequences that run together
	Input   int // prompt tokens, the longest if they differ
	Output  int // generated tokens
	// Padded says that prompts of a batch differ in length, so that attention needs
	// a mask.
	Padded bool
}

// Around is what a run does besides the measured window.
type Around struct {
	BaselineSeconds float64 // idle, before the engine
	ResidentSeconds float64 // idle, with the model loaded
	WarmupRuns      int     // of a full batch and the smaller last one
	// WarmupSeconds bounds the time for the shapes of the workload before that; 0: they are not
	// run.
	WarmupSeconds float64
	MinWindow     float64 // seconds; a shorter workload is repeated
	// MaxWindow is to how many seconds the window may be lengthened for the split by phase; 0: it is not.
	MaxWindow float64
}

// Limits of what is estimated, far above what runs, so that sums do not overflow.
const mostContext, mostTokens, mostDevices = 1 << 20, 1 << 32, 1 << 12

// Validate says what can not be estimated, or nil.
func (s Setup) Validate() error {
	var all []error
	if err := s.Model.Validate(); err != nil {
		all = append(all, err)
	}
	if s.Profile == nil && !slices.Contains(Backends(), s.Backend) {
		all = append(all, fmt.Errorf("backend %q can not be estimated: use one of %s", s.Backend,
			strings.Join(Backends(), ", ")))
	}
	if s.Format != "" && !slices.Contains(Formats(), s.Format) {
		all = append(all, fmt.Errorf("format %q is not known: use one of %s", s.Format,
			strings.Join(names(Formats()), ", ")))
	}
	if s.Device.Bandwidth <= 0 || s.Device.Rate(s.format()) <= 0 {
		all = append(all, fmt.Errorf("device %q does not compute in %s", s.Device.Name, s.format()))
	}
	w := s.Work
	if w.Prompts < 1 || w.Batch < 1 || w.Input < 1 || w.Output < 1 || s.Parallel < 0 || s.Stages < 0 {
		all = append(all, fmt.Errorf("%d prompts in batches of %d, %d tokens in, %d out on %d devices is no work",
			w.Prompts, w.Batch, w.Input, w.Output, s.parallel()))
	}
	if w.Batch > mostTokens || w.Input > mostContext || w.Output > mostContext ||
		s.batch()*(w.Input+w.Output) > mostTokens || w.Prompts > mostTokens || s.Parallel > mostDevices ||
		s.Stages > s.Model.Layers || s.devices() > mostDevices {
		all = append(all, fmt.Errorf("more than %d tokens of context, %d tokens in a batch or %d devices are not "+
			"estimated, and no more stages than layers", mostContext, mostTokens, mostDevices))
	}
	return errors.Join(all...)
}

func (s Setup) format() Format {
	if s.Format == "" {
		return BF16
	}
	return s.Format
}

func (s Setup) parallel() int { return max(1, s.Parallel) }

func (s Setup) stages() int { return max(1, s.Stages) }

// devices is how many there are in all.
func (s Setup) devices() int { return s.parallel() * s.stages() }

// engine is the profile of the backend.
func (s Setup) engine() profile {
	if s.Profile != nil {
		return profileFrom(*s.Profile)
	}
	return profileOf(s.Backend)
}

// profile is that of the backend, with what the Setup says instead.
func (s Setup) profile() profile {
	p := s.engine()
	if p.pool > 0 && s.Pool > 0 {
		p.pool = min(s.Pool, 1)
	}
	if p.chunk > 0 && s.Chunk != 0 {
		p.chunk = max(0, s.Chunk)
	}
	return p
}

// pool is what a server takes of the device at start; 0 if it takes what it needs, or a
// cache of a given size beside that.
func (s Setup) pool() digits.Bytes {
	if s.PoolCache > 0 {
		return 0
	}
	return digits.Bytes(s.profile().pool * float64(s.Device.Memory))
}

// batch is the size of a full batch: no more than there are prompts.
func (s Setup) batch() int { return min(s.Work.Batch, max(1, s.Work.Prompts)) }

// element is the size of an activation in bytes.
func (s Setup) element() int64 { return int64(s.format().compute().bits()) / 8 }

// split divides work among the devices, rounding up.
func (s Setup) split(n int64) int64 { return (n + int64(s.parallel()) - 1) / int64(s.parallel()) }

// heads are the query heads on one device.
func (s Setup) heads() int64 { return s.split(int64(s.Model.Heads)) }
