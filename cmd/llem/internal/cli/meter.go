package cli

import (
	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/cmd/llem/internal/meter"
	"github.com/llenergymeasure/llem/cmd/llem/internal/screen"
)

// newMeter measures any command.
func newMeter(env *Env) *cobra.Command {
	c := meter.Command{Release: func() {
		if env.releaseSignals != nil {
			env.releaseSignals()
		}
	}}
	cmd := &cobra.Command{
		Use:   "meter [flags] -- COMMAND [ARG…]",
		Short: "Measure the energy of any command, process or marked code",
		Long: "Measure the energy of a command, as perf stat does: its input and output pass through, its exit\n" +
			"code is returned, and the answer goes to standard error. With --pid, measure what a process does\n" +
			"until it ends. Sensors, windows and refusals are as in llem run, and llem report, verify\n" +
			"and plot read the results. Without a command, --serve measures what a program marks; the Python\n" +
			"package does so for llem.measure() (docs/meter.md).\n\n" +
			"Exit codes: the command's own; 127 not found, 126 not a program; 1 nothing measured, 2 usage.",
		Example: "  llem meter -- python train.py\n  llem meter --pid 4242 --for 30s\n" +
			"  llem meter --baseline 0 --repeat 5 --to energy.txt -- ./work",
		RunE: func(cmd *cobra.Command, args []string) error {
			c.Flags.BaselineGiven = cmd.Flags().Changed("baseline")
			c.Argv, c.Err = args, env.text(env.Stderr)
			c.Flags.Results = firstOf(c.Flags.Results, env.Getenv("LLEM_RESULTS"), "results")
			c.Screen = screen.Screen{Terminal: env.terminal()}
			c.Screen.Color = env.color(env.StderrTTY && c.Flags.To == "")
			return c.Run(cmd.Context())
		},
	}
	c.Flags.Define(cmd.Flags())
	return cmd
}
