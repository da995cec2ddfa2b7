package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem"
	"github.com/llenergymeasure/llem/cmd/llem/internal/chart"
	"github.com/llenergymeasure/llem/cmd/llem/internal/cite"
	"github.com/llenergymeasure/llem/cmd/llem/internal/ending"
	"github.com/llenergymeasure/llem/cmd/llem/internal/report"
	"github.com/llenergymeasure/llem/cmd/llem/internal/screen"
	"github.com/llenergymeasure/llem/cmd/llem/internal/serving"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/campaign"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/shard"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// runFlags holds the flags of llem run that do not set study keys.
type runFlags struct {
	set      []string
	output   string
	python   string
	timeout  time.Duration
	estimate bool
	shared   bool
	json     bool
	quiet    bool
	verbose  bool
	plain    bool
	failFast bool
	resume   string
	retry    bool
	worker   string
	mixed    bool
	shard    string
	noGaps   bool
	dryRun   bool
	limit    int
	only     string
	gpu      string
	serve    string
}

// newest is the value of --resume without a folder.
const newest = "newest"

// keyFlags are flags that set study keys.
var keyFlags = []struct {
	name, short string
	keys        []string
	help        string
}{
	{"model", "m", []string{"model"}, "random:SHAPE, a .gguf file, a folder, or a Hugging Face id"},
	{"backend", "b", []string{"backend"},
		engineNames()},
	{"dtype", "", []string{"dtype"}, "auto, float32, float16, bfloat16, q8_0 or q4_0"},
	{"prompts", "n", []string{"workload.prompts"}, "number of prompts"},
	{"input-tokens", "", []string{"workload.input_tokens"}, "length of the longest prompt, in tokens"},
	{"output-tokens", "", []string{"workload.output_tokens"}, "forced output length, in tokens"},
	{"batch-size", "", study.BatchKeys(engines.All()), "sequences per batch (servers: the maximum)"},
	{"cycles", "", []string{"execution.cycles"}, "number of runs of each configuration"},
	{"order", "", []string{"execution.order"}, "balanced, sequential, interleave, shuffle, reverse or latin_square"},
	{"profile", "", []string{"execution.profile"},
		"quick (1 cycle), standard (3, with rests) or publication (5 and more)"},
}

