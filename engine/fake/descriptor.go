package fake

import (
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/sim"
)

// Descriptor describes the engine to the program.
func Descriptor() engine.Descriptor {
	return engine.Descriptor{
		Name: name, Title: "the simulated engine", Summary: "a simulated GPU",
		Lacks: map[string]string{"lora": "the simulated engine has no weights to add an adapter to"},
		Decoding: map[string]string{"temperature": "no setting changes anything: it computes no tokens", "top_p": "",
			"top_k": "", "seed": "", "min_p": "", "repetition_penalty": ""},
		Section:  func() engine.Section { return &settings{BatchSize: 1, Batching: sim.Static, Speed: 1} },
		Conflict: conflict,
		// The engine only passes the time.
		Forget: func(s engine.Section) bool {
			*s.(*settings) = settings{}
			return true
		},
		Settle:    func(s engine.Section, batch, _ int) { s.(*settings).BatchSize = batch },
		Simulated: true,
		Schedules: func(s engine.Section) bool { return s.(*settings).Batching == sim.Continuous },
		GPU:       func(engine.Section) bool { return false },
		Profile:   profile(),
		New:       func(e engine.Env) backend.Backend { return launcher{Simulation: e.Simulation} },
	}
}

// conflict returns values that do not fit together, or nil.
func conflict(section engine.Section, _ engine.Job) *engine.Conflict {
	if s := section.(*settings); s.PrefixCache == engine.On && s.Batching != sim.Continuous {
		return engine.Conflictf("fake.prefix_cache", "set fake.batching: continuous",
			"fake.prefix_cache has no effect with fake.batching static: the prompts of a batch are computed together")
	}
	return nil
}

// profile is for tests only: an engine that computes nothing is not estimated.
func profile() *engine.Profile {
	return &engine.Profile{Step: 1e-3, Elementwise: 0.25, CacheMoves: 1, Start: 0.3, LoadRate: 1e12}
}
