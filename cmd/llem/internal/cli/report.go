package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/cmd/llem/internal/loads"
	"github.com/llenergymeasure/llem/cmd/llem/internal/named"
	"github.com/llenergymeasure/llem/cmd/llem/internal/picture"
	"github.com/llenergymeasure/llem/cmd/llem/internal/recheck"
	"github.com/llenergymeasure/llem/cmd/llem/internal/report"
	"github.com/llenergymeasure/llem/cmd/llem/internal/screen"
	"github.com/llenergymeasure/llem/internal/foreign"
	"github.com/llenergymeasure/llem/internal/join"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/studies"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// reportFlags are the flags of llem report.
type reportFlags struct {
	html                           string // the file of the report as a page
	out                            string // the files in the format of another benchmark
	json, recompute, verbose, line bool
	cite                           bool
	metrics                        bool
	sort, format, best, slo        string
	where, pareto, columns, chart  []string
	limit, top                     int
}

// how returns how much of a result is printed.
func (f reportFlags) how() detail {
	switch {
	case f.cite:
		return sentences
	case f.line:
		return oneLine
	case f.verbose:
		return everything
	}
	return oneScreen
}

// usualChart are the metrics of --chart without names, across and upwards: as in `llem plot DIR pareto`.
const usualChart = "throughput.output_tokens_per_s,energy.per_output_token_j"

// formats of a report.
var formats = []string{"text", "md", "csv", "json"}

// allFormats are the formats, also of other benchmarks.
func allFormats() []string {
	out := slices.Clone(formats)
	for _, f := range foreign.Formats() {
		out = append(out, string(f))
	}
	return out
}

