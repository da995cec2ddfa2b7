package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/cmd/llem/internal/ending"
	"github.com/llenergymeasure/llem/cmd/llem/internal/help"
	"github.com/llenergymeasure/llem/internal/campaign"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/metering"
	"github.com/llenergymeasure/llem/internal/plan"
	"github.com/llenergymeasure/llem/internal/secret"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/study"
)

// Main runs the program and returns its exit code.
func Main(env Env) int {
	ctx := context.Background()
	if env.Signals != nil {
		var stop context.CancelFunc
		ctx, stop = env.Signals(ctx)
		env.releaseSignals = stop
		defer stop()
	}
	out := &counted{Writer: env.Stdout}
	env.Stdout = out
	root := newRoot(&env)
	root.SetArgs(withDefaults(env.Args))
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil && cmd == root {
		_, err = help.Asked(root, root.Flags().Args())
	}
	code := exitCode(err)
	if code == exitOK {
		return code
	}
	env.explain(err)
	if asksJSON(cmd, env.Args) && out.n == 0 {
		// A program that reads standard output gets a document whatever happens.
		if err := env.printJSON(errorDocumentOf(err, code)); err != nil {
			fmt.Fprintf(env.Stderr, "llem: write to standard output: %v\n", err)
		}
	}
	return code
}

// asksJSON reports whether the command line asks for JSON. It searches the arguments too, because an
// unknown flag stops the parser before it reads --json.
func asksJSON(cmd *cobra.Command, args []string) bool {
	flag := cmd.Flags().Lookup("json")
	return flag != nil && (flag.Value.String() == "true" || slices.Contains(args, "--json"))
}

// counted is a writer that counts the bytes written.
type counted struct {
	io.Writer
	n int64
}

// Write counts what is written.
func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n += int64(n)
	return n, err
}

// Commands returns the program with all its commands, for what describes them; they have no streams to use.
func Commands() *cobra.Command { return newRoot(&Env{Getenv: func(string) string { return "" }}) }

func newRoot(env *Env) *cobra.Command {
	build := host.CurrentBuild()
	root := &cobra.Command{
		Use:   "llem",
		Short: "Measure the energy of LLM inference",
		Long: "llem measures the energy of a language model on an inference engine: joules per token\n" +
			"and per request, split into prefill and decode, with latency, throughput and memory.\n" +
			"It starts the engine, runs a fixed workload and reads the power sensors. Without a\n" +
			"sensor, `llem run --estimate` estimates the power of the CPU and labels it as modelled.",
		Version:       versionText(build),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringVar(&env.Color, "color", colorAuto,
		"auto (on a terminal, unless NO_COLOR is set), always or never")
	none := root.PersistentFlags().Bool("no-color", false, "as --color never")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if *none {
			env.Color = colorNever
		}
		if !slices.Contains([]string{colorAuto, colorAlways, colorNever}, env.Color) {
			return &usageError{fmt.Sprintf("--color %s is unknown", env.Color), "use auto, always or never"}
		}
		return nil
	}
	root.SetVersionTemplate("llem {{.Version}}\n")
	root.SetFlagErrorFunc(wrongFlag)
	root.SuggestionsMinimumDistance = 2
	root.CompletionOptions.DisableDefaultCmd = true // help.NewCompletion explains a wrong shell
	root.SetHelpCommand(help.NewCommand())
	commands := []*cobra.Command{newConfig(env), newDoctor(env), newRun(env), newReport(env), newCompare(env),
		newPlot(env), newServe(env), newSite(env), newVerify(env), newPush(env), newPull(env),
		newMeter(env), newMerge(env), newImport(env), newSubmit(env), newSchema(env)}
	root.Args = help.NoCommand(commands)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		if cmd == root {
			var err error
			if cmd, err = help.Asked(root, cmd.Flags().Args()); err != nil {
				return // Main explains it
			}
		}
		text := help.Text{Columns: env.tableWidth()}.Command(cmd)
		if cmd == root {
			text = help.Text{Columns: env.tableWidth()}.Program(root, commands)
		}
		fmt.Fprint(env.text(cmd.OutOrStdout()), text)
	})
	root.SetUsageFunc(func(cmd *cobra.Command) error {
		_, err := fmt.Fprint(env.text(cmd.OutOrStdout()), help.Text{Columns: env.tableWidth()}.Usage(cmd))
		return err
	})
	root.AddCommand(append(commands, newWorker(), servePages(env), help.NewCompletion(env.Stdout))...)
	return root
}

