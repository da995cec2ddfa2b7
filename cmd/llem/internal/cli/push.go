package cli

import (
	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/cmd/llem/internal/publish"
	"github.com/llenergymeasure/llem/internal/host"
)

// newPush sends a study to a hub.
func newPush(env *Env) *cobra.Command {
	var f publish.PushFlags
	cmd := &cobra.Command{Use: "push DIR hf:USER/NAME", Short: publish.PushShort, Long: publish.PushLong,
		Example: publish.PushExample,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return &usageError{"push takes a study's folder and a repository", "llem push DIR hf:USER/NAME"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.publisher().Push(cmd.Context(), args[0], args[1], f)
		}}
	f.Add(cmd.Flags())
	return cmd
}

// newPull fetches a study from a hub.
func newPull(env *Env) *cobra.Command {
	var f publish.PullFlags
	cmd := &cobra.Command{Use: "pull hf:USER/NAME", Short: publish.PullShort, Long: publish.PullLong,
		Example: publish.PullExample,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{"pull takes a repository", "llem pull hf:USER/NAME"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.publisher().Pull(cmd.Context(), args[0], f)
		}}
	f.Add(cmd.Flags())
	return cmd
}

// publisher is what push, pull and verify use of the process.
func (env *Env) publisher() publish.Command {
	c := publish.Command{Out: env.text(env.Stdout), Err: env.text(env.Stderr), In: env.Stdin,
		Ask: env.StdinTTY && env.StderrTTY, Live: env.StderrTTY, Version: host.CurrentBuild().Version}
	if env.Environ != nil {
		c.Environ = env.Environ()
	}
	return c
}