// engineNames lists the engines for a flag's help.
func engineNames() string {
	var words []string
	for _, d := range engines.All() {
		if d.Simulated {
			words = append(words, d.Name+" ("+d.Summary+")")
			continue
		}
		words = append(words, d.Name)
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func newRun(env *Env) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [STUDY.yaml]",
		Short: "Measure one configuration or a study",
		Long: "Measure one configuration or a study. Flags override the file. A value with commas or a\n" +
			"range (1,8,32 or 1..64*2) makes its key an axis of a sweep.\n\n" +
			"A study file, STUDY.yaml (llem schema has every key):\n\n" +
			"  model: random:smollm2-135m\n" +
			"  backend: embedded\n" +
			"  workload: {prompts: 16, input_tokens: 128, output_tokens: 64}\n" +
			"  sweep: {embedded.batch_size: [1, 4]}\n" +
			"  execution: {cycles: 3}\n\n" +
			"Results go to a folder; llem report and llem plot read it. The first screen goes to\n" +
			"standard output, progress to standard error. Exit codes: 0 all runs ok, 1 a run failed or\n" +
			"is unfinished, or its energy was refused, 2 usage or configuration, 130 interrupted.",
		Example: "  llem run --model random:smollm2-135m --estimate\n" +
			"  llem run --model ./model.gguf --batch-size 1,4 --cycles 3\n" +
			"  llem run study.yaml -s workload.prompts=32",
		Args: func(cmd *cobra.Command, args []string) error { return atMostOne(cmd, f.takeFolder(args)) },
		RunE: func(cmd *cobra.Command, args []string) error { return env.run(cmd, args, f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	studyFlags(cmd, &f.set)
	flags.StringVarP(&f.output, "output", "o", "", "folder for results (default $LLEM_RESULTS, else ./results)")
	flags.StringVar(&f.python, "python", "",
		"interpreter for Python backends (default: $LLEM_PYTHON_VLLM and so on, $VIRTUAL_ENV, PATH)")
	flags.DurationVar(&f.timeout, "timeout", 0, "time limit of one run, such as 30m")
	flags.BoolVar(&f.estimate, "estimate", false, "estimate CPU power if no sensor can be read; labelled as modelled")
	flags.BoolVar(&f.shared, "allow-shared", false,
		"report the energy of a GPU that others used too, flagged, instead of refusing it (energy.allow_shared)")
	flags.BoolVar(&f.failFast, "fail-fast", false, "stop at the first failed run")
	flags.StringVar(&f.resume, "resume", "",
		"continue a study: its folder `DIR`, or the newest unfinished one")
	flags.Lookup("resume").NoOptDefVal = newest
	flags.BoolVar(&f.retry, "retry-failed", false, "with --resume: rerun failed runs")
	flags.StringVar(&f.worker, "worker", "",
		"execute runs together with other processes, on any nodes, in one folder that all see (--output "+
			"or --resume); `NAME` is unique, as --worker=NAME")
	flags.Lookup("worker").NoOptDefVal = anyName
	flags.BoolVar(&f.mixed, "allow-mixed", false,
		"with --worker: join with a machine that differs from the first; its runs are marked and not averaged")
	flags.StringVar(&f.shard, "shard", "",
		"execute only part `I/N` of the runs, such as 2/4, where machines share no folder; llem merge joins the parts")
	flags.BoolVar(&f.noGaps, "no-gaps", false, "no pauses between runs")
	flags.BoolVar(&f.dryRun, "dry-run", false,
		"print the plan, its requirements and problems; run nothing")
	flags.IntVar(&f.limit, "limit", 20, "with --dry-run: how many experiments to list; 0 is all")
	flags.StringVar(&f.gpu, "gpu", "", "with --dry-run: estimate for this GPU, such as h200, rtx4090, mi300x")
	flags.StringVar(&f.only, "only", "", "with --dry-run: list experiments whose label or KEY=VALUE contains this text")
	flags.StringVar(&f.serve, "serve", "",
		"show the running study in a browser until it ends, on 127.0.0.1 with any port or on `ADDRESS`")
	flags.Lookup("serve").NoOptDefVal = serving.AnyPort
	flags.BoolVar(&f.json, "json", false, "print the result as one JSON document")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "no progress")
	flags.BoolVar(&f.plain, "plain", false, "progress as plain lines, also on a terminal")
	flags.BoolVarP(&f.verbose, "verbose", "v", false,
		"print everything about the result, as llem report -v does")
	return cmd
}

// studyFlags adds the flags that set keys of a study.
func studyFlags(cmd *cobra.Command, set *[]string) {
	flags := cmd.Flags()
	for _, k := range keyFlags {
		flags.StringP(k.name, k.short, "", k.help)
	}
	flags.StringArrayVarP(set, "set", "s", nil, "set any study key: KEY=VALUE")
}

func atMostOne(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return &usageError{fmt.Sprintf("%d study files given, want at most one", len(args)),
			"see `" + cmd.CommandPath() + " --help`"}
	}
	return nil
}

func (env *Env) run(cmd *cobra.Command, args []string, f runFlags) error {
	args = f.takeFolder(args)
	o, err := studyOptions(cmd, args, f.set, env.Getenv)
	if err != nil {
		return err
	}
	if err := f.check(cmd.Flags().Changed); err != nil {
		return err
	}
	if _, _, err := net.SplitHostPort(o.Path); err == nil && f.serve == serving.AnyPort {
		if _, err := os.Stat(o.Path); err != nil {
			return &usageError{o.Path + " is not a study file",
				"an address goes with an equals sign: --serve=" + o.Path}
		}
	}
	if f.shared {
		o.Settings = append(o.Settings, settingOf("--allow-shared", "energy.allow_shared", "true"))
	}
	f.python = firstOf(f.python, study.Interpreter(o))
	for _, line := range env.unknownVariables() {
		fmt.Fprintf(env.text(env.Stderr), "llem: warning: %s\n", line)
	}
	ctx := cmd.Context()
	options := llem.Options{
		Results: firstOf(f.output, env.Getenv("LLEM_RESULTS"), "results"), Python: f.python,
		Estimate: f.estimate, Timeout: f.timeout, FailFast: f.failFast, RetryFailed: f.retry, NoGaps: f.noGaps,
		Shard: f.shard, Node: env.node(),
	}
	if f.worker != "" {
		if err := f.together(&options); err != nil {
			return err
		}
	}
	var s *study.Study
	if f.resume != "" {
		s, err = env.resumed(&o, f, &options)
	} else {
		s, err = env.study(ctx, o, f)
	}
	if err != nil {
		return err
	}
	if !f.dryRun && !f.quiet {
		env.leftOut(s)
	}
	if f.dryRun {
		return env.dryRun(ctx, s, options, f)
	}
	return env.measure(ctx, s, options, f)
}

// check refuses flags that make no sense, alone or without others: a flag that is ignored
// would start an unwanted run.
func (f runFlags) check(given func(flag string) bool) error {
	switch {
	case f.timeout < 0:
		return &usageError{"--timeout is negative", "give a duration such as 30m"}
	case f.limit < 0:
		return &usageError{fmt.Sprintf("--limit is %d", f.limit), "give a number of experiments to list; 0 is all"}
	}
	if _, err := shard.Parse(f.shard); err != nil {
		return err
	}
	if f.mixed && f.worker == "" {
		return &usageError{"--allow-mixed goes with --worker", "add --worker, or leave it out"}
	}
	if f.serve != "" && f.dryRun {
		return &usageError{"--serve shows a running study, and --dry-run runs nothing", "leave one of them out"}
	}
	for _, name := range []string{"limit", "only", "gpu"} {
		if given(name) && !f.dryRun {
			return &usageError{fmt.Sprintf("--%s needs --dry-run", name),
				"add --dry-run, or leave it out"}
		}
	}
	return nil
}

// leftOut prints which parts of a study will not run.
func (env *Env) leftOut(s *study.Study) {
	if s.Refused > 0 {
		fmt.Fprintf(env.text(env.Stderr), "llem: points left out because they cannot run: %d\n", s.Refused)
		for i, p := range s.Invalid {
			if i == 3 {
				fmt.Fprintln(env.text(env.Stderr), "  … (--dry-run lists more)")
				break
			}
			fmt.Fprintf(env.text(env.Stderr), "  %s: %s\n", p.Point, p.Message)
		}
	}
	if len(s.Unused) > 0 {
		fmt.Fprintf(env.text(env.Stderr), "llem: ignored, because no backend of the study has these keys: %s\n",
			strings.Join(s.Unused, ", "))
	}
}

// dryRun prints the plan.
func (env *Env) dryRun(ctx context.Context, s *study.Study, o llem.Options, f runFlags) error {
	if o.Resume != "" {
		var err error
		if o.Estimate, err = campaign.Estimating(o.Resume, o.Estimate); err != nil {
			return err
		}
		if o.Shard, err = campaign.ShardOf(o.Resume, o.Shard); err != nil {
			return err
		}
	}
	p, err := llem.DryRun(ctx, s,
		llem.DryRunOptions{Results: o.Results, Python: f.python, Limit: f.limit, Only: f.only, Estimate: o.Estimate,
			Timeout: o.Timeout, GPU: f.gpu, Shard: o.Shard})
	if err != nil {
		return err
	}
	if f.json {
		err = env.printJSON(p)
	} else {
		err = p.Text(env.text(env.Stdout), env.tableWidth())
	}
	if err == nil && !p.CanRun() {
		err = &usageError{"no experiment of the study can run here", "fix the errors above"}
	}
	return err
}

// study loads what the command line asks for.
func (env *Env) study(ctx context.Context, o study.Options, f runFlags) (*study.Study, error) {
	if f.retry {
		return nil, &usageError{"--retry-failed goes with --resume", "add --resume, or leave it out"}
	}
	s, err := study.Load(o)
	if err != nil {
		return nil, err
	}
	name, err := env.chooseBackend(ctx, s, f.python)
	if err != nil || name == "" {
		return s, err
	}
	o.Settings = append(o.Settings, study.Setting{Flag: "--backend", Key: "backend", Value: name})
	return study.Load(o)
}

// finish prints the results, including partial results after an error.
func (env *Env) finish(res *result.StudyResult, err error, f runFlags) error {
	if res != nil {
		if errors.Is(err, ending.ErrInterrupted) || errors.Is(err, context.Canceled) {
			err = &interruptedError{err, res.Dir, f.worker != ""}
		}
		if printErr := env.print(res, err, f); err == nil {
			err = printErr
		}
	}
	switch {
	case err != nil:
	case res.Failed > 0:
		err = errRunsFailed
	case withheld(res) > 0:
		err = &withheldError{withheld(res), len(res.Rows)}
	case !res.Complete:
		err = errIncomplete
	}
	return err
}

// withheld is how many runs have numbers that are refused.
func withheld(res *result.StudyResult) (n int) {
	for _, r := range res.Rows {
		if r.Status == result.OK && codes.WithheldBy(r.Warnings) != "" {
			n++
		}
	}
	return n
}

// interruptedError: a signal ended the study in the folder dir.
type interruptedError struct {
	error
	dir string
	// worker reports whether it was one of several workers.
	worker bool
}

// Unwrap returns the cause.
func (e *interruptedError) Unwrap() error { return e.error }

// withheldError: runs finished, and their energy is not their own.
type withheldError struct{ runs, of int }

func (e *withheldError) Error() string {
	return fmt.Sprintf("the energy of %d of %s cannot be attributed: other work ran on a GPU that is counted", e.runs,
		digits.Count(e.of, "run"))
}

// NextStep returns how to get energy that can be attributed.
func (e *withheldError) NextStep() string {
	return "run again on idle GPUs (nvidia-smi lists processes; CUDA_VISIBLE_DEVICES selects GPUs), or " +
		"with --allow-shared to get the numbers, flagged"
}

// print prints what a study has measured until it ended with an error, or without one.
func (env *Env) print(res *result.StudyResult, ended error, f runFlags) error {
	if f.json {
		return res.Encode(env.Stdout)
	}
	if f.verbose {
		return env.show(res, env.terminal(), everything)
	}
	_, interrupted := errors.AsType[*interruptedError](ended)
	return screen.Screen{Terminal: env.terminal(), Continues: interrupted}.Study(env.pasted(env.Stdout), res)
}

// detail is how much of a result is printed.
type detail int

// Details.
const (
	oneScreen detail = iota
	everything
	oneLine
	sentences
)

// show prints the results of a study.
func (env *Env) show(res *result.StudyResult, t report.Terminal, how detail) error {
	switch how {
	case sentences:
		return cite.Study(env.Stdout, res)
	case everything:
		return t.Study(env.pasted(env.Stdout), res)
	case oneLine:
		for r, err := range res.Records() {
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintln(env.Stdout, t.Style.Text(report.Line(r))); err != nil {
				return err
			}
		}
		return nil
	}
	return screen.Screen{Terminal: t}.Study(env.pasted(env.Stdout), res)
}

func (env *Env) printJSON(v any) error { return writeJSON(env.Stdout, v) }

// writeJSON writes a document for people and programs.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// terminal prints results on standard output.
func (env *Env) terminal() report.Terminal {
	return report.Terminal{Color: env.color(env.StdoutTTY), Width: env.width(), Columns: env.tableWidth(),
		Style: env.style()}
}

// style is ASCII where the locale is set and is not UTF-8. Without a locale, as in most containers, it is Unicode.
func (env *Env) style() chart.Style {
	locale := strings.ToUpper(firstOf(env.Getenv("LC_ALL"), env.Getenv("LC_CTYPE"), env.Getenv("LANG")))
	if locale == "" || strings.Contains(locale, "UTF-8") || strings.Contains(locale, "UTF8") {
		return chart.Unicode
	}
	return chart.ASCII
}

// text is a writer of text for people: in ASCII where the terminal shows nothing else.
func (env *Env) text(w io.Writer) io.Writer {
	return textWriter{w, func(text string) string { return env.style().Text(shell.Called(env.Program, text)) }}
}

// pasted is a writer of text that is already in the characters of the terminal: its commands begin as llem was called.
func (env *Env) pasted(w io.Writer) io.Writer {
	return textWriter{w, func(text string) string { return shell.Called(env.Program, text) }}
}

// textWriter changes texts as they are written. Each call has whole commands and characters.
type textWriter struct {
	w      io.Writer
	change func(string) string
}

// Write writes a text.
func (t textWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(t.w, t.change(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// canDraw reports whether standard error is an interactive terminal that can be redrawn.
func (env *Env) canDraw() bool {
	return env.StderrTTY && env.Getenv("TERM") != "dumb" && env.Getenv("CI") == ""
}

// color follows https://no-color.org: NO_COLOR, when set and not empty, wins, unless --color says otherwise.
func (env *Env) color(terminal bool) bool {
	switch env.Color {
	case colorAlways:
		return true
	case colorNever:
		return false
	}
	return terminal && env.Getenv("NO_COLOR") == "" && env.Getenv("TERM") != "dumb"
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// studyOptions turns the command line into settings over the study file.
func studyOptions(cmd *cobra.Command, args, set []string, getenv func(string) string) (study.Options, error) {
	o := study.Options{User: study.UserFile(getenv), Getenv: getenv, Stored: model.AutoDType}
	if len(args) == 1 {
		o.Path = args[0]
	}
	for _, k := range keyFlags {
		flag := cmd.Flags().Lookup(k.name)
		if !flag.Changed {
			continue
		}
		for _, key := range ofBackends(k.keys, cmd.Flags().Lookup("backend").Value.String()) {
			o.Settings = append(o.Settings, settingOf("--"+k.name, key, flag.Value.String()))
		}
	}
	for _, kv := range set {
		key, value, ok := strings.Cut(kv, "=")
		if !ok {
			return o, &usageError{fmt.Sprintf("--set %s has no value", kv),
				"write --set KEY=VALUE, such as --set workload.prompts=32"}
		}
		o.Settings = append(o.Settings, settingOf("--set "+kv, strings.TrimSpace(key), strings.TrimSpace(value)))
	}
	return o, nil
}

// ofBackends returns the keys of the engines that --backend names, of keys that each engine has;
// all of them if it names
// none, or a word that is not an engine.
func ofBackends(all []string, backends string) (out []string) {
	if len(all) == 1 || backends == "" {
		return all
	}
	for name := range strings.SplitSeq(backends, ",") {
		i := slices.IndexFunc(all, func(key string) bool { return strings.HasPrefix(key, strings.TrimSpace(name)+".") })
		if i < 0 {
			return all
		}
		out = append(out, all[i])
	}
	return out
}

// settingOf returns the setting of a key by a flag. A comma separates values, except in the path of a file or
// folder that exists.
func settingOf(flag, key, value string) study.Setting {
	if strings.Contains(value, ",") && slices.Contains([]string{modelKey, "workload.dataset"}, key) {
		if _, err := os.Stat(value); err == nil {
			s := study.Set(key, []string{value})
			s.Flag = flag
			return s
		}
	}
	return study.Setting{Flag: flag, Key: key, Value: value}
}

const modelKey = "model"
