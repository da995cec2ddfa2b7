package embedded

import (
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
)

// Descriptor is what the program knows about this engine.
func Descriptor() engine.Descriptor {
	return engine.Descriptor{
		Name: Name, Title: "the embedded engine", Summary: "ggml inside of llem, on the CPU",
		Section: func() engine.Section { return &Section{BatchSize: 1, PrefillChunk: defaultChunk} },
		Settle:  settle,
		GGUF:    true, Reads: Reads, Greedy: true, DType: "float16",
		GPU:     func(engine.Section) bool { return false },
		Program: "llem",
		Profile: profile(),
		New:     func(engine.Env) backend.Backend { return Backend{} },
	}
}

// settle fills in the batch size and, where the study leaves them open, the threads.
func settle(section engine.Section, batch, threads int) {
	s := section.(*Section)
	s.BatchSize = batch
	if s.Threads == 0 {
		s.Threads = threads
	}
}

// profile has the rates of the processor beside it; see internal/estimate.
func profile() *engine.Profile {
	return &engine.Profile{Memory: engine.MemoryGGML, GGML: true, CacheMoves: 1, Start: 0.2, LoadRate: 3e9,
		Fitted: true}
}
