package fake

import (
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/shape"
	"github.com/llenergymeasure/llem/internal/sim"
)

// The imagined accelerator is of the class of an H200: round numbers that are partly reached, and the power of a
// real one at work.
const (
	memoryBytesPerS = 3.4e12 // of 4.8e12
	prefillFLOPs    = 450e12 // per second, of 990e12
	decodeFLOPs     = 200e12
	launch          = 1e-3 // seconds per step that no arithmetic hides

	idleW   = 125 // idle with a model
	staticW = 210 // while a step runs, before any memory access or computation
	memoryW = 240 // additional while it reads memory
	matrixW = 430 // additional while it computes
)

// engineOptions returns the options of an engine for a model of this shape.
func engineOptions(c shape.Config, spec backend.Spec, o settings) sim.EngineOptions {
	weights, _ := c.EstimateBytes(spec.DType, 1, 1)
	_, cache := c.EstimateBytes(spec.DType, 1, 1024)
	flops := 2 * float64(c.Parameters().Active)

	t := sim.Times{
		Weights: launch + float64(weights)/memoryBytesPerS,
		Prefill: flops / prefillFLOPs,
		Decode:  flops / decodeFLOPs,
		Cache:   float64(cache) / 1024 / memoryBytesPerS,
	}
	m := sim.Model{
		BareW: sim.CardBareW, IdleW: idleW, StaticW: staticW,
		WeightsJ: (t.Weights - launch) * memoryW,
		PrefillJ: t.Prefill * matrixW, DecodeJ: t.Decode * matrixW, CacheJ: t.Cache * memoryW,
		Noise: 0.02, NoiseBlock: 5 * time.Millisecond, NoiseRho: 0.8, Rise: 3 * time.Millisecond,
		Load: 300 * time.Millisecond,
	}
	for _, term := range []*float64{&t.Weights, &t.Prefill, &t.Decode, &t.Cache, &m.WeightsJ, &m.PrefillJ, &m.DecodeJ,
		&m.CacheJ} {
		*term /= o.Speed
	}
	m.Time = t
	_, all := c.EstimateBytes(spec.DType, o.BatchSize, spec.MaxContext)
	return sim.EngineOptions{
		Model: m, Batching: o.Batching, BatchSize: o.BatchSize, ChunkTokens: 512 + o.BatchSize, Seed: spec.Seed,
		PrefixCache: o.PrefixCache == engine.On,
		Memory:      weights + all,
	}
}
