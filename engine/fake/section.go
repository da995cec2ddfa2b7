package fake

import "github.com/llenergymeasure/llem/engine"

// settings holds the settings of the simulated engine in a study; [settings.Fields] describes each.
type settings struct {
	// BatchSize is the number of sequences per batch.
	BatchSize int
	// Batching is static or continuous.
	Batching string
	// Speed divides the duration of every step.
	Speed float64
	// PrefixCache keeps what was computed of common prompt beginnings.
	PrefixCache engine.Toggle
}

// Fields implements engine.Section.
func (s *settings) Fields() []engine.Field {
	return []engine.Field{
		engine.Whole(&s.BatchSize, "batch_size", 1, 4096, "sequences per batch"),
		engine.Choice(&s.Batching, "batching", "whether the place of a finished sequence is refilled at once", "static",
			"continuous"),
		engine.Number(&s.Speed, "speed", 0.01, 100, "divides the duration of every step"),
		engine.Switch(&s.PrefixCache, "prefix_cache",
			"keep the cache of common prompt beginnings within a run").Optional(),
	}
}
