package screen

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/chart"
	"github.com/llenergymeasure/llem/cmd/llem/internal/picture"
	"github.com/llenergymeasure/llem/cmd/llem/internal/report"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/figure"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/result"
)

// Sizes of a chart in a terminal: with its legend it fits 24 lines.
const (
	chartLines = 23
	chartLeast = 10 // lines of the chart alone
	chartWidth = 80 // columns where the terminal's width is not known, and at most
	chartNamed = 5  // configurations of the front that the legend names
)

// Pareto draws two metrics of a study in the cells of a terminal of a width, 0 if it is not known: the data of
// `llem plot DIR pareto`.
func Pareto(w io.Writer, t report.Terminal, res *result.StudyResult, o picture.Options, width int) error {
	p, err := picture.New(picture.Pareto, res, o)
	if err != nil {
		return err
	}
	pareto, ok := p.Chart.(figure.Pareto)
	if !ok {
		return fmt.Errorf("the chart of two metrics is a %T", p.Chart)
	}
	if p.Mark != "" {
		pareto.Title = p.Mark + " · " + pareto.Title
	}
	return drawChart(w, t, pareto, strings.Join(p.Notes, "   "), min(cmp.Or(width, chartWidth), chartWidth))
}

// drawChart prints the chart of two metrics in at most chartLines lines, if its texts do not wrap often. Names explain
// the names of the configurations.
func drawChart(w io.Writer, t report.Terminal, p figure.Pareto, names string, width int) error {
	front := members(p.Marks, figure.OnFront)
	slices.SortStableFunc(front, func(a, b figure.Mark) int { return cmp.Compare(a.X.Value, b.X.Value) })
	legend := chartLegend(t, p, front, width)
	head := append(folded(table.Clean(p.Title), width), folded("upwards: "+axisName(p.Y), width)...)
	below := folded("across: "+axisName(p.X), width)
	if names != "" {
		below = append(below, folded(names, width)...)
	}
	c := chart.Scatter{Width: width, UnitX: p.X.Unit, UnitY: p.Y.Unit,
		Height: max(chartLeast, chartLines-len(head)-len(below)-len(legend)),
		Paint:  func(k chart.Kind, s string) string { return t.Paint([...]string{"2", "33", "1;32"}[k], s) }}
	for _, m := range p.Marks {
		c.Spots = append(c.Spots, chart.Spot{X: pointOf(m.X), Y: pointOf(m.Y), Kind: kindOf(m.Front),
			Tag: tagOf(front, m)})
	}
	lines, _ := t.Style.Scatter(c)
	text := strings.Join(slices.Concat(head, lines, below, legend), "\n") + "\n"
	_, err := io.WriteString(w, t.Style.Text(text))
	return err
}

// chartLegend explains the marks, and names the configurations of the front.
func chartLegend(t report.Terminal, p figure.Pareto, front []figure.Mark, width int) (out []string) {
	mark := func(k chart.Kind) string { return t.Style.Mark(k) }
	for i, m := range front {
		if i == chartNamed && len(front) > chartNamed+1 {
			out = append(out, fmt.Sprintf("  and %d more on the front", len(front)-i))
			break
		}
		values := axisValue(m.X.Value, p.X) + ", " + axisValue(m.Y.Value, p.Y)
		name := mark(chart.Best) + tagOf(front, m) + " "
		label := t.Style.Text(table.Clean(m.Label))
		if table.Width(name+label+values)+2 <= width {
			out = append(out, name+label+"  "+values)
			continue
		}
		out = append(out, name+cutTo(t.Style, label, width-table.Width(name)), blanks(table.Width(name))+values)
	}
	about := []string{mark(chart.Best) + " Pareto front: no other is better in both"}
	if worse := members(p.Marks, figure.Dominated); len(worse) > 0 {
		about[0] += fmt.Sprintf(" · %s worse (%d)", mark(chart.Worse), len(worse))
	}
	if near := members(p.Marks, figure.Inseparable); len(near) > 0 {
		about = append(about, fmt.Sprintf("%s not separable from the front (%d): the intervals overlap",
			mark(chart.Close), len(near)))
	}
	if slices.ContainsFunc(p.Marks, func(m figure.Mark) bool { return pointOf(m.X).Has() || pointOf(m.Y).Has() }) {
		about = append(about, "lines through marks: 95 % intervals")
	}
	if n := len(p.Left); n > 0 {
		names := p.Left[:min(n, chartNamed)]
		more := ""
		if n > len(names) {
			more = fmt.Sprintf(" and %d more", n-len(names))
		}
		about = append(about, fmt.Sprintf("not drawn (%d), a metric is missing: %s%s", n,
			table.Clean(strings.Join(names, ", ")), more))
	}
	for _, line := range about {
		out = append(out, folded(line, width)...)
	}
	return out
}

// folded breaks a text into lines of a width.
func folded(text string, width int) []string {
	return strings.Split(strings.TrimRight(table.Wrap("", "  ", text, width), "\n"), "\n")
}

// members are the marks of a state.
func members(all []figure.Mark, state figure.Front) (out []figure.Mark) {
	for _, m := range all {
		if m.Front == state {
			out = append(out, m)
		}
	}
	return out
}

// tagOf is the letter of a mark on the front; the others have none.
func tagOf(front []figure.Mark, m figure.Mark) string {
	i := slices.IndexFunc(front, func(f figure.Mark) bool {
		return f.Label == m.Label && f.X.Value == m.X.Value && f.Y.Value == m.Y.Value
	})
	if m.Front != figure.OnFront || i < 0 || i > chartNamed || i == chartNamed && len(front) > chartNamed+1 {
		return ""
	}
	return string(rune('a' + i))
}

func kindOf(f figure.Front) chart.Kind {
	switch f {
	case figure.OnFront:
		return chart.Best
	case figure.Inseparable:
		return chart.Close
	}
	return chart.Worse
}

func pointOf(v figure.Value) chart.Point {
	return chart.Point{Low: v.Low, Value: v.Value, High: v.High}
}

// axisName is the label of an axis with its unit.
func axisName(a figure.Axis) string {
	if a.Unit == "" {
		return a.Label
	}
	return a.Label + " (" + a.Unit + ")"
}

// axisValue prints a value of an axis with its unit, or with the name of the axis that has none.
func axisValue(v float64, a figure.Axis) string {
	if a.Unit == "" {
		return digits.Significant(v, 3) + unitless(a.Label)
	}
	return digits.SI(v, a.Unit)
}

// unitless is a short name of what is counted at an axis without a unit.
func unitless(label string) string {
	if strings.HasSuffix(label, "tokens per second") {
		return " tok/s"
	}
	return ""
}

// cutTo shortens a text to a width, in which its ellipsis has two characters in ASCII.
func cutTo(s chart.Style, text string, width int) string {
	text = s.Text(text)
	if s == chart.ASCII && table.Width(text) > width {
		width--
	}
	return s.Text(table.Cut(text, width))
}
