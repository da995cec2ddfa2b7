package result

import (
	"slices"
)

// MemoryMethod says what a peak of memory is. Figures of different methods count
// different things and are not compared.
type MemoryMethod string

// Methods.
const (
	// MemoryAllocator: what the engine's own allocator held in tensors on the GPU.
	MemoryAllocator MemoryMethod = "allocator"
	// MemoryPool: the same of an engine that takes a pool at its start and fills it or not.
	MemoryPool MemoryMethod = "pool"
	// MemoryProcess: all that the engine's processes held on the GPU by the driver: CUDA
	// contexts, and pools that the engine takes whether it fills them or not, included.
	MemoryProcess MemoryMethod = "process"
	// MemoryDevice: the memory in use on the GPU, less that before the engine's start.
	MemoryDevice MemoryMethod = "device"
	// MemoryRSS: host memory that is resident.
	MemoryRSS MemoryMethod = "rss"
	// MemorySimulated: that of an engine which does not exist.
	MemorySimulated MemoryMethod = "simulated"
	// MemoryMixed: not the same in all runs of a configuration.
	MemoryMixed MemoryMethod = "mixed"
	// MemoryOther: what an engine says in words of its own.
	MemoryOther MemoryMethod = "engine"
)

// poolSource is what vLLM's worker says of its peak.
const poolSource = "torch.cuda.max_memory_allocated, with the pool of the KV cache"

// MethodOf is the method behind what an engine says of its own memory.
func MethodOf(source string) MemoryMethod {
	switch source {
	case "":
		return ""
	case "torch.cuda.max_memory_allocated":
		return MemoryAllocator
	case poolSource:
		return MemoryPool
	case "VmHWM", "VmHWM of all ranks":
		return MemoryRSS
	case "simulated":
		return MemorySimulated
	}
	return MemoryOther
}

// By is the method of PeakBytes, also of a record of an earlier version, which has its
// source alone; empty without a peak.
func (m Memory) By() MemoryMethod {
	switch {
	case m.PeakBytes == nil:
		return ""
	case m.Method != "":
		return m.Method
	}
	return MethodOf(m.PeakSource)
}

// MethodOf is the method behind a metric of a record; empty for one that has none.
func (m MetricInfo) MethodOf(r *Record) MemoryMethod {
	switch m.Name {
	case "memory.peak_bytes":
		return r.Memory.By()
	case "memory.process_peak_bytes":
		return r.Memory.ProcessMethod
	}
	return ""
}

// Method is the method behind a metric of the configuration; empty for one that has none.
func (e *ExperimentSummary) Method(metric string) MemoryMethod {
	switch metric {
	case "memory.peak_bytes":
		return e.MemoryMethod
	case "memory.process_peak_bytes":
		return e.ProcessMethod
	}
	return ""
}

// Methods are those behind a metric in all configurations, each once. Figures of several
// are not compared.
func (s *StudyResult) Methods(metric string) []MemoryMethod {
	var out []MemoryMethod
	for i := range s.Experiments {
		if m := s.Experiments[i].Method(metric); m != "" && !slices.Contains(out, m) {
			out = append(out, m)
		}
	}
	slices.Sort(out)
	return out
}
