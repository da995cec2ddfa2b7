package page

import (
	"errors"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/loads"
	"github.com/llenergymeasure/llem/cmd/llem/internal/picture"
	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/compare"
	"github.com/llenergymeasure/llem/internal/figure"
	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/result"
)

// Limits keep the page of a large study small.
const (
	maxRows     = 2000  // configurations in the table
	maxMarks    = 2000  // configurations in the drawing of two metrics that needs no script, beside the front
	maxPoints   = 20000 // configurations in the chart of two metrics
	allMetrics  = 1000  // configurations up to which every metric can be chosen
	maxCompared = 8     // configurations up to which every pair is compared
)

const energyMetric = view.EnergyMetric

type builder struct {
	*result.StudyResult
	model  model
	naming naming.Naming
	labels []string
	// metrics has every metric with a value, or with many configurations only the metrics of the table.
	metrics []result.MetricInfo
	// charts draws the study.
	charts picture.Study
	// rows are the places of the runs with a result in Rows, by experiment.
	rows map[string][]int
}

func (b *builder) prepare() {
	b.naming = view.Naming(b.StudyResult)
	b.charts = picture.Of(b.StudyResult)
	b.rows = make(map[string][]int, len(b.Experiments))
	for i, r := range b.Rows {
		if r.Status == result.OK {
			b.rows[r.ID] = append(b.rows[r.ID], i)
		}
	}
	for i := range b.Experiments {
		b.labels = append(b.labels, b.naming.Label(b.Experiments[i].Config))
	}
	for _, m := range result.Metrics() {
		has := slices.ContainsFunc(b.Experiments, func(e result.ExperimentSummary) bool {
			spread, ok := e.Metrics.Get(m.Name)
			return ok && !math.IsNaN(spread.Mean)
		})
		if !has {
			continue
		}
		main := slices.ContainsFunc(view.Wide(), func(c view.Column) bool { return c.Metric == m.Name })
		if main || len(b.Experiments) <= allMetrics {
			b.metrics = append(b.metrics, m)
		}
	}
}

// value returns the figure of a metric and its interval as it is shown.
func (b *builder) value(i int, metric string) (v float64, ci *[2]float64, ok bool) {
	f, ok := view.FigureOf(&b.Experiments[i], metric)
	return f.Value, f.CI95, ok
}

func (b *builder) subtitle() {
	if len(b.Experiments) == 0 {
		return
	}
	first := b.Experiments[0]
	parts := []string{first.Config.Model, first.Device, fmt.Sprintf("%d configurations", len(b.Experiments)),
		fmt.Sprintf("%d of %d runs ok", b.OK, b.Planned), b.Finished.UTC().Format("2006-01-02")}
	b.model.Subtitle = strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), " · ")
	b.model.Marks = append(b.model.Marks, unmeasured(b.Experiments)...)
	if strings.HasPrefix(first.Config.Model, "random:") {
		b.model.Marks = append(b.model.Marks, "Random weights: the arithmetic of the shape, not a trained model.")
	}
}

// unmeasured are sentences about energy that no sensor measured, one for each origin.
func unmeasured(all []result.ExperimentSummary) []string {
	var kinds, out []string
	of := map[string]int{}
	for _, e := range all {
		k := string(e.Provenance)
		if k == "" || k == string(result.Measured) {
			continue
		}
		if of[k]++; of[k] == 1 {
			kinds = append(kinds, k)
		}
	}
	for _, k := range kinds {
		where, what := "in this report", k+", not measured."
		if of[k] < len(all) {
			where = fmt.Sprintf("of %d of %d configurations", of[k], len(all))
		}
		if k == string(result.None) {
			what = "not measured."
		}
		out = append(out, "Energy "+where+" is "+what)
	}
	return out
}

// answer states what comes first: of a study with loads the cheapest one within the objective, as on a terminal.
func (b *builder) answer() error {
	all, err := loads.Of(b.StudyResult)
	if err != nil {
		return err
	}
	if len(all.Groups) == 0 {
		b.model.Answer = view.Answer(b.StudyResult, view.NameConfigurations(b.StudyResult))
		return nil
	}
	answers := all.Answers()
	b.model.Answer, b.model.Others = capital(answers[0]), slices.Concat(answers[1:], all.Traces())
	return nil
}