func versionText(b host.BuildInfo) string {
	v := b.Version
	if v == "" {
		v = "(unknown)"
	}
	details := []string{b.GoVersion}
	if b.Commit != "" && !strings.Contains(v, strings.TrimSuffix(b.Commit, "+dirty")[:min(12, len(b.Commit))]) {
		details = append(details, "commit "+b.Commit)
	}
	return v + " (" + strings.Join(details, ", ") + ")"
}

// newWorker names the hidden command under which engines run; the program enters
// it before any flag is read.
func newWorker() *cobra.Command {
	return &cobra.Command{
		Use: "worker", Hidden: true, Short: "An engine process; llem starts these itself",
		RunE: func(*cobra.Command, []string) error {
			return &usageError{"worker is started by llem itself", "use `llem run`"}
		},
	}
}

// usageError is a mistake on the command line.
type usageError struct{ msg, next string }

func (e *usageError) Error() string { return e.msg }

// NextStep returns how to use the command.
func (e *usageError) NextStep() string { return e.next }

// errRunsFailed reports that runs failed; the results name them and the reasons.
var errRunsFailed = errors.New("some runs failed")

// errIncomplete reports that runs are left; the results have their number.
var errIncomplete = errors.New("not all runs were measured: complete the study with --resume")

// exitCode maps errors to the documented codes.
func exitCode(err error) int {
	ended, _ := errors.AsType[*metering.ExitError](err)
	switch {
	case err == nil:
		return exitOK
	case ended != nil:
		return ended.Code
	case errors.Is(err, ending.ErrInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	case isUsage(err):
		return exitUsage
	}
	return exitFailed
}

func isUsage(err error) bool {
	if _, ok := errors.AsType[*usageError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*campaign.ResumeError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*plan.GPUError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*plan.OnlyError](err); ok {
		return true
	}
	if _, ok := errors.AsType[interface {
		error
		IsUsage()
	}](err); ok {
		return true
	}
	_, ok := errors.AsType[study.Errors](err)
	return ok
}

// explain prints an error for a person: what, where and what next.
func (env *Env) explain(err error) {
	ended, _ := errors.AsType[*metering.ExitError](err)
	if errors.Is(err, errRunsFailed) || errors.Is(err, syscall.EPIPE) || ended != nil && ended.Err == nil {
		return // the report has said it, or nobody reads it
	}
	if errors.Is(err, ending.ErrInterrupted) || errors.Is(err, context.Canceled) {
		text := "llem: interrupted"
		if e, ok := errors.AsType[*interruptedError](err); ok {
			text += "; finished runs are kept; to continue:\n  " + e.command()
		}
		for line := range strings.Lines(secret.Text(text) + "\n") {
			env.complain(line)
		}
		return
	}
	if es, ok := errors.AsType[study.Errors](err); ok {
		for line := range strings.Lines(secret.Text(es.Error()) + "\n") {
			if strings.Contains(line, " | ") { // of the file, with a mark below
				fmt.Fprint(env.text(env.Stderr), line)
			} else {
				env.complain(line)
			}
		}
		fmt.Fprintf(env.text(env.Stderr), "llem: %s; no run was started\n", digits.Count(len(es), "mistake"))
		return
	}
	env.complain("llem: " + secret.Text(err.Error()) + "\n")
	if next := nextOf(err); next != "" {
		env.complain("  next: " + secret.Text(next) + "\n")
	}
}

// resumeCommand continues the study of a folder.
func resumeCommand(dir string) string { return "llem run --resume=" + shell.Path(dir) }

// nextOf returns the next step that an error carries.
func nextOf(err error) string {
	if e, ok := errors.AsType[interface {
		error
		NextStep() string
	}](err); ok {
		return e.NextStep()
	}
	return ""
}
