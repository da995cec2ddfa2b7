package machine

import (
	"errors"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/about"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
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

// Pages are the metrics pages that a run would read.
func (n Needs) Pages() []string {
	if !n.Power || n.Simulated {
		return nil
	}
	return n.Remotes
}

// Unreadable are the metrics pages that the study names and that cannot be used at all, as
// they were when the sensors were opened: they are not to be found out after a day.
func (n Needs) Unreadable(missing []power.Unavailable) []power.Unavailable {
	if len(n.Pages()) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(missing), func(u power.Unavailable) bool {
		// One device of a page has its name behind that of the source.
		return u.Source != "remote" && !strings.HasPrefix(u.Source, "remote.") || strings.Contains(u.Source, " ")
	})
}

// withoutPage is what to do if a page is not to be had.
const withoutPage = "; or leave energy.remote out"

// pages refuses a study whose metrics pages cannot be used.
func (n Needs) pages(missing []power.Unavailable) error {
	var errs []error
	for _, u := range n.Unreadable(missing) {
		errs = append(errs, note.Failf(codes.ClassConfig, RemoteFix(u), "energy.remote: %s", u.Message))
	}
	return errors.Join(errs...)
}

// RemoteFix is the next step for a metrics page that cannot be used.
func RemoteFix(u power.Unavailable) string {
	return strings.TrimPrefix(u.Next+withoutPage, "; or ")
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
		n.GPU = n.GPU || about.MayUseGPU(&d, e.Section)
		n.Power = n.Power || e.Energy.Sources != "none"
		n.Simulated = n.Simulated && d.Simulated
		if r := e.Energy.Remote; r != "" && !slices.Contains(n.Remotes, r) {
			n.Remotes = append(n.Remotes, r)
		}
	}
	return n
}
