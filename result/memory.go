package result

import (
	"slices"
)

// MemoryMethod is what a peak of memory counts. Numbers of different methods are not compared.
type MemoryMethod string

// Methods of measuring memory.
const (
	// MemoryAllocator: the engine's allocator, tensors on the GPU.
	MemoryAllocator MemoryMethod = "allocator"
	// MemoryPool: the allocator of an engine that reserves a pool at its start.
	MemoryPool MemoryMethod = "pool"
	// MemoryProcess: all GPU memory of the engine's processes by the driver, including CUDA contexts and
	// reserved pools.
	MemoryProcess MemoryMethod = "process"
	// MemoryDevice: the memory in use on the GPU, minus the memory in use before the engine's start.
	MemoryDevice MemoryMethod = "device"
	// MemoryRSS: resident host memory.
	MemoryRSS MemoryMethod = "rss"
	// MemorySimulated: the memory of a simulated engine.
	MemorySimulated MemoryMethod = "simulated"
	// MemoryMixed: the runs of a configuration differ in the method.
	MemoryMixed MemoryMethod = "mixed"
	// MemoryOther: a source that only the engine explains.
	MemoryOther MemoryMethod = "engine"
)

// poolSource is the source of the peak of vLLM's worker.
const poolSource = "torch.cuda.max_memory_allocated, with the pool of the KV cache"

// MethodOf returns the method of an engine's source of its memory.
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

// By returns the method of PeakBytes. A record of an earlier version only has the source; empty without a
// peak.
func (m Memory) By() MemoryMethod {
	switch {
	case m.PeakBytes == nil:
		return ""
	case m.Method != "":
		return m.Method
	}
	return MethodOf(m.PeakSource)
}

// MethodOf returns the method of a metric of a record; empty if it has none.
func (m MetricInfo) MethodOf(r *Record) MemoryMethod {
	switch m.Name {
	case "memory.peak_bytes":
		return r.Memory.By()
	case "memory.process_peak_bytes":
		return r.Memory.ProcessMethod
	}
	return ""
}

// Method returns the method of a metric of the configuration; empty if it has none.
func (e *ExperimentSummary) Method(metric string) MemoryMethod {
	switch metric {
	case "memory.peak_bytes":
		return e.MemoryMethod
	case "memory.process_peak_bytes":
		return e.ProcessMethod
	}
	return ""
}

// Methods returns the distinct methods of a metric over all configurations. Numbers of different methods are
// not compared.
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