// newReport prints the results of an earlier study.
func newReport(env *Env) *cobra.Command {
	var f reportFlags
	cmd := &cobra.Command{
		Use:   "report [DIR[:ID]]",
		Short: "Print the results of a study, or recompute them from the raw files",
		Long: "Print the results of a study on one screen; -v prints everything. DIR is the\n" +
			"folder of a study (default: the newest study in $LLEM_RESULTS, else ./results),\n" +
			"or of one run: DIR/runs/ID-c1, DIR:ID or DIR:ID-c2 (the first digits of the id\n" +
			"are enough).\n\n" +
			"A metric is named by the head of its column (TTFT p99) or by its name in\n" +
			"result.json (latency.ttft_ms.p99); --metrics lists all.\n\n" +
			"With --recompute, compute every number again from the raw files of each run,\n" +
			"compare the files with their SHA-256 sums, and print what does not match.\n\n" +
			"Exit codes: 0 done, 1 a number does not match or a file cannot be read, 2 usage.",
		Example: "  llem report\n" +
			"  llem report results/batches --sort J/out --top 5\n" +
			"  llem report results/batches --best J/out --where 'TTFT p99<200'\n" +
			"  llem report results/batches --chart=TTFT,J/out\n" +
			"  llem report results/batches:3fa9 -v",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return &usageError{"report takes one folder", "give the folder that `llem run` printed"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(allFormats(), f.format) {
				return &usageError{fmt.Sprintf("--format %s is unknown", f.format),
					"use one of " + strings.Join(allFormats(), ", ")}
			}
			if f.format == "json" {
				f.json, f.format = true, formats[0]
			}
			switch {
			case f.metrics:
				return env.listMetrics(f.json)
			case f.limit < 0:
				return &usageError{"--limit is negative", "give a number of lines, or 0 for all"}
			case f.top < 0:
				return &usageError{"--top is negative", "give a number of configurations"}
			case f.recompute && f.slo != "":
				return &usageError{"--recompute and --slo exclude each other",
					"leave one of them out: --recompute checks the numbers of the study's own objective"}
			case f.top > 0 && cmd.Flags().Changed("limit"):
				return &usageError{"--top and --limit exclude each other", "leave one of them out"}
			}
			dir, err := env.reported(args)
			switch {
			case err != nil:
				return err
			case f.recompute:
				return env.recompute(dir, f)
			}
			return env.report(dir, f, cmd.Flags().Changed("limit"))
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.recompute, "recompute", false,
		"compute every number again from the raw files and say whether they match")
	flags.StringVar(&f.sort, "sort", "", "order by a metric, the best first, such as J/out")
	flags.IntVar(&f.limit, "limit", report.DefaultLimit,
		"maximum number of table lines; 0 is all (csv: default all)")
	flags.IntVar(&f.top, "top", 0, "show the N best by --sort, or by energy per output token")
	flags.StringSliceVar(&f.pareto, "pareto", nil,
		"compute the Pareto front of these metrics, such as J/out,\"TTFT p99\"; default: J/out,tok/s")
	flags.StringSliceVar(&f.chart, "chart", nil,
		"draw two metrics, across and upwards, such as \"TTFT p99\",J/out; default: tok/s,J/out")
	flags.StringSliceVar(&f.columns, "columns", nil,
		"show these metrics instead of the default columns, such as TTFT,TPOT,power")
	flags.StringVar(&f.format, "format", "text",
		"text, md (Markdown), csv or json; or the file of another benchmark: "+strings.Join(allFormats()[4:], ", "))
	flags.StringVarP(&f.out, "output", "o", "", "with the format of another benchmark: the file, or a folder for them")
	flags.StringVar(&f.best, "best", "", "name the configuration with the best value of a metric")
	flags.StringArrayVar(&f.where, "where", nil, "with --best: a limit to meet, such as 'TTFT p99<200'")
	flags.StringVar(&f.slo, "slo", "",
		"judge the stored requests by another objective, such as ttft=500ms,tpot=50ms (also e2e=10s, attainment=0.99)")
	flags.BoolVar(&f.metrics, "metrics", false, "list all metrics: head, name, unit and meaning; no DIR is needed")
	flags.StringVar(&f.html, "html", "", "write the report as one HTML file; - is standard output")
	flags.BoolVar(&f.json, "json", false, "print the result as one JSON document")
	flags.BoolVarP(&f.verbose, "verbose", "v", false,
		"print everything: each number with its interval and method, and all cautions")
	flags.BoolVar(&f.line, "line", false, "print one line per run, to paste")
	flags.BoolVar(&f.cite, "cite", false,
		"print what a paper must state about each configuration, in sentences to paste")
	completeMetrics(cmd, "sort", "best", "pareto", "chart", "columns", "where")
	return cmd
}

// reported returns the folder to report: the argument, or the newest study, which it names on standard error.
func (env *Env) reported(args []string) (string, error) {
	if len(args) == 1 {
		return args[0], nil
	}
	results := firstOf(env.Getenv("LLEM_RESULTS"), "results")
	dir := studies.Newest(results)
	if dir == "" {
		return "", &usageError{"no folder given, and there is no study in " + results,
			"give the folder that `llem run` printed, or run a study first"}
	}
	fmt.Fprintf(env.text(env.Stderr), "llem: the newest study: %s\n", dir)
	return dir, nil
}

// withDefaults gives flags whose value may be left out their value: --pareto and --chart their default metrics where no
// names follow, at the end, before a flag or a folder; --resume the folder that follows.
func withDefaults(args []string) []string {
	usual := map[string]string{"--pareto": strings.Join(result.ParetoMetrics(), ","), "--chart": usualChart}
	out := slices.Clone(args)
	for i, a := range args {
		if a == "--resume" && i+1 < len(args) && namesFolder(args[i+1]) {
			return append(append(out[:i:i], a+"="+args[i+1]), withDefaults(args[i+2:])...)
		}
		if usual[a] == "" {
			continue
		}
		named := i+1 < len(args) && !strings.HasPrefix(args[i+1], "-")
		if named {
			info, err := os.Stat(args[i+1])
			named = err != nil || !info.IsDir()
		}
		if !named {
			out[i] = a + "=" + usual[a]
		}
	}
	return out
}

// namesFolder reports whether an argument after --resume is its folder, not a study file or another flag.
func namesFolder(arg string) bool {
	info, err := os.Stat(arg)
	return err == nil && info.IsDir() || err != nil && filepath.Ext(arg) == "" && !strings.HasPrefix(arg, "-")
}

// report prints a study, ordered and in the format that was asked for.
func (env *Env) report(dir string, f reportFlags, limited bool) error {
	if len(f.where) > 0 && f.best == "" {
		return &usageError{"--where goes with --best",
			"add the metric to optimize, such as --best J/out"}
	}
	if (f.line || f.cite) && (f.json || f.format != formats[0]) || f.line && f.cite {
		return &usageError{"--line, --cite, --json and --format each have a form of their own",
			"ask for one of them"}
	}
	if n := len(f.chart); n > 0 {
		switch {
		case n != 2:
			return &usageError{fmt.Sprintf("--chart takes two metrics, across and upwards; it has %d", n),
				`write --chart="TTFT p99",J/out, or --chart for tok/s,J/out`}
		case f.json || f.html != "" || f.format != formats[0] || f.best != "" || f.line || f.cite:
			return &usageError{"--chart is drawn alone",
				"leave out --json, --html, --format, --best, --line and --cite"}
		}
	}
	if exchanged := slices.Contains(allFormats()[len(formats):], f.format); exchanged || foreign.IsImported(dir) {
		if f.slo != "" {
			return &usageError{"--slo does not change the files of other benchmarks", "leave out --slo or --format"}
		}
		return env.exchange(dir, f, exchanged)
	} else if f.out != "" {
		return &usageError{"-o goes with the format of another benchmark",
			"use --html FILE for a page, or redirect the output"}
	}
	var slo study.SLO
	if f.slo != "" {
		var err error
		if slo, err = loads.ParseSLO(f.slo); err != nil {
			return err
		}
	}
	asked := slices.Concat([]*string{&f.sort, &f.best}, pointers(f.pareto), pointers(f.columns))
	if err := nameMetrics(asked...); err != nil {
		return err
	}
	if one, err := named.Run(dir, env.tell); one != nil || err != nil {
		if err != nil {
			return err
		}
		if len(f.chart) > 0 {
			return &usageError{"--chart compares the configurations of a study", "give the folder of the study"}
		}
		if slo.Set() {
			if one.Record, err = loads.JudgeRun(one.Dir, one.Record, slo); err != nil {
				return err
			}
		}
		return env.printRun(one, f)
	}
	res, damage := env.open(dir)
	if res == nil {
		return damage
	}
	if slo.Set() {
		if err := loads.Judge(res, slo); err != nil {
			return errors.Join(err, damage)
		}
	}
	// What can be read is printed, and then what is wrong.
	return errors.Join(env.printReport(res, f, limited), damage)
}

// printReport prints a study in the format that was asked for.
func (env *Env) printReport(res *result.StudyResult, f reportFlags, limited bool) error {
	if f.top > 0 {
		f.sort, f.limit, limited = cmp.Or(f.sort, result.ParetoMetrics()[0]), f.top, true
	}
	if err := judge(res, f); err != nil {
		return err
	}
	t := env.terminal()
	t.Sort, t.Front, t.Show, t.Limit = f.sort, f.pareto, f.columns, f.limit
	if f.limit == 0 {
		t.Limit = -1
	}
	switch {
	case len(f.chart) > 0:
		x, y := f.chart[0], f.chart[1]
		return screen.Pareto(env.Stdout, t, res, picture.Options{X: x, Y: y}, env.tableWidth())
	case f.best != "":
		return env.best(res, f)
	case f.html != "":
		return env.htmlReport(res, f.html)
	case f.json:
		return res.Encode(env.Stdout)
	case f.format == "md":
		return t.Markdown(env.Stdout, res)
	case f.format == "csv":
		if !limited {
			t.Limit = -1
		}
		return report.CSV(env.Stdout, res, t.Limit)
	}
	return env.show(res, t, f.how())
}

// judge sets the standings by the metrics that were asked for, and orders by one.
func judge(res *result.StudyResult, f reportFlags) error {
	if len(f.pareto) > 0 {
		standings, err := res.Pareto(f.pareto...)
		if err != nil {
			return err
		}
		for i := range standings {
			res.Experiments[i].Standing = &standings[i]
		}
	}
	if f.sort == "" {
		return nil
	}
	return res.SortBy(f.sort)
}

// best names the configuration with the best value under limits.
func (env *Env) best(res *result.StudyResult, f reportFlags) error {
	c, err := res.Best(f.best, f.where...)
	if isUsage(err) {
		return err
	}
	if err != nil {
		return &usageError{err.Error(),
			"`llem report " + shell.Path(res.Dir) + "` prints what was measured; --best and --where take these metrics"}
	}
	if f.json {
		return env.printJSON(c)
	}
	return env.terminal().Best(env.pasted(env.Stdout),
		report.Best{Study: res, Metric: f.best, Limits: f.where, Choice: c})
}

// open reads a study's results, and reports on standard error what was rebuilt or could not be checked. For a damaged
// folder it returns both a result and an error.
func (env *Env) open(dir string) (*result.StudyResult, error) { return named.Study(dir, env.tell) }

// tell reports something beside the result.
func (env *Env) tell(what string) { fmt.Fprintf(env.text(env.Stderr), "llem: %s\n", what) }

// errDiffer ends a recomputation that does not match.
var errDiffer = errors.New("results and raw files do not match")

// recompute checks every run of a study, or one run.
func (env *Env) recompute(dir string, f reportFlags) error {
	all, unchecked, err := recheck.Folder(dir)
	if none, ok := errors.AsType[*recheck.NoRunError](err); ok {
		return &usageError{none.Error(), none.NextStep()}
	}
	if err != nil {
		return err
	}
	if unchecked > 0 {
		env.tell(named.Unchecked(unchecked))
	}
	bad := recheck.Bad(all)
	if f.json {
		err = env.printJSON(all)
	} else {
		err = env.terminal().Checks(env.pasted(env.Stdout), checks(all))
	}
	if err == nil && bad > 0 {
		err = fmt.Errorf("%w: %d of %d", errDiffer, bad, len(all))
	}
	return err
}

// checks are recomputations as the printer takes them.
func checks(all []join.Recomputed) []report.Check {
	out := make([]report.Check, len(all))
	for i, r := range all {
		out[i] = report.Check{Run: r.Run, Numbers: r.Numbers, Skipped: r.Skipped, Error: r.Error, Next: r.Next,
			Files: r.Files}
		for _, d := range r.Differ {
			out[i].Differ = append(out[i].Differ, report.Difference(d))
		}
	}
	return out
}
