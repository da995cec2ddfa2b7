package measure

import (
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/about"
	"github.com/llenergymeasure/llem/study"
)

// SameEngine reports whether one engine can serve both experiments, one after the other, without loading its
// model again: they differ only in prompts, in what is measured around them, and in what the engine can
// change. An unknown engine cannot change anything.
func SameEngine(d engine.Descriptor, a, b study.Experiment) bool {
	var s Sharing
	return s.Same(d, a, b)
}

// Sharing is [SameEngine] for many experiments: it caches the sections. Its zero value is ready to use. It is
// not safe for concurrent use.
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
func (s *Sharing) Same(d engine.Descriptor, a, b study.Experiment) bool {
	return a.Backend == d.Name && s.lasting(d, a) == s.lasting(d, b)
}

// Loads returns what an engine is started for in an experiment: one engine can serve all experiments for
// which it is equal.
func (s *Sharing) Loads(d engine.Descriptor, e study.Experiment) study.Experiment {
	return s.lasting(d, e)
}

// lasting removes from an experiment what does not require a restart of the engine.
func (s *Sharing) lasting(d engine.Descriptor, e study.Experiment) study.Experiment {
	length, load := e.Workload.MaxContext(), e.Workload.Load
	e.RecordedID = "" // of results of an earlier version
	e.Workload, e.Decoding, e.Warmup, e.Baseline, e.Energy = study.Workload{}, study.Decoding{}, study.Warmup{},
		study.Baseline{}, study.Energy{}
	if d.Forget != nil && e.Backend == d.Name {
		f := s.forget(d, e)
		if f.anyLength {
			length, load = 0, study.Arrivals{}
		}
		e.Section = f.section
	}
	e.Workload.InputTokens = length // the KV cache is allocated when the engine starts
	if load.Trace != "" {           // the longest of these requests
		e.Workload.Load = study.Arrivals{Trace: load.Trace, Span: load.Span, MaxInput: load.MaxInput,
			MaxOutput: load.MaxOutput, Longer: load.Longer}
	}
	return e
}

// forget clears what the engine can change in an experiment's section.
func (s *Sharing) forget(d engine.Descriptor, e study.Experiment) forgotten {
	key := owned{e.Backend, e.Section}
	if f, ok := s.known[key]; ok {
		return f
	}
	f := forgotten{section: e.Section}
	if section, err := about.Read(&d, e.Section); err == nil {
		f.anyLength = d.Forget(section)
		f.section = engine.Encode(section)
	}
	if s.known == nil {
		s.known = map[owned]forgotten{}
	}
	s.known[key] = f
	return f
}
