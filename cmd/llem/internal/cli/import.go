package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/cmd/llem/internal/exchange"
	"github.com/llenergymeasure/llem/cmd/llem/internal/named"
	"github.com/llenergymeasure/llem/internal/foreign"
	"github.com/llenergymeasure/llem/internal/shell"
)

// newImport takes the numbers of others for comparison.
func newImport(env *Env) *cobra.Command {
	out, asJSON := "", false
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Take results of aiperf, vllm bench, guidellm and others for comparison",
		Long: "Take the numbers of files of other benchmarks, as these programs wrote them, to a folder that llem\n" +
			"report prints and llem compare sets beside a configuration:\n\n" +
			"  AIPerf             profile_export_aiperf.json\n" +
			"  vllm bench serve   the file of --save-result or --append-result\n" +
			"  GuideLLM           benchmarks.json\n" +
			"  optimum-benchmark  benchmark.json or benchmark_report.json\n" +
			"  MLPerf Endpoints   result_summary.json of a point\n\n" +
			"They stay the numbers of others: marked as such everywhere, never pooled with runs of llem and\n" +
			"never on a Pareto front with them. Energy that a file does not state is null, with the reason.",
		Example: "  llem import benchmarks.json\n" +
			"  llem compare results/batches:3fa9 results/imported-20260101T120000Z",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{"import takes files of other benchmarks", "see `llem import --help`"}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			i, err := foreign.Import(args, firstOf(out, env.Getenv("LLEM_RESULTS"), "results"), time.Now())
			if err != nil {
				return err
			}
			env.tell("written to " + shell.Path(i.Dir))
			return env.printImported(i, nil, asJSON)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "folder for the new folder (default $LLEM_RESULTS, else ./results)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the numbers as one JSON document")
	return cmd
}

// printImported prints numbers of others, alone or beside a configuration.
func (env *Env) printImported(numbers any, err error, asJSON bool) error {
	switch n := numbers.(type) {
	case *exchange.Beside:
		if err == nil && !asJSON {
			return env.folded(n.Text(env.tableWidth()))
		}
	case *foreign.Imported:
		if err == nil && !asJSON {
			return env.folded(exchange.Text(n, env.tableWidth()))
		}
	}
	if err != nil {
		return err
	}
	return env.printJSON(numbers)
}

// verifyImported compares numbers of others with the files that they are from.
func (env *Env) verifyImported(dir string, asJSON bool) error {
	v, err := exchange.Verify(dir)
	switch {
	case err != nil:
		return err
	case asJSON:
		err = env.printJSON(v)
	default:
		err = env.folded(v.Text(env.tableWidth()))
	}
	if err == nil && !v.Match {
		err = errDiffer
	}
	return err
}

// exchange writes runs in the format of another benchmark, or prints numbers of others.
func (env *Env) exchange(dir string, f reportFlags, write bool) error {
	if !write {
		if f.format != formats[0] || f.html != "" || f.best != "" || f.sort != "" || len(f.pareto)+len(f.chart) > 0 {
			return &usageError{dir + " holds numbers of others: they have no order, front, chart or page",
				fmt.Sprintf("use llem report %s, with --json or without", shell.Path(dir))}
		}
		i, err := foreign.Open(dir)
		return env.printImported(i, err, f.json)
	}
	e := exchange.Export{Format: foreign.Format(f.format), Out: f.out, Stdout: env.Stdout, Tell: env.tell}
	one, err := named.Run(dir, env.tell)
	switch {
	case err != nil:
		return err
	case one != nil:
		e.Study, e.RunDir = one.Study(), one.Dir
		return e.Write()
	}
	if e.Study, err = env.open(dir); e.Study == nil {
		return err
	}
	return errors.Join(e.Write(), err)
}
