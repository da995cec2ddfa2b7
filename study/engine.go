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
	var s Sharing
	return s.Same(d, a, b)
}

// Sharing is [SameEngine] for many experiments: it remembers what a section says. Its zero
// value is ready. It must not be used by several goroutines at once.
type Sharing struct {
	known map[owned]forgotten
}

// owned is a section of an engine.
type owned struct {
	backend string
	section engine.JSON
}

// forgotten is a section without what the engine can change.
type forgotten struct {
	section   engine.JSON
	anyLength bool
}

// Same is [SameEngine].
func (s *Sharing) Same(d engine.Descriptor, a, b Experiment) bool {
	return a.Backend == d.Name && s.lasting(d, a) == s.lasting(d, b)
}

// lasting drops from an experiment what an engine need not be started again for.
func (s *Sharing) lasting(d engine.Descriptor, e Experiment) Experiment {
	length := e.Workload.InputTokens + e.Workload.OutputTokens
	e.Workload, e.Decoding, e.Warmup, e.Baseline, e.Energy = Workload{}, Decoding{}, Warmup{}, Baseline{}, Energy{}
	if d.Forget != nil && e.Backend == d.Name {
		f := s.forget(d, e)
		if f.anyLength {
			length = 0
		}
		e.Section = f.section
	}
	e.Workload.InputTokens = length // the KV cache is laid out when the engine starts
	return e
}

// forget clears in an experiment's section what the engine can change.
func (s *Sharing) forget(d engine.Descriptor, e Experiment) forgotten {
	key := owned{e.Backend, e.Section}
	if f, ok := s.known[key]; ok {
		return f
	}
	f := forgotten{section: e.Section}
	if section, err := d.Read(e.Section); err == nil {
		f.anyLength = d.Forget(section)
		f.section = engine.Encode(section)
	}
	if s.known == nil {
		s.known = map[owned]forgotten{}
	}
	s.known[key] = f
	return f
}
