package machine

import (
	"slices"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/study"
)

// Needs is what the runs of a study ask of a machine.
type Needs struct {
	// Known describes the engines that the study was read for; nil is all engines of this
	// program.
	Known engine.Descriptors
	// Engines are the names of the engines, each once, in the order of the study.
	Engines []string
	// GPU reports whether a run may use a GPU, Power whether a run measures energy.
	GPU, Power bool
	// Simulated reports whether all runs are on a GPU that does not exist.
	Simulated bool
	// Remotes are the metrics pages that are read, each once.
	Remotes []string
}

// NeedsOf goes through the experiments of a study once.
func NeedsOf(s *study.Study) Needs {
	n := Needs{Known: s.Engines, Simulated: len(s.Experiments) > 0}
	for i := range s.Experiments {
		e := &s.Experiments[i]
		if !slices.Contains(n.Engines, e.Backend) {
			n.Engines = append(n.Engines, e.Backend)
		}
		d := s.Engine(e.Backend)
		n.GPU = n.GPU || d.MayUseGPU(e.Section)
		n.Power = n.Power || e.Energy.Sources != "none"
		n.Simulated = n.Simulated && d.Simulated
		if r := e.Energy.Remote; r != "" && !slices.Contains(n.Remotes, r) {
			n.Remotes = append(n.Remotes, r)
		}
	}
	return n
}
