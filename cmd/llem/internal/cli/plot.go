package cli

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/cmd/llem/internal/picture"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/figure"
)

// plotFlags are the flags of plot.
type plotFlags struct {
	out     string
	style   figure.Style
	columns int
	dpi     float64
	options picture.Options
}

// Widths of a figure in one and in two columns of a paper, in mm.
const (
	oneColumn  = 86
	twoColumns = 178
)

// figureFormats are the files that plot writes, by the end of their names.
var figureFormats = []string{".svg", ".pdf", ".png"}

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
			"  cycles    a metric of every run, in the order in which they ran",
		Example: "  llem plot results/batches pareto -o pareto.pdf\n" +
			"  llem plot results/batches scaling --y TTFT -o ttft.svg --grey",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return &usageError{"plot takes a study's folder and a chart",
					"charts: " + strings.Join(picture.Kinds(), ", ")}
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return picture.Kinds(), cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(_ *cobra.Command, args []string) error { return env.plot(args[0], args[1], f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.out, "output", "o", "", "the file to write: NAME.svg, NAME.pdf or NAME.png (default CHART.svg)")
	flags.StringVar(&f.options.X, "x", "",
		"the metric across, for pareto (llem report --metrics lists all); ttft, itl, tpot, e2e or energy for latency")
	flags.StringVar(&f.options.Y, "y", "", "the metric upwards, for pareto, scaling and cycles")
	flags.StringVar(&f.options.Over, "over", "", "the swept key across, for scaling")
	flags.StringVar(&f.options.Run, "run", "", "the run, for power: ID-c2 or the first digits of an id")
	flags.IntVar(&f.columns, "columns", 1, "width in columns of a paper: 1 is 86 mm, 2 is 178 mm")
	flags.Float64Var(&f.style.WidthMM, "width", 0, "width in mm, instead of --columns")
	flags.Float64Var(&f.style.HeightMM, "height", 0, "height in mm (default 60)")
	flags.Float64Var(&f.style.FontPt, "font", 0, "size of the text in points (default 8)")
	flags.Float64Var(&f.dpi, "dpi", 300, "dots per inch of a PNG")
	flags.BoolVar(&f.style.Grey, "grey", false, "draw without colours")
	flags.BoolVar(&f.style.Dark, "dark", false, "draw for a dark page")
	completeMetrics(cmd, "x", "y")
	return cmd
}

// check refuses flags that no figure can have.
func (f *plotFlags) check(chart string) error {
	if f.columns != 1 && f.columns != 2 {
		return &usageError{fmt.Sprintf("--columns %d is not a width of a figure", f.columns),
			"use 1 or 2, or --width in mm"}
	}
	if f.style.WidthMM == 0 {
		f.style.WidthMM = []float64{oneColumn, twoColumns}[f.columns-1]
	}
	for _, size := range []struct {
		flag        string
		v, low, top float64
	}{{"width", f.style.WidthMM, 20, 2000}, {"height", f.style.HeightMM, 20, 2000}, {"font", f.style.FontPt, 3, 100},
		{"dpi", f.dpi, 10, 2400}} {
		if size.v != 0 && (size.v < size.low || size.v > size.top) {
			return &usageError{fmt.Sprintf("--%s %g is out of range", size.flag, size.v),
				fmt.Sprintf("use %g to %g", size.low, size.top)}
		}
	}
	if f.out == "" {
		f.out = chart + figureFormats[0]
	}
	if end := strings.ToLower(filepath.Ext(f.out)); !slices.Contains(figureFormats, end) {
		last := len(figureFormats) - 1
		return &usageError{fmt.Sprintf("-o %s: %q is not a format of figures", f.out, end),
			"end the name with " + strings.Join(figureFormats[:last], ", ") + " or " + figureFormats[last]}
	}
	return nil
}

// replaceable refuses to replace a file that is not the data of a chart: it has the name that the data gets.
func replaceable(path string) error {
	text, err := disk.ReadFile(path, disk.MaxList)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if len(text) > 0 && !picture.IsData(line) {
		return &usageError{fmt.Sprintf("the data would replace %s, which is not the data of a chart", path),
			"name another file with -o"}
	}
	return nil
}

// plot writes a chart and its data.
func (env *Env) plot(dir, chart string, f plotFlags) error {
	if err := f.check(chart); err != nil {
		return err
	}
	res, damage := env.open(dir)
	if res == nil {
		return damage
	}
	p, err := picture.New(chart, res, f.options)
	if err != nil {
		return wrongChart(err)
	}
	if err := inFolder(f.out); err != nil {
		return err
	}
	data := strings.TrimSuffix(f.out, filepath.Ext(f.out)) + ".csv"
	if err := replaceable(data); err != nil {
		return err
	}
	drawing := p.Draw(f.style)
	if err := disk.WriteFile(f.out, func(w io.Writer) error { return f.write(drawing, w) }); err != nil {
		return err
	}
	if err := disk.WriteFile(data, func(w io.Writer) error { return csv.NewWriter(w).WriteAll(p.Data) }); err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "%s, data: %s\n", f.out, data)
	return damage
}

// wrongChart turns the error of a chart that cannot be drawn into one of usage.
func wrongChart(err error) error {
	if wrong, ok := errors.AsType[*picture.Error](err); ok {
		return &usageError{wrong.What, wrong.Next}
	}
	return err
}

// write writes a drawing in the format of the file's name.
func (f *plotFlags) write(d *figure.Drawing, w io.Writer) error {
	switch strings.ToLower(filepath.Ext(f.out)) {
	case ".pdf":
		return d.PDF(w)
	case ".png":
		return d.PNG(w, f.dpi, f.style.Background())
	}
	return d.SVG(w)
}
