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

// Setup is the input of an estimate: a model on an engine on devices, and its work.
type Setup struct {
	Model shape.Config
	// Backend is a name in [Backends], or the engine of Profile.
	Backend string
	// Profile of an engine that this program does not have; nil takes the profile of Backend.
	Profile *engine.Profile
	// Attention is PyTorch's implementation: sdpa (also ""), eager or flash_attention_2.
	Attention string
	// Format of the weights; empty is BF16.
	Format Format
	// Stored is the size of weights that stay as they are in their files: a GGUF file, or a quantised checkpoint.
	// Format is then the format of the computation. Zero: Format decides.
	Stored shape.StoredBytes
	// LoadsWhole reports that the weights are loaded unquantised, as without Stored, and quantised afterwards.
	LoadsWhole bool
	Device     Device
	// Parallel is the number of devices that share every layer; 0 means 1.
	Parallel int
	// Stages is the number of groups of devices that share the layers among them and work in turn; 0 means 1.
	Stages int
	// Pool is the share of the device that a server takes at start, such as vLLM's gpu_memory_utilization; 0 means the
	// backend's default.
	Pool float64
	// PoolCache is the size of the key/value cache that a server takes instead of a share of the device; 0 if it takes
	// a share.
	PoolCache digits.Bytes
	// CacheBits is the size of one element of the key/value cache; 0 means the size of activations.
	CacheBits float64
	// CacheTokens is the number of tokens for which a server without pages reserves room; 0 means as many as it needs.
	CacheTokens int
	// Exact identifies the engine's complete settings: only earlier runs with the same value count as the same
	// configuration.
	Exact string
	// Chunk bounds the prompt tokens of one step of a server; 0 means the backend's default.
	Chunk  int
	Work   Work
	Around Around
	// Arrivals are the stretches of a load whose requests arrive by themselves, in order; empty without one. Work then
	// has the lengths of the requests, and the most in flight.
	Arrivals []Arrivals
	// Keys are the keys of a study that change the Setup, for what makes it fit.
	Keys Keys
}

// Keys name the keys of a study that set parts of a [Setup], each with its engine; empty if there is none.
type Keys struct {
	Batch, Parallel, Pool, PoolCache string
}

// set returns a part of a hint that names the key to set, or nothing without a key.
func set(key string, value int) string {
	if key == "" {
		return ""
	}
	return fmt.Sprintf(" (%s: %d)", key, value)
}

// Work is the workload: fixed prompts in batches.
type Work struct {
	Prompts int
	Batch   int // sequences per batch
	Input   int // prompt tokens, of the longest prompt if they differ
	Output  int // generated tokens
	// Padded reports that the prompts of a batch differ in length, so that attention needs a mask.
	Padded bool
}

// Around describes the parts of a run around the measured window.
type Around struct {
	BaselineSeconds float64 // idle, before the engine
	ResidentSeconds float64 // idle, with the model loaded
	WarmupRuns      int     // runs of a full batch and the smaller last one
	// WarmupSeconds bounds the time for the shapes of the workload before that; 0 if they are not run.
	WarmupSeconds float64
	MinWindow     float64 // seconds; a shorter workload is repeated
	// MaxWindow is the length in seconds to which the window may be lengthened for the split by phase; 0 if it may
	// not.
	MaxWindow float64
}

// Limits of what is estimated, far above real values, so that sums do not overflow.
const mostContext, mostTokens, mostDevices = 1 << 20, 1 << 32, 1 << 12

// Validate reports what cannot be estimated, or nil.
func (s Setup) Validate() error {
	var all []error
	if err := s.Model.Validate(); err != nil {
		all = append(all, err)
	}
	if s.Profile == nil && !slices.Contains(Backends(), s.Backend) {
		all = append(all, fmt.Errorf("backend %q cannot be estimated: use one of %s", s.Backend,
			strings.Join(Backends(), ", ")))
	}
	if s.Format != "" && !slices.Contains(Formats(), s.Format) {
		all = append(all, fmt.Errorf("unknown format %q: use one of %s", s.Format,
			strings.Join(names(Formats()), ", ")))
	}
	if s.Device.Bandwidth <= 0 || s.Device.Rate(s.format()) <= 0 {
		all = append(all, fmt.Errorf("device %q does not compute in %s", s.Device.Name, s.format()))
	}
	w := s.Work
	if w.Prompts < 1 || w.Batch < 1 || w.Input < 1 || w.Output < 1 || s.Parallel < 0 || s.Stages < 0 {
		all = append(all, fmt.Errorf(
			"%d prompts in batches of %d, %d tokens in, %d out on %d devices is not a workload",
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

// devices returns the total number of devices.
func (s Setup) devices() int { return s.parallel() * s.stages() }

// engine returns the profile of the backend.
func (s Setup) engine() profile {
	if s.Profile != nil {
		return profileFrom(*s.Profile)
	}
	return profileOf(s.Backend)
}

// profile returns the profile of the backend, with the overrides of the Setup.
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

// pool returns the memory that a server takes of the device at start; 0 if it takes what it needs, or a cache of a
// given size.
func (s Setup) pool() digits.Bytes {
	if s.PoolCache > 0 {
		return 0
	}
	return digits.Bytes(s.profile().pool * float64(s.Device.Memory))
}

// batch returns the size of a full batch: at most the number of prompts.
func (s Setup) batch() int { return min(s.Work.Batch, max(1, s.Work.Prompts)) }

// element returns the size of an activation in bytes.
func (s Setup) element() int64 { return int64(s.format().compute().bits()) / 8 }

// split divides work among the devices, rounding up.
func (s Setup) split(n int64) int64 { return (n + int64(s.parallel()) - 1) / int64(s.parallel()) }

// heads returns the number of query heads on one device.
func (s Setup) heads() int64 { return s.split(int64(s.Model.Heads)) }
