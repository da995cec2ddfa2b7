package fake

import (
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/sim"
)

// Descriptor is what the program knows about this engine.
func Descriptor() engine.Descriptor {
	return engine.Descriptor{
		Name: Name, Title: "the simulated engine", Summary: "a simulated GPU",
		Section: func() engine.Section { return &Section{BatchSize: 1, Batching: sim.Static, Speed: 1} },
		// It only passes the time.
		Forget: func(s engine.Section) bool {
			*s.(*Section) = Section{}
			return true
		},
		Settle: func(s engine.Section, batch, _ int) { s.(*Section).BatchSize = batch },
		Greedy: true, Simulated: true,
		GPU: func(engine.Section) bool { return false },
		New: func(e engine.Env) backend.Backend { return Backend{Simulation: e.Simulation} },
	}
}
