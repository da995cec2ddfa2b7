package study

import "github.com/llenergymeasure/llem/engine"

// When an engine is started anew.
const (
	// RestartNeeded lets an engine serve runs that follow each other and differ only
	// in what it can change while its model stays loaded.
	RestartNeeded = "needed"
	// RestartAlways gives every run an engine of its own, so that the spread between
	// runs holds what differs between two starts.
	RestartAlways = "always"
)

// SameEngine reports whether one engine can serve both experiments, one after the other,
// without loading its model again: they differ only in prompts, in what is measured
// around them, and in what the engine can change. An engine that is not known cannot
// change anything.
func SameEngine(d engine.Descriptor, a, b Experiment) bool {
	x, y := lasting(d, a), lasting(d, b)
	return x == y && a.Backend == d.Name
}

// lasting drops from an experiment what an engine need not be started again for.
func lasting(d engine.Descriptor, e Experiment) Experiment {
	length := e.Workload.InputTokens + e.Workload.OutputTokens
	e.Workload, e.Decoding, e.Warmup, e.Baseline, e.Energy = Workload{}, Decoding{}, Warmup{}, Baseline{}, Energy{}
	if d.Forget != nil && e.Backend == d.Name {
		if s, err := d.Read(e.Section); err == nil {
			if d.Forget(s) {
				length = 0
			}
			e.Section = engine.Encode(s)
		}
	}
	e.Workload.InputTokens = length // the KV cache is laid out when the engine starts
	return e
}
