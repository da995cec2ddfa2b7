package page

import (
	"cmp"
	"errors"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/picture"
	"github.com/llenergymeasure/llem/cmd/llem/internal/report"
	"github.com/llenergymeasure/llem/internal/compare"
	"github.com/llenergymeasure/llem/internal/figure"
	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/internal/shell"
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

// columns are the metrics of the table, where any configuration has them.
var columns = []string{"energy.per_output_token_j", "throughput.output_tokens_per_s", "latency.ttft_ms.p50",
	"latency.ttft_ms.p99", "latency.itl_ms.p50", "energy.phases.prefill.j_per_token",
	"energy.phases.decode.j_per_token",
	"energy.mean_w", "energy.wh_per_1000_requests", "energy.co2e_g", "energy.cost", "energy.node_per_output_token_j"}

const energyMetric = "energy.per_output_token_j"

type builder struct {
	*result.StudyResult
	model  model
	naming naming.Naming
	labels []string
	// metrics has every metric with a value, shown the metrics of the table.
	metrics, shown []result.MetricInfo
	// charts draws the study.
	charts picture.Study
	// rows are the places of the runs with a result in Rows, by experiment.
	rows map[string][]int
}

func (b *builder) prepare() {
	b.naming = report.Naming(b.StudyResult)
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
		main := slices.Contains(columns, m.Name)
		if main || len(b.Experiments) <= allMetrics {
			b.metrics = append(b.metrics, m)
		}
		if main {
			b.shown = append(b.shown, m)
		}
	}
	slices.SortStableFunc(b.shown, func(x, y result.MetricInfo) int {
		return cmp.Compare(slices.Index(columns, x.Name), slices.Index(columns, y.Name))
	})
}

// value returns the mean of a metric and its interval.
func (b *builder) value(i int, metric string) (v float64, ci *[2]float64, ok bool) {
	spread, ok := b.Experiments[i].Metrics.Get(metric)
	if !ok {
		return 0, nil, false
	}
	v, ci, _ = spread.Figure()
	return v, ci, !math.IsNaN(v)
}

// answer is the sentence at the top: which configuration takes the least energy, by how much.
func (b *builder) answer() {
	best, worst := -1, -1
	var low, high float64
	for i := range b.Experiments {
		v, _, ok := b.value(i, energyMetric)
		if !ok {
			continue
		}
		if best < 0 || v < low {
			best, low = i, v
		}
		if worst < 0 || v > high {
			worst, high = i, v
		}
	}
	m, err := result.Metric(energyMetric)
	switch {
	case err != nil || best < 0:
		b.model.Answer = fmt.Sprintf("No configuration has an energy per output token. %d of %d runs were finished.",
			b.OK, b.Planned)
	case best == worst:
		b.model.Answer = fmt.Sprintf("%s per output token%s.", report.Value(low, m.Unit), b.plusMinus(best))
	default:
		b.model.Answer = fmt.Sprintf(
			"%s takes the least energy: %s per output token%s. %s takes the most: %s, %s times as much.",
			b.labels[best], report.Value(low, m.Unit), b.plusMinus(best), b.labels[worst], report.Value(high, m.Unit),
			strconv.FormatFloat(high/low, 'g', 3, 64))
	}
	b.subtitle()
}

func (b *builder) plusMinus(i int) string {
	v, ci, _ := b.value(i, energyMetric)
	if ci == nil || v == 0 {
		return ""
	}
	return fmt.Sprintf(" (95 %%: %s to %s)", report.Value(ci[0], "J"), report.Value(ci[1], "J"))
}

