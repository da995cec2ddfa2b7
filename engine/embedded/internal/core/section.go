package core

import "github.com/llenergymeasure/llem/engine"

// Section holds the settings of the embedded engine in a study; [Section.Fields] describes each.
type Section struct {
	// BatchSize is the number of sequences decoded together.
	BatchSize int
	// Threads is the number of engine threads; 0 is one per usable physical core.
	Threads int
	// PrefillChunk is the maximum number of prompt tokens in one engine step.
	PrefillChunk int
}

// Fields implements engine.Section.
func (s *Section) Fields() []engine.Field {
	return []engine.Field{
		engine.Whole(&s.BatchSize, "batch_size", 1, 4096, "sequences per batch"),
		engine.Whole(&s.Threads, "threads", 0, 4096,
			"threads of the engine; 0 is one per usable physical core").OfMachine(),
		engine.Whole(&s.PrefillChunk, "prefill_chunk", 1, 1<<20, "maximum number of prompt tokens in one engine step"),
	}
}
