package study

import "github.com/llenergymeasure/llem/engine"

// conflict finds values that do not fit together, or nil.
func (k *keys) conflict(s *settings) *engine.Conflict {
	if s.preset == presetGreedy && s.Decoding.Temperature > 0 {
		return engine.Conflictf("decoding.temperature", "leave one of them out",
			"decoding.preset greedy is temperature 0, but decoding.temperature is %g", s.Decoding.Temperature)
	}
	own := k.sections[s.Backend]
	own.load(s)
	return own.descriptor.Conflicts(own.bound, engine.Job{DType: s.DType, Synthetic: s.Workload.Dataset == "synthetic",
		InputTokens: s.Workload.InputTokens, OutputTokens: s.Workload.OutputTokens, WarmupRuns: s.Warmup.Runs,
		Concurrency: s.Workload.Concurrency, Temperature: s.Decoding.Temperature})
}