// capital returns a sentence with a capital at its beginning.
func capital(sentence string) string {
	if sentence == "" {
		return ""
	}
	return strings.ToUpper(sentence[:1]) + sentence[1:]
}

// table fills the table of configurations, in the grid's order.
func (b *builder) table() {
	named := view.NameConfigurations(b.StudyResult)
	n := min(len(b.Experiments), maxRows)
	if n < len(b.Experiments) {
		b.model.LeftOut = fmt.Sprintf("The table shows %d of %d configurations; `llem report %s --format csv` has all.",
			maxRows, len(b.Experiments), shell.Quote(b.Dir))
	}
	b.model.Caption = "Figures over the runs, ± their 95 % interval. Rows with a shaded background are on the " +
		"Pareto front of energy and speed."
	columns := view.QueuesIn(b.Experiments[:n]).Columns(view.Wide())
	t := view.TableOf(b.StudyResult, named, columns, n).Filled()
	if t.Names == 0 { // of a single configuration
		t.Names, t.Heads = 1, append([]view.Head{{Text: "configuration"}}, t.Heads...)
		for i := range t.Rows {
			t.Rows[i].Cells = append([]view.Cell{{Text: named.Called(i), Value: math.NaN()}}, t.Rows[i].Cells...)
		}
	}
	for _, h := range t.Heads {
		b.model.Heads = append(b.model.Heads, head{h.Text, h.Meaning})
	}
	for _, r := range t.Rows {
		b.model.Rows = append(b.model.Rows, rowOf(t, r))
	}
	b.model.Missing = view.Missing(b.StudyResult, named, columns, n)
}

// rowOf is a row of the table as the template prints it.
func rowOf(t view.Table, r view.Row) row {
	out := row{ID: r.ID, Front: r.Front}
	for k, c := range r.Cells {
		text := cell{Value: c.Text, Sort: c.Text, Text: k < t.Names}
		switch head := t.Heads[k].Text; {
		case !math.IsNaN(c.Value):
			text.Sort = strconv.FormatFloat(c.Value, 'g', -1, 64)
		case c.Text == table.Missing:
			text.Sort = ""
		case head == view.FlagsHead && k >= t.Names:
			text.Value, text.Flags = "", c.Text
		}
		if strings.HasPrefix(c.Interval, "0…") {
			text.Interval = c.Interval
		} else if c.Interval != "" {
			text.Interval = "±" + c.Interval
		}
		out.Cells = append(out.Cells, text)
	}
	return out
}

// inline draws a chart for the page.
func inline(p *picture.Picture, width, height float64) (template.HTML, error) {
	var w strings.Builder
	if err := p.Draw(figure.Style{WidthMM: width, HeightMM: height}).Inline(&w); err != nil {
		return "", err
	}
	return template.HTML(w.String()), nil //nolint:gosec // package figure escapes every text
}

// figures draws the charts that the study has numbers for.
func (b *builder) figures(d *data) error {
	if len(b.Experiments) > 1 {
		if err := b.draw("pareto", picture.Options{}, 160, 90, &b.model.Pareto); err != nil {
			return err
		}
		b.model.ParetoCaption = "Each mark is a configuration with its 95 % intervals. A full mark is on the " +
			"Pareto front, " +
			"an open one is dominated by value but not beyond the intervals, a faint one is dominated."
		if n := len(b.Experiments); n > maxMarks {
			b.model.ParetoCaption += fmt.Sprintf(
				" Without JavaScript, about %d of %d configurations are drawn, and all "+
					"that are on the front.", maxMarks, n)
		}
	}
	bars := max(40, min(160, 9*float64(len(b.Experiments))+25))
	if len(b.Experiments) <= maxJoules {
		if err := b.draw("phases", picture.Options{}, 178, bars, &b.model.Phases); err != nil {
			return err
		}
	}
	if err := b.divide(); err != nil {
		return err
	}
	if err := b.distributions(); err != nil {
		return err
	}
	if err := b.course(); err != nil {
		return err
	}
	return b.power(d)
}