func (b *builder) subtitle() {
	if len(b.Experiments) == 0 {
		return
	}
	first := b.Experiments[0]
	parts := []string{first.Config.Model, first.Device, fmt.Sprintf("%d configurations", len(b.Experiments)),
		fmt.Sprintf("%d of %d runs ok", b.OK, b.Planned), b.Finished.UTC().Format("2006-01-02")}
	b.model.Subtitle = strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), " · ")
	var kinds []string
	for _, e := range b.Experiments {
		if k := string(e.Provenance); k != "" && k != string(result.Measured) && !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	for _, k := range kinds {
		b.model.Marks = append(b.model.Marks, "Energy in this report is "+k+", not measured.")
	}
	if strings.HasPrefix(first.Config.Model, "random:") {
		b.model.Marks = append(b.model.Marks, "Random weights: the arithmetic of the shape, not a trained model.")
	}
}

// table fills the table of configurations, in the grid's order.
func (b *builder) table() {
	b.model.Caption = "Means over runs with 95 % intervals. Rows with a shaded background are on the Pareto front."
	for _, h := range b.naming.Heads() {
		b.model.Heads = append(b.model.Heads, head{h, ""})
	}
	if len(b.naming.Heads()) == 0 {
		b.model.Heads = append(b.model.Heads, head{"configuration", ""})
	}
	b.model.Heads = append(b.model.Heads, head{"runs", "Runs with a result."})
	for _, m := range b.shown {
		b.model.Heads = append(b.model.Heads, head{m.Label, m.Meaning})
	}
	for i := range b.Experiments {
		if i == maxRows {
			b.model.LeftOut = fmt.Sprintf(
				"The table shows %d of %d configurations; `llem report %s --format csv` has all.",
				maxRows, len(b.Experiments), shell.Quote(b.Dir))
			break
		}
		b.model.Rows = append(b.model.Rows, b.row(i))
	}
	b.model.Missing = b.missing()
}

func (b *builder) row(i int) row {
	e := b.Experiments[i]
	out := row{ID: e.ID}
	if e.Standing != nil {
		out.Front = e.Standing.Status
	}
	values := b.naming.Values(e.Config)
	if len(values) == 0 {
		values = []string{b.labels[i]}
	}
	for _, v := range values {
		out.Cells = append(out.Cells, cell{Value: v, Sort: v, Text: true})
	}
	out.Cells = append(out.Cells, cell{Value: strconv.Itoa(e.Compared()), Sort: strconv.Itoa(e.Compared()),
		Flags: strings.Join(b.charts.Flags(i), " ")})
	for _, m := range b.shown {
		v, ci, ok := b.value(i, m.Name)
		if !ok {
			out.Cells = append(out.Cells, cell{Value: "–"})
			continue
		}
		c := cell{Value: strings.TrimSuffix(report.Value(v, m.Unit), " 1/s"), Sort: strconv.FormatFloat(v, 'g', -1, 64)}
		if ci != nil && v != 0 && m.Name == energyMetric {
			c.Interval = fmt.Sprintf("±%.2g %%", 100*max(ci[1]-v, v-ci[0])/math.Abs(v))
		}
		out.Cells = append(out.Cells, c)
	}
	return out
}

// missing are the reasons of the dashes in the table, each once.
func (b *builder) missing() (out []string) {
	add := func(reason string) {
		if reason != "" && !slices.Contains(out, reason) && len(out) < 12 {
			out = append(out, reason)
		}
	}
	for i, e := range b.Experiments {
		add(e.MetricsReason)
		for _, m := range b.shown {
			if _, _, ok := b.value(i, m.Name); ok {
				continue
			}
			for _, why := range e.Missing {
				if why.Holds(m.Name) {
					add(m.Label + ": " + why.Reason)
				}
			}
		}
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
		kind, caption string
		height        float64
	}{{"scaling", "Energy per output token over the first swept number.", 65},
		{"cycles", "Every run in the order in which it ran; a line is the mean of a configuration.",
			55 + 4*float64(len(b.Experiments))}} {
		if f.kind == "cycles" && (len(b.Experiments) > 12 || b.OK <= len(b.Experiments)) {
			continue
		}
		var svg template.HTML
		if err := b.draw(f.kind, picture.Options{}, 105, f.height, &svg); err != nil {
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
