package study

import (
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/about"
	"github.com/llenergymeasure/llem/internal/study/keys"
)

// conflict finds values that do not fit together, or nil.
func (k *table) conflict(v keys.Values, e *Experiment) *engine.Conflict {
	if k.preset.Get(v).Text == presetGreedy && e.Decoding.Temperature > 0 {
		return engine.Conflictf("decoding.temperature", "leave one of them out",
			"decoding.preset greedy is temperature 0, but decoding.temperature is %g", e.Decoding.Temperature)
	}
	own := k.sections[e.Backend]
	return about.Conflicts(own.descriptor, own.bound,
		engine.Job{DType: e.DType, Synthetic: e.Workload.Dataset == "synthetic",
			InputTokens: e.Workload.InputTokens, OutputTokens: e.Workload.OutputTokens, WarmupRuns: e.Warmup.Runs,
			Concurrency: e.Workload.Concurrency, Temperature: e.Decoding.Temperature})
}
