package meter

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/llenergymeasure/llem/internal/machine"
)

// Define adds the flags to the command's.
func (f *Flags) Define(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.SetInterspersed(false) // what follows the command is its own
	flags.IntVar(&f.PID, "pid", 0, "measure this process until it ends, Ctrl-C, or --for")
	flags.DurationVar(&f.For, "for", 0, "with --pid: how long, such as 30s")
	flags.StringVar(&f.Serve, "serve", "", "make this Unix `SOCKET` and measure the windows that a program marks")
	flags.Float64Var(&f.BaselineS, "baseline", 0, "`SECONDS` of idle power before; 0: none, and no net energy "+
		"(default 5; with --pid 0)")
	flags.IntVar(&f.Repeat, "repeat", 1, "run the command `N` times, for an interval over its runs")
	flags.StringVar(&f.GPUs, "gpus", "", "GPUs to read, such as 0,1 (default $CUDA_VISIBLE_DEVICES, else all)")
	flags.StringSliceVar(&f.Sources, "sources", nil, "sensors: "+strings.Join(machine.Families(), ", "))
	flags.StringVar(&f.Name, "name", "", "what the results call it (default: the command)")
	flags.StringVarP(&f.Results, "output", "o", "", "folder for results (default $LLEM_RESULTS, else ./results)")
	flags.StringVar(&f.To, "to", "", "write the answer to this `FILE` instead of standard error")
	flags.BoolVar(&f.JSON, "json", false, "the answer as one JSON document")
	flags.BoolVar(&f.Estimate, "estimate", false, "estimate CPU power if no sensor can be read; labelled as modelled")
	flags.BoolVar(&f.Shared, "allow-shared", false, "report the energy of a GPU that others used too, flagged")
	flags.BoolVarP(&f.Quiet, "quiet", "q", false, "no progress")
}
