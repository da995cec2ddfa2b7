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

// Needs is what the runs of a study need on a machine.
type Needs struct {
	// Known are the engines for which the study was read; nil means all engines of this program.
	Known engine.Descriptors
	// Engines are the distinct names of the engines, in the order of the study.
	Engines []string
	// GPU reports whether a run may use a GPU, Power whether a run measures energy.
	GPU, Power bool
	// Server reports whether a run has a server, which is driven by a client.
	Server bool
	// Simulated reports whether all runs are on a simulated GPU.
	Simulated bool
	// Remotes are the distinct metrics pages.
	Remotes []string
}

// Pages returns the metrics pages that a run would read.
func (n Needs) Pages() []string {
	if !n.Power || n.Simulated {
		return nil
	}
	return n.Remotes
}

// Unreadable returns the metrics pages that the study names and that cannot be used at all, as found when the
// sensors were opened. They are reported before the study starts.
func (n Needs) Unreadable(missing []power.Unavailable) []power.Unavailable {
	if len(n.Pages()) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(missing), func(u power.Unavailable) bool {
		// A device of a page has its name after the name of the source.
		return u.Source != "remote" && !strings.HasPrefix(u.Source, "remote.") || strings.Contains(u.Source, " ")
	})
}

// withoutPage is the alternative if a page cannot be read.
const withoutPage = "; or remove energy.remote"

// pages returns an error if the study's metrics pages cannot be used.
func (n Needs) pages(missing []power.Unavailable) error {
	var errs []error
	for _, u := range n.Unreadable(missing) {
		errs = append(errs, note.Failf(codes.ClassConfig, RemoteFix(u), "energy.remote: %s", u.Message))
	}
	return errors.Join(errs...)
}

// RemoteFix returns the next step for a metrics page that cannot be used.
func RemoteFix(u power.Unavailable) string {
	return strings.TrimPrefix(u.Next+withoutPage, "; or ")
}

// NeedsOf collects the needs of a study's experiments.
func NeedsOf(s *study.Study) Needs {
	n := Needs{Known: s.Engines, Simulated: len(s.Experiments) > 0}
	for i := range s.Experiments {
		e := &s.Experiments[i]
		if !slices.Contains(n.Engines, e.Backend) {
			n.Engines = append(n.Engines, e.Backend)
		}
		d := s.Engine(e.Backend)
		n.GPU = n.GPU || about.MayUseGPU(&d, e.Section)
		n.Server = n.Server || about.Serves(&d, e.Section)
		n.Power = n.Power || e.Energy.Sources != "none"
		n.Simulated = n.Simulated && d.Simulated
		if r := e.Energy.Remote; r != "" && !slices.Contains(n.Remotes, r) {
			n.Remotes = append(n.Remotes, r)
		}
	}
	return n
}
