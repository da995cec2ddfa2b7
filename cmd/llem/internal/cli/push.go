package cli

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/cmd/llem/internal/publish"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/table"
)

// newPush sends a study to a hub.
func newPush(env *Env) *cobra.Command {
	var f publish.PushFlags
	cmd := &cobra.Command{Use: "push DIR hf:USER/NAME|mlflow:URI", Short: publish.PushShort, Long: publish.PushLong,
		Example: publish.PushExample, Args: takes(2, "push takes a study, and a repository or a server"),
		RunE: func(c *cobra.Command, a []string) error { return env.publisher().Push(c.Context(), a[0], a[1], f) }}
	f.Add(cmd.Flags())
	return cmd
}

// newPull fetches a study from a hub.
func newPull(env *Env) *cobra.Command {
	var f publish.PullFlags
	cmd := &cobra.Command{Use: "pull hf:USER/NAME", Short: publish.PullShort, Long: publish.PullLong,
		Example: publish.PullExample, Args: takes(1, "pull takes a repository"),
		RunE: func(c *cobra.Command, a []string) error { return env.publisher().Pull(c.Context(), a[0], f) }}
	f.Add(cmd.Flags())
	return cmd
}

func takes(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return &usageError{what, "llem " + cmd.Use}
		}
		return nil
	}
}

// publisher is what push, pull and verify use of the process.
func (env *Env) publisher() publish.Command {
	folded := func(w io.Writer, width int) io.Writer {
		return textWriter{w, func(s string) string {
			return table.Fold(shell.Called(env.Program, env.style().Text(s)),
				width)
		}}
	}
	c := publish.Command{Out: folded(env.Stdout, env.tableWidth()), Doc: env.Stdout, Err: folded(env.Stderr, 0),
		In: env.Stdin, Ask: env.StdinTTY && env.StderrTTY, Live: env.StderrTTY, Version: host.CurrentBuild().Version}
	if env.StderrTTY {
		c.Err = folded(env.Stderr, env.tableWidth())
	}
	if env.Environ != nil {
		c.Environ = env.Environ()
	}
	return c
}
