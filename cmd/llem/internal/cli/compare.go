package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/cmd/llem/internal/exchange"
	"github.com/llenergymeasure/llem/cmd/llem/internal/loads"
	"github.com/llenergymeasure/llem/cmd/llem/internal/named"
	"github.com/llenergymeasure/llem/cmd/llem/internal/report"
	"github.com/llenergymeasure/llem/cmd/llem/internal/versus"
	"github.com/llenergymeasure/llem/internal/compare"
	"github.com/llenergymeasure/llem/study"
)

// newCompare compares two configurations.
func newCompare(env *Env) *cobra.Command {
	var asJSON bool
	var o compare.Options
	var slo, format string
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
			"Numbers of others (llem import; DIR:2 is the second) are set beside, without a verdict.\n\n" +
			"Configurations with a load (workload.load) are compared at all their loads: FOLDER, or\n" +
			"FOLDER:KEY=VALUE of several configurations. Points of one rate are paired, and the answer\n" +
			"names the load of each that takes the least energy per good token within the objective of\n" +
			"the studies or of --slo (docs/load.md).",
		Example: "  llem compare results/batches:3fa9 :c01b\n" +
			"  llem compare results/serving:dtype=float16 :dtype=fp8 --slo ttft=500ms\n" +
			"  llem compare results/batches:3fa9 :c01b --metric TTFT\n" +
			"  llem compare results/bf16-20260101T120000Z results/int8-20260101T130000Z",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return &usageError{"compare takes two configurations", "give two folders, or FOLDER:ID twice"}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if !slices.Contains(formats, format) {
				return &usageError{fmt.Sprintf("--format %s is unknown", format), "use one of " +
					strings.Join(formats, ", ")}
			}
			if asJSON {
				format = "json"
			}
			if beside, err := exchange.Compare(args[0], args[1], env.tell); beside != nil || err != nil {
				return env.printImported(beside, err, format == "json")
			}
			if found, err := env.compareLoads(args[0], args[1], slo, o); found != nil || err != nil {
				return env.printCompared(found, format, err)
			}
			c, err := env.compare(args[0], args[1], o)
			return env.printCompared(c, format, err)
		},
	}
	cmd.Flags().StringVar(&o.Primary, "metric", "",
		"the metric that the answer is about (default J/out; llem report --metrics lists all)")
	cmd.Flags().BoolVar(&o.All, "all", false, "compare all metrics, not the main ones: each is tested more strictly")
	cmd.Flags().StringVar(&slo, "slo", "", "compare the cheapest loads within another objective, such as "+
		"ttft=500ms,tpot=50ms (also e2e=10s, attainment=0.99), judged from the stored requests")
	cmd.Flags().StringVar(&format, "format", "text", "text, md (Markdown), csv or json")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the comparison as one JSON document")
	completeMetrics(cmd, "metric")
	return cmd
}

// compared is a comparison that can be printed.
type compared interface {
	Markdown(w io.Writer) error
	CSV(w io.Writer) error
	Text(t report.Terminal, w io.Writer) error
}

// printCompared prints a comparison in a format.
func (env *Env) printCompared(c compared, format string, err error) error {
	switch {
	case err != nil:
		return err
	case format == "json":
		return env.printJSON(c)
	case format == "md":
		return c.Markdown(env.Stdout)
	case format == "csv":
		return c.CSV(env.Stdout)
	}
	return c.Text(env.terminal(), env.pasted(env.Stdout))
}

// compareLoads compares two configurations at their loads; it returns nil if the arguments name others.
func (env *Env) compareLoads(a, b, objective string, o compare.Options) (compared, error) {
	var slo study.SLO
	if objective != "" {
		var err error
		if slo, err = loads.ParseSLO(objective); err != nil {
			return nil, err
		}
	}
	if err := nameMetrics(&o.Primary); err != nil {
		return nil, err
	}
	sides, err := versus.Find(a, b, slo, env.tell)
	if sides == nil || err != nil {
		return nil, err
	}
	found, err := versus.Of(sides[0], sides[1], versus.Options{Primary: o.Primary, All: o.All})
	if err != nil {
		return nil, comparisonError(err)
	}
	return report.VersusOf(found, sides[0], sides[1]), nil
}

// comparisonError adds the next step to an error of a comparison.
func comparisonError(err error) error {
	same, common := errors.AsType[*compare.SameError](err)
	switch {
	case common:
		return &usageError{same.Error(), same.NextStep()}
	case errors.Is(err, compare.ErrNothing):
		return &usageError{err.Error(), "compare configurations with runs that were ok"}
	case errors.Is(err, compare.ErrPrimary):
		return &usageError{err.Error(), "name another with --metric, or leave it out"}
	}
	return err
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
	if err != nil {
		return nil, comparisonError(err)
	}
	return &report.Comparison{Comparison: found, Pair: report.Pair{
		A: report.Sides(first.Runs), B: report.Sides(second.Runs),
		Differ:    report.Differing(first.Runs[0].Config, second.Runs[0].Config),
		ExcludedA: first.Excluded, ExcludedB: second.Excluded}}, nil
}
