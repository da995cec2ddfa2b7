package study

// When an engine is started anew.
const (
	// RestartNeeded lets an engine serve runs that follow each other and differ only
	// in what it can change while its model stays loaded.
	RestartNeeded = "needed"
	// RestartAlways gives every run an engine of its own, so that the spread between
	// runs holds what differs between two starts.
	RestartAlways = "always"
)

// SameEngine says whether one engine can serve both experiments, one after the other,
// without loading its model again: they differ only in prompts, in what is measured
// around them, and where the engine can change it in batch size, length, chunks of
// prefill and the kind of cache.
func SameEngine(a, b Experiment) bool { return a.engine() == b.engine() }

// engine is what an engine has to be started anew for.
func (e Experiment) engine() settings {
	s := settings{Experiment: e}
	length := e.Workload.InputTokens + e.Workload.OutputTokens
	s.Workload, s.Decoding, s.Warmup, s.Baseline, s.Energy = Workload{}, Decoding{}, Warmup{}, Baseline{}, Energy{}
	s.Embedded, s.PyTorch, s.VLLM, s.SGLang, s.TensorRT, s.LlamaCpp, s.Fake = nil, nil, nil, nil, nil, nil, nil
	switch e.Backend {
	case PyTorch:
		s.pytorch = *e.PyTorch
		s.pytorch.BatchSize, s.pytorch.PrefillChunkSize = 0, 0
		if s.pytorch.Compile == "" { // compiled code and graphs stay in memory
			s.pytorch.CacheImplementation = ""
		}
		return s
	case Fake: // it only passes the time
		return s
	case Embedded:
		s.embedded = *e.Embedded
	case VLLM:
		s.vllm = *e.VLLM
	case SGLang:
		s.sglang = *e.SGLang
	case TensorRT:
		s.tensorrt = *e.TensorRT
	case LlamaCpp:
		s.llamacpp = *e.LlamaCpp
	}
	s.Workload.InputTokens = length // the KV cache is laid out when the engine starts
	return s
}
