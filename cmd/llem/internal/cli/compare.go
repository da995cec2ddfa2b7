package cli

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/cmd/llem/internal/report"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/result"
)

// newCompare holds two configurations against each other.
func newCompare(env *Env) *cobra.Command {
	var asJSON, all bool
	cmd := &cobra.Command{
		Use:   "compare A B",
		Short: "Hold two configurations against each other: ratios with intervals, and whether chance explains them",
		Long: "Hold configuration B against A, number by number. Each is a study's folder with a single\n" +
			"experiment, or FOLDER:ID (the first digits of the id do). Two experiments of one study are\n" +
			"compared cycle by cycle.\n\n" +
			"p is the chance of such a difference or a larger one if there were none (permutation test),\n" +
			"corrected for the number of metrics (Holm).",
		Example: "  llem compare results/bf16-20260101T120000Z results/int8-20260101T130000Z\n" +
			"  llem compare results/batches:3fa9 results/batches:c01b",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return &usageError{"compare takes two configurations", "give two folders, or FOLDER:ID twice"}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := env.compare(args[0], args[1], all)
			if err != nil {
				return err
			}
			if asJSON {
				return env.printJSON(c)
			}
			return env.terminal(false).Comparison(env.Stdout, c)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "compare all metrics, not the main ones: p is corrected for more of them")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the comparison as one JSON document")
	return cmd
}

// side is one configuration with its comparable runs, and what was left out.
type side struct {
	dir      string
	runs     []*result.Record
	excluded []result.Exclusion
}

// mainMetrics are compared by default. The more metrics, the larger p must be for
// any one of them.
var mainMetrics = []string{"energy.per_output_token_j", "energy.mean_w", "energy.phases.prefill.j_per_token",
	"energy.phases.decode.j_per_token",
	"throughput.output_tokens_per_s", "latency.ttft_ms.p50", "latency.itl_ms.p50", "memory.peak_bytes"}

func (env *Env) compare(a, b string, all bool) (*report.Comparison, error) {
	first, err := env.side(a)
	if err != nil {
		return nil, err
	}
	second, err := env.side(b)
	if err != nil {
		return nil, err
	}
	c := &report.Comparison{A: report.Line(first.runs[0]), B: report.Line(second.runs[0]),
		Differ:    report.Differing(first.runs[0].Config, second.runs[0].Config),
		Paired:    first.dir == second.dir,
		ExcludedA: first.excluded, ExcludedB: second.excluded}
	if first.runs[0].WorkloadHash != second.runs[0].WorkloadHash {
		c.Warnings = append(c.Warnings, "the two did not compute the same token ids: their workloads differ")
	}
	var p []float64
	own := len(c.Warnings)
	for _, m := range result.Metrics() {
		// Where the engines' own peaks differ in kind, those of their processes stand in.
		if !all && !slices.Contains(mainMetrics, m.Name) &&
			(len(c.Warnings) == own || m.Name != "memory.process_peak_bytes") {
			continue
		}
		if text := otherMethods(m, first.runs, second.runs); text != "" {
			c.Warnings = append(c.Warnings, text)
			continue
		}
		x, y := valuesOf(m, first.runs, second.runs, c.Paired)
		if len(x) == 0 || len(y) == 0 {
			continue
		}
		found, err := stats.Compare(x, y, c.Paired && len(x) == len(y), stats.Options{Seed: 1})
		if err != nil {
			return nil, fmt.Errorf("compare %s: %w", m.Name, err)
		}
		row := report.ComparedMetric{Name: m.Name, Unit: m.Unit, A: found.MeanA, B: found.MeanB, NA: len(x),
			NB: len(y), P: found.P}
		if !math.IsNaN(found.Ratio.Value) {
			row.Ratio = &found.Ratio.Value
		}
		if found.Ratio.HasInterval() {
			row.CI95 = &[2]float64{found.Ratio.Low, found.Ratio.High}
		}
		for _, caveat := range found.Caveats {
			row.Caveats = append(row.Caveats, caveat.Message)
		}
		c.Metrics, p = append(c.Metrics, row), append(p, found.P)
	}
	if len(c.Metrics) == 0 {
		return nil, &usageError{"the two have no number in common", "compare configurations with runs that were ok"}
	}
	adjusted, err := stats.Holm(p)
	if err != nil {
		return nil, fmt.Errorf("correct for the number of metrics: %w", err)
	}
	for i := range c.Metrics {
		c.Metrics[i].PAdjusted = adjusted[i]
	}
	return c, nil
}

// otherMethods says that a peak of memory is not the same thing on both sides.
func otherMethods(m result.MetricInfo, a, b []*result.Record) string {
	methods := func(runs []*result.Record) (out []string) {
		for _, r := range runs {
			if by := string(m.MethodOf(r)); by != "" && !slices.Contains(out, by) {
				out = append(out, by)
			}
		}
		slices.Sort(out)
		return out
	}
	x, y := methods(a), methods(b)
	if len(x) == 0 || len(y) == 0 || len(x) == 1 && slices.Equal(x, y) {
		return ""
	}
	return fmt.Sprintf("%s is not compared: it is measured by %s in A and by %s in B (see Memory in docs/metrics.md)",
		m.Name, strings.Join(x, ", "), strings.Join(y, ", "))
}

// valuesOf are a metric's values on both sides; paired ones are those of the cycles
// that both have.
func valuesOf(m result.MetricInfo, a, b []*result.Record, paired bool) (x, y []float64) {
	other := map[int]float64{}
	for _, r := range b {
		if v, ok := m.Value(r); ok {
			other[r.Cycle] = v
			if !paired {
				y = append(y, v)
			}
		}
	}
	for _, r := range a {
		v, ok := m.Value(r)
		if !ok {
			continue
		}
		if w, both := other[r.Cycle]; paired && both {
			x, y = append(x, v), append(y, w)
		} else if !paired {
			x = append(x, v)
		}
	}
	return x, y
}

// side finds one configuration: a folder, or FOLDER:ID.
func (env *Env) side(arg string) (side, error) {
	dir, id := arg, ""
	if _, err := os.Stat(arg); err != nil {
		if i := strings.LastIndexByte(arg, ':'); i > 0 {
			dir, id = arg[:i], arg[i+1:]
		}
	}
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
		what := fmt.Sprintf("%s has %d experiments", dir, len(found))
		if id != "" {
			what = fmt.Sprintf("%s has %d experiments whose id begins with %s", dir, len(found), id)
		}
		var ids []string
		names := report.Naming(s)
		for _, e := range s.Experiments {
			ids = append(ids, e.ID+" ("+names.Label(e.Config)+")")
		}
		return side{}, &usageError{what, "name one as " + dir + ":ID, of " + strings.Join(ids, ", ")}
	}
	out := side{dir: filepath.Clean(s.Dir), excluded: found[0].Excluded}
	for _, row := range s.Rows {
		if row.ID != found[0].ID || !row.Comparable() {
			continue
		}
		r, err := result.ReadRun(s.Dir, row.ID, row.Cycle)
		if err != nil {
			return side{}, err
		}
		out.runs = append(out.runs, r)
	}
	if len(out.runs) == 0 && len(out.excluded) > 0 {
		x := out.excluded[0]
		return side{}, &usageError{fmt.Sprintf("%s has no run to compare: %s (%s)", arg, x.Message, x.Code), x.Next}
	}
	if len(out.runs) == 0 {
		return side{}, &usageError{arg + " has no run that was ok", "see why with: llem report " + dir}
	}
	return out, nil
}
