package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/cmd/llem/internal/meter"
	"github.com/llenergymeasure/llem/cmd/llem/internal/screen"
	"github.com/llenergymeasure/llem/internal/machine"
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
			return c.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.SetInterspersed(false) // what follows the command is its own
	f.IntVar(&c.Flags.PID, "pid", 0, "measure this process until it ends, Ctrl-C, or --for")
	f.DurationVar(&c.Flags.For, "for", 0, "with --pid: how long, such as 30s")
	f.StringVar(&c.Flags.Serve, "serve", "", "make this Unix `SOCKET` and measure the windows that a program marks")
	f.Float64Var(&c.Flags.BaselineS, "baseline", 0, "`SECONDS` of idle power before; 0: none, and no net energy "+
		"(default 5; with --pid 0)")
	f.IntVar(&c.Flags.Repeat, "repeat", 1, "run the command `N` times, for an interval over its runs")
	f.StringVar(&c.Flags.GPUs, "gpus", "", "GPUs to read, such as 0,1 (default $CUDA_VISIBLE_DEVICES, else all)")
	f.StringSliceVar(&c.Flags.Sources, "sources", nil, "sensors: "+strings.Join(machine.Families(), ", "))
	f.StringVar(&c.Flags.Name, "name", "", "what the results call it (default: the command)")
	f.StringVarP(&c.Flags.Results, "output", "o", "", "folder for results (default $LLEM_RESULTS, else ./results)")
	f.StringVar(&c.Flags.To, "to", "", "write the answer to this `FILE` instead of standard error")
	f.BoolVar(&c.Flags.JSON, "json", false, "the answer as one JSON document")
	f.BoolVar(&c.Flags.Estimate, "estimate", false, "estimate CPU power if no sensor can be read; labelled as modelled")
	f.BoolVar(&c.Flags.Shared, "allow-shared", false, "report the energy of a GPU that others used too, flagged")
	f.BoolVarP(&c.Flags.Quiet, "quiet", "q", false, "no progress")
	return cmd
}
