package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/cmd/llem/internal/picture"
)

// plotFlags are the flags of plot.
type plotFlags struct {
	file    picture.File
	options picture.Options
}

// newPlot draws charts of a study.
func newPlot(env *Env) *cobra.Command {
	var f plotFlags
	cmd := &cobra.Command{
		Use:   "plot DIR CHART -o FILE",
		Short: "Draw a chart of a study as SVG, PDF or PNG, with its data as CSV",
		Long: "Draw a chart of a study, for a paper or a page. The data behind it is written beside it as CSV.\n\n" +
			"  pareto    two metrics of each configuration, with intervals and the Pareto front\n" +
			"  phases    where the energy per output token goes: prefill, decode, other\n" +
			"  power     power over the window of one run, with the phases of the engine below\n" +
			"  latency   distribution of TTFT, or of itl, tpot, e2e, energy (--x) over the requests\n" +
			"  scaling   a metric over a swept number, such as the batch size\n" +
			"  cycles    a metric of every run, in the order in which they ran\n\n" +
			"of a study with loads (workload.load):\n\n" +
			"  load      power, or --y J/request, over the rate of requests, with the load line\n" +
			"  frontier  energy per good token over the attainment of the objective, or --x tok/s/user, tok/s/GPU,\n" +
			"            completed/GPU",
		Example: "  llem plot results/batches pareto -o pareto.pdf\n" +
			"  llem plot results/batches scaling --y TTFT -o ttft.svg --grey",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return &usageError{"plot takes a study's folder and a chart",
					"charts: " + strings.Join(allCharts(), ", ")}
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return allCharts(), cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(_ *cobra.Command, args []string) error { return env.plot(args[0], args[1], f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.file.Path, "output", "o", "",
		"the file to write: NAME.svg, NAME.pdf or NAME.png (default CHART.svg)")
	flags.StringVar(&f.options.X, "x", "",
		"the metric across, for pareto (llem report --metrics lists all); ttft, itl, tpot, e2e or energy for latency")
	flags.StringVar(&f.options.Y, "y", "", "the metric upwards, for pareto, scaling, cycles and load")
	flags.StringVar(&f.options.Over, "over", "", "the swept key across, for scaling")
	flags.StringVar(&f.options.Run, "run", "", "the run, for power: ID-c2 or the first digits of an id")
	flags.IntVar(&f.file.Columns, "columns", 1, "width in columns of a paper: 1 is 86 mm, 2 is 178 mm")
	flags.Float64Var(&f.file.Style.WidthMM, "width", 0, "width in mm, instead of --columns")
	flags.Float64Var(&f.file.Style.HeightMM, "height", 0, "height in mm (default 60)")
	flags.Float64Var(&f.file.Style.FontPt, "font", 0, "size of the text in points (default 8)")
	flags.Float64Var(&f.file.DPI, "dpi", 300, "dots per inch of a PNG")
	flags.BoolVar(&f.file.Style.Grey, "grey", false, "draw without colours")
	flags.BoolVar(&f.file.Style.Dark, "dark", false, "draw for a dark page")
	completeMetrics(cmd, "x", "y")
	return cmd
}

// allCharts are the charts of any study, and of studies with loads.
func allCharts() []string { return append(picture.Kinds(), picture.LoadKinds()...) }

// plot writes a chart and its data.
func (env *Env) plot(dir, chart string, f plotFlags) error {
	if err := f.file.Check(chart); err != nil {
		return err
	}
	res, damage := env.open(dir)
	if res == nil {
		return damage
	}
	p, err := picture.New(chart, res, f.options)
	if err != nil {
		return err
	}
	if err := inFolder(f.file.Path); err != nil {
		return err
	}
	if err := f.file.Write(p); err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "%s, data: %s\n", f.file.Path, f.file.Data())
	return damage
}
