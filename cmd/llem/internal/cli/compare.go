package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/cmd/llem/internal/exchange"
	"github.com/llenergymeasure/llem/cmd/llem/internal/named"
	"github.com/llenergymeasure/llem/cmd/llem/internal/report"
	"github.com/llenergymeasure/llem/internal/compare"
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
			"Runs from several machines are compared within each; sides that share none get no verdict.\n" +
			"Numbers of others (llem import; DIR:2 is the second) are set beside, without a verdict.",
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
			if beside, err := exchange.Compare(args[0], args[1], env.tell); beside != nil || err != nil {
				return env.printImported(beside, err, asJSON)
			}
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

func (env *Env) compare(a, b string, o compare.Options) (*report.Comparison, error) {
	if err := nameMetrics(&o.Primary); err != nil {
		return nil, err
	}
	first, err := named.ConfigurationOf(a, env.tell)
	if err != nil {
		return nil, err
	}
	if dir, id := named.Split(b); dir == "" && id != "" { // in the folder of A
		dir, _ = named.Split(a)
		b = dir + ":" + id
	}
	second, err := named.ConfigurationOf(b, env.tell)
	if err != nil {
		return nil, err
	}
	found, err := compare.Sides(first.Side, second.Side, o)
	same, common := errors.AsType[*compare.SameError](err)
	switch {
	case common:
		return nil, &usageError{same.Error(), same.NextStep()}
	case errors.Is(err, compare.ErrNothing):
		return nil, &usageError{err.Error(), "compare configurations with runs that were ok"}
	case errors.Is(err, compare.ErrPrimary):
		return nil, &usageError{err.Error(), "name another with --metric, or leave it out"}
	case err != nil:
		return nil, err
	}
	return &report.Comparison{Comparison: found, A: report.Sides(first.Runs), B: report.Sides(second.Runs),
		Differ:    report.Differing(first.Runs[0].Config, second.Runs[0].Config),
		ExcludedA: first.Excluded, ExcludedB: second.Excluded}, nil
}
