package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/cmd/llem/internal/report"
	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/compare"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/nodes"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/result"
)

// newCompare compares two configurations.
func newCompare(env *Env) *cobra.Command {
	var asJSON bool
	var o compare.Options
	cmd := &cobra.Command{
		Use:   "compare A B",
		Short: "Compare two configurations: ratios, confidence intervals, p-values",
		Long: "Compare configuration B with A, metric by metric. Each is the folder of a study with a single\n" +
			"configuration, or FOLDER:ID (the first digits of the id are enough); B may be\n" +
			":ID, in the folder of A.\n\n" +
			"The answer is about one metric (--metric), which is tested alone. The other p-values are\n" +
			"corrected for the number of metrics. Each line shows the smallest difference that so many\n" +
			"runs can detect; more cycles detect smaller ones. Runs of one study are compared in pairs\n" +
			"where the runs of a cycle followed each other (any execution.order but sequential), which\n" +
			"removes drift. Otherwise the interval is widened where successive runs are correlated.\n" +
			"Runs from several machines are compared within each; sides that share none get no verdict.",
		Example: "  llem compare results/batches:3fa9 :c01b\n" +
			"  llem compare results/batches:3fa9 :c01b --metric TTFT\n" +
			"  llem compare results/bf16-20260101T120000Z results/int8-20260101T130000Z",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return &usageError{"compare takes two configurations", "give two folders, or FOLDER:ID twice"}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := env.compare(args[0], args[1], o)
			if err != nil {
				return err
			}
			if asJSON {
				return env.printJSON(c)
			}
			return env.terminal().Comparison(env.pasted(env.Stdout), c)
		},
	}
	cmd.Flags().StringVar(&o.Primary, "metric", "",
		"the metric that the answer is about (default J/out; llem report --metrics lists all)")
	cmd.Flags().BoolVar(&o.All, "all", false, "compare all metrics, not the main ones: each is tested more strictly")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the comparison as one JSON document")
	return cmd
}

// side is one configuration with its comparable runs, and what was left out.
type side struct {
	compare.Side
	excluded []result.Exclusion
}

func (env *Env) compare(a, b string, o compare.Options) (*report.Comparison, error) {
	if err := nameMetrics(&o.Primary); err != nil {
		return nil, err
	}
	first, err := env.side(a)
	if err != nil {
		return nil, err
	}
	if dir, id := splitID(b); dir == "" && id != "" { // in the folder of A
		dir, _ = splitID(a)
		b = dir + ":" + id
	}
	second, err := env.side(b)
	if err != nil {
		return nil, err
	}
	found, err := compare.Sides(first.Side, second.Side, o)
	switch {
	case errors.Is(err, compare.ErrNothing):
		return nil, &usageError{err.Error(), "compare configurations with runs that were ok"}
	case errors.Is(err, compare.ErrPrimary):
		return nil, &usageError{err.Error(), "name another with --metric, or leave it out"}
	case err != nil:
		return nil, err
	}
	return &report.Comparison{Comparison: found, A: report.Sides(first.Runs), B: report.Sides(second.Runs),
		Differ:    report.Differing(first.Runs[0].Config, second.Runs[0].Config),
		ExcludedA: first.excluded, ExcludedB: second.excluded}, nil
}

// splitID returns the folder and the id of FOLDER:ID; a folder that exists has no id.
func splitID(arg string) (dir, id string) {
	if _, err := os.Stat(arg); err != nil {
		if i := strings.LastIndexByte(arg, ':'); i >= 0 {
			return arg[:i], arg[i+1:]
		}
	}
	return arg, ""
}

// side finds one configuration: a folder, or FOLDER:ID.
func (env *Env) side(arg string) (side, error) {
	dir, id := splitID(arg)
	s, err := env.open(dir)
	if err != nil {
		return side{}, err
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
		return side{}, &usageError{what, "name one as " + shell.Quote(dir+":ID") + ", of " + strings.Join(ids, ", ")}
	}
	runs, err := compare.SideOf(s, found[0].ID)
	if err != nil {
		return side{}, err
	}
	runs.Machine = nodes.Machine(s.Dir)
	out := side{runs, found[0].Excluded}
	if len(out.Runs) == 0 && len(out.excluded) > 0 {
		x := out.excluded[0]
		return side{}, &usageError{fmt.Sprintf("%s has no run to compare: %s (%s)", arg, x.Message, x.Code), x.Next}
	}
	if len(out.Runs) == 0 {
		return side{}, &usageError{arg + " has no run that was ok", "see why with: llem report " + shell.Path(dir)}
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
