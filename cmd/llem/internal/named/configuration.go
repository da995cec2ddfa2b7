package named

import (
	"fmt"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/compare"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/nodes"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/result"
)

// Configuration is one configuration with its comparable runs, and what was left out.
type Configuration struct {
	compare.Side
	// Summary is the configuration over its cycles.
	Summary result.ExperimentSummary
	// Excluded are the runs that are not compared.
	Excluded []result.Exclusion
}

// ConfigurationOf finds one configuration with runs: a folder, or FOLDER:ID.
func ConfigurationOf(arg string, tell func(string)) (Configuration, error) {
	dir, id := Split(arg)
	s, err := Study(dir, tell)
	if err != nil {
		return Configuration{}, err
	}
	var found []result.ExperimentSummary
	for _, e := range s.Experiments {
		if strings.HasPrefix(e.ID, id) {
			found = append(found, e)
		}
	}
	if len(found) != 1 {
		what := dir + " has " + inWords(len(found))
		if id != "" {
			what = fmt.Sprintf("%s has %s whose id begins with %s", dir, inWords(len(found)), id)
		}
		var ids []string
		names := view.Naming(s)
		for _, e := range s.Experiments {
			ids = append(ids, e.ID+" ("+names.Label(e.Config)+")")
		}
		return Configuration{}, &Mistake{what,
			"name one as " + shell.Quote(dir+":ID") + ", of " + strings.Join(ids, ", ")}
	}
	runs, err := compare.SideOf(s, found[0].ID)
	if err != nil {
		return Configuration{}, err
	}
	runs.Machine = nodes.Machine(s.Dir)
	out := Configuration{runs, found[0], found[0].Excluded}
	if len(out.Runs) == 0 && len(out.Excluded) > 0 {
		x := out.Excluded[0]
		return out, &Mistake{fmt.Sprintf("%s has no run to compare: %s (%s)", arg, x.Message, x.Code), x.Next}
	}
	if len(out.Runs) == 0 {
		return out, &Mistake{arg + " has no run that was ok", "see why with: llem report " + shell.Path(dir)}
	}
	return out, nil
}

// inWords counts experiments in words.
func inWords(n int) string {
	if n == 0 {
		return "no experiment"
	}
	return digits.Count(n, "experiment")
}