// course draws how the energy scales with a swept number, and how it moved over the study.
func (b *builder) course() error {
	if len(b.Experiments) > maxJoules {
		return nil
	}
	for _, f := range []struct {
		kind, y, caption string
		height           float64
	}{{picture.LoadChart, "", "Mean power over the rate of completed requests, with the load line and its 95 % band; " +
		"open marks are saturated.", 65},
		{picture.LoadChart, loads.RequestMetric, "Energy per request over the rate: the load line divided by the " +
			"rate, which approaches the marginal energy of a request (dashed).", 65},
		{picture.Frontier, "", "Energy per output token of good requests over the fraction of requests within the " +
			"objective, with 95 % intervals; faint marks are dominated.", 65},
		{"scaling", "", "Energy per output token over the first swept number, with 95 % intervals.", 65},
		{"cycles", "", "Every run in the order in which it ran; a line is the mean of a configuration.",
			55 + 4*float64(len(b.Experiments))}} {
		if f.kind == "cycles" && (len(b.Experiments) > 12 || b.OK <= len(b.Experiments)) {
			continue
		}
		var svg template.HTML
		if err := b.draw(f.kind, picture.Options{Y: f.y}, 105, f.height, &svg); err != nil {
			return err
		}
		if svg != "" {
			b.model.Course = append(b.model.Course, drawn{svg, f.caption})
		}
	}
	return nil
}

// draw draws a chart into a place of the page; it stays empty where the study has no numbers for it.
func (b *builder) draw(kind string, o picture.Options, width, height float64, into *template.HTML) error {
	p, err := b.charts.New(kind, o)
	if _, cannot := errors.AsType[*picture.Error](err); cannot {
		return nil
	}
	if err != nil {
		return err
	}
	if chart, ok := p.Chart.(figure.Pareto); ok {
		p.Chart = thinned(chart)
	}
	*into, err = inline(p, width, height)
	return err
}

// thinned keeps the front of many configurations, and equal steps of the others.
func thinned(chart figure.Pareto) figure.Pareto {
	step := (len(chart.Marks) + maxMarks - 1) / maxMarks
	var kept []figure.Mark
	for i, m := range chart.Marks {
		if i%max(1, step) == 0 || m.Front == figure.OnFront {
			kept = append(kept, m)
		}
	}
	chart.Marks = kept
	return chart
}

// compare compares pairs: all of a few configurations, else each with the one of the least energy.
func (b *builder) compare() error {
	n := len(b.Experiments)
	if n < 2 || n > 200 || len(b.Rows) > 2000 {
		return nil
	}
	all, err := loads.Of(b.StudyResult)
	if err != nil || len(all.Groups) > 0 {
		return errors.Join(err, b.compareLoads(all.Groups))
	}
	best := 0
	for i := range b.Experiments {
		v, _, ok := b.value(i, energyMetric)
		if w, _, has := b.value(best, energyMetric); ok && (!has || v < w) {
			best = i
		}
	}
	sides := make([]compare.Side, n)
	for i, e := range b.Experiments {
		side, err := compare.SideOf(b.StudyResult, e.ID)
		if err != nil {
			return err
		}
		sides[i] = side
	}
	for i := range sides {
		for j := range sides {
			if n <= maxCompared && j <= i || n > maxCompared && (j != best || i == best) ||
				len(sides[i].Runs) == 0 || len(sides[j].Runs) == 0 {
				continue
			}
			found, err := compare.Sides(sides[i], sides[j], compare.Options{})
			if err != nil {
				continue // the two have no number in common
			}
			p := "–"
			if t := found.Metrics[0].Test; t != nil {
				p = strconv.FormatFloat(t.P, 'g', 2, 64)
			}
			b.model.Comparisons = append(b.model.Comparisons, comparison{b.labels[i], b.labels[j], found.Answer, p})
		}
	}
	b.model.CompareCaption = "Each pair by its main metric, with the 95 % interval of the ratio. `llem compare` " +
		"has every metric."
	return nil
}

// sections lists the sections that the page has.
func (b *builder) sections() {
	for _, s := range []struct {
		id, title string
		has       bool
	}{{"configurations", "Configurations", true}, {"pareto", "Two metrics", b.model.Pareto != ""},
		{"joules", "Where the joules go", b.model.Joules != nil || b.model.Phases != ""},
		{"times", "Times of requests", b.model.Times != nil || len(b.model.Latencies) > 0},
		{"power", "Power", b.model.Power != ""}, {"course", "Scaling and drift", len(b.model.Course) > 0},
		{"compare", "Comparison", len(b.model.Comparisons) > 0}, {"doubts", "Limits", true}, {"how", "Method", true}} {
		if s.has {
			b.model.Sections = append(b.model.Sections, section{s.id, s.title})
		}
	}
}
