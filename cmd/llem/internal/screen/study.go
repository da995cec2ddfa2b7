package screen

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/chart"
	"github.com/llenergymeasure/llem/cmd/llem/internal/crew"
	"github.com/llenergymeasure/llem/cmd/llem/internal/loads"
	"github.com/llenergymeasure/llem/cmd/llem/internal/report"
	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/metric"
	"github.com/llenergymeasure/llem/internal/nodes"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// Metrics of the columns, where nothing else is asked for.
const (
	energyMetric   = "energy.per_output_token_j"
	totalMetric    = "energy.total_j"
	speedMetric    = "throughput.output_tokens_per_s"
	ttftMetric     = "latency.ttft_ms.p50"
	responseMetric = "latency.response_ttft_ms.p50"
)

// row is a configuration, or a run of the only one.
type row struct {
	names []string
	mark  string
	// why is why there are no figures, in a word.
	why    string
	point  chart.Point
	values []string
	flags  []note.Code
}

// column is a metric of the table. The first one is drawn.
type column struct {
	metric, head, unit string
	info               result.MetricInfo
}

func (c column) text(v float64) string { return view.Number(c.info, v) }

// drawn is the unit of the axis, and the factor that brings values to it.
func (c column) drawn() (unit string, factor float64) {
	if c.unit == "ms" {
		return "s", 1e-3
	}
	return strings.TrimPrefix(c.unit, "1"), 1
}

// columns returns the usual metrics and the metrics of --pareto and --sort, or the metrics of --columns. The
// first has a value.
func (p *page) columns(s *result.StudyResult) []column {
	names := slices.Clone(p.Show)
	if len(names) == 0 {
		names = []string{energyMetric, speedMetric, ttftMetric}
		if !known(s, ttftMetric) && known(s, responseMetric) {
			names[2] = responseMetric
		}
		if !known(s, energyMetric) {
			names = names[1:]
		}
		if !known(s, energyMetric) && !known(s, speedMetric) && known(s, totalMetric) { // of a command
			names = []string{totalMetric, "energy.net_j", "energy.mean_w"}
		}
	}
	for _, name := range append(slices.Clone(p.Front), p.Sort) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	var out []column
	for _, name := range names {
		m, err := result.Metric(name)
		if err != nil {
			continue
		}
		out = append(out, column{name, m.Label, m.Unit, m})
	}
	return out
}

// loadsOf are the loads of a study, if it has several configurations and no other table was asked for.
func (p *page) loadsOf(s *result.StudyResult) (loads.Study, error) {
	if len(s.Experiments) < 2 || len(p.Show)+len(p.Front) > 0 || p.Sort != "" {
		return loads.Study{}, nil
	}
	return loads.Of(s)
}

func known(s *result.StudyResult, metric string) bool {
	return slices.ContainsFunc(s.Experiments, func(e result.ExperimentSummary) bool {
		_, ok := e.Metrics.Get(metric)
		return ok
	})
}

// study writes the configurations of a study, or the cycles of its only one.
func (p *page) study(s *result.StudyResult) error {
	p.painted(bold, "", "  ", report.Tally(s)+provenance(s), 0)
	if all := crew.Spent(s.Workers); all != nil {
		p.facts(plain, "", "  ", all)
	}
	if len(s.Experiments) == 0 {
		return nil
	}
	columns := p.columns(s)
	named := view.NameConfigurations(s)
	if common := named.Common(); common != "" {
		p.facts(plain, "", "  ", strings.Split(common, separator))
	}
	all, err := p.loadsOf(s)
	if err != nil {
		return err
	}
	if len(all.Groups) > 0 {
		p.loads(all)
		return p.notes(s, all.Groups, named, columns)
	}
	shown := p.Limited(len(s.Experiments))
	rows := make([]row, shown)
	for i := range rows {
		rows[i] = p.configuration(s, i, columns)
		rows[i].names = named.Cells(i)
	}
	names := named.Table("configuration", nil)
	if len(s.Experiments) == 1 && len(s.Runs) > 1 {
		names, rows = p.cycles(s, names, rows, columns)
	}
	if measured(s) || len(rows) > 1 {
		p.blank()
		p.draw(names, rows, columns)
		p.legend(s, rows, shown)
	}
	return p.notes(s, nil, named, columns)
}

// provenance marks energy that is not measured, in the first line.
func provenance(s *result.StudyResult) string {
	seen := map[result.Provenance]bool{}
	for _, e := range s.Experiments {
		if e.Status == result.OK {
			seen[e.Provenance] = true
		}
	}
	var words []string
	for _, q := range []result.Provenance{result.Simulated, result.Modelled} {
		if seen[q] && len(seen) == 1 {
			words = append(words, "energy "+strings.ToUpper(string(q)))
		} else if seen[q] {
			words = append(words, "some energy "+strings.ToUpper(string(q)))
		}
	}
	if len(words) == 0 {
		return ""
	}
	return separator + strings.Join(words, separator)
}

// configuration is the row of a configuration.
func (p *page) configuration(s *result.StudyResult, i int, columns []column) row {
	e := s.Experiments[i]
	out := row{point: chart.Bare(math.NaN()), flags: e.Flags}
	if e.Standing != nil {
		switch e.Standing.Status {
		case "front":
			out.mark = p.Style.Star()
		case "uncertain":
			out.mark = "?"
		}
	}
	for k, c := range columns {
		text := table.Missing
		if f, ok := view.FigureOf(&e, c.metric); ok {
			text = c.text(f.Value)
			if k == 0 {
				out.point = point(f.Value, f.CI95)
				if f.CI95 == nil && c.metric == energyMetric {
					out.point = ofTheRun(s, e.ID, out.point)
				}
			}
		}
		out.values = append(out.values, text)
	}
	switch {
	case e.Status != result.OK:
		out.why = string(e.Status)
	case e.Compared() == 0:
		out.why = "not compared"
	case math.IsNaN(out.point.Value):
		out.why = "not measured"
	}
	return out
}

// cycles adds the runs of the only configuration to the row of their mean.
func (p *page) cycles(s *result.StudyResult, names table.Table, rows []row, columns []column) (table.Table, []row) {
	names.Head, names.Names = append([]string{"cycle"}, names.Head...), names.Names+1
	for i := range rows {
		rows[i].mark = ""
		rows[i].names = append([]string{"mean"}, rows[i].names...)
	}
	for _, r := range s.Runs[:p.Limited(len(s.Runs))] {
		out := row{names: append([]string{strconv.Itoa(r.Cycle)}, rows[0].names[1:]...), flags: r.Marks(),
			point: chart.Bare(math.NaN())}
		for k, c := range columns {
			text := table.Missing
			m, err := result.Metric(c.metric)
			if v, ok := m.Value(r); ok && err == nil {
				text = c.text(v)
				if k == 0 {
					out.point = chart.Bare(v)
					if c.metric == energyMetric {
						out.point = point(v, &r.Energy.PerOutputTokenJ.CI95)
					}
				}
			}
			out.values = append(out.values, text)
		}
		if r.Status != result.OK {
			out.why = string(r.Status)
		}
		rows = append(rows, out)
	}
	return names, rows
}

func point(v float64, ci95 *[2]float64) chart.Point {
	if ci95 == nil {
		return chart.Bare(v)
	}
	return chart.Point{Low: ci95[0], Value: v, High: ci95[1]}
}

// ofTheRun is the energy of a configuration's only run with the interval of that run.
func ofTheRun(s *result.StudyResult, id string, p chart.Point) chart.Point {
	for _, r := range s.Runs {
		if q := r.Energy.PerOutputTokenJ; r.ID == id && r.Comparable() && q != nil {
			return chart.Point{Low: q.CI95[0], Value: p.Value, High: q.CI95[1]}
		}
	}
	return p
}

// Widths of the drawing, in cells.
const leastPlot, mostPlot = 14, 44

// draw writes the table, with as many columns of figures as there is room for.
func (p *page) draw(names table.Table, rows []row, columns []column) {
	unit, factor := columns[0].drawn()
	points := make([]chart.Point, len(rows))
	for i, r := range rows {
		points[i] = chart.Point{Low: factor * r.point.Low, Value: factor * r.point.Value, High: factor * r.point.High}
	}
	n := len(columns)
	t := p.layout(names, rows, columns, n, "", nil)
	for ; n > 1 && p.room(t) < leastPlot; n-- {
		t = p.layout(names, rows, columns, n-1, "", nil)
	}
	scale := chart.NewScale(points, min(mostPlot, max(leastPlot, p.room(t))))
	plots := make([]string, len(rows))
	for i, r := range rows {
		plots[i] = p.Style.Whisker(scale, points[i])
		if r.why != "" {
			plots[i] = table.Pad(table.Cut(r.why, scale.Width), scale.Width)
		}
	}
	axis := ""
	if slices.ContainsFunc(points, func(q chart.Point) bool { return !math.IsNaN(q.Value) }) {
		axis = scale.Axis(unit)
	}
	t = p.layout(names, rows, columns, n, axis, plots)
	head, lines := t.Lines(p.width)
	p.b.WriteString(p.paint(bold, p.Style.Text(head)) + "\n")
	for i, l := range lines {
		mark := rows[i].mark
		if mark != "" {
			l = mark + strings.TrimPrefix(l, " ")
		}
		p.line(l)
	}
}

// room is how many cells the table leaves for the drawing.
func (p *page) room(t table.Table) int {
	head, lines := t.Lines(0)
	widest := table.Width(head)
	for _, l := range lines {
		widest = max(widest, table.Width(l))
	}
	return p.width - widest - 2
}

// layout is the table with the first n columns of figures, and the drawings where there are any.
func (p *page) layout(names table.Table, rows []row, columns []column, n int, axis string, plots []string) table.Table {
	t := names
	t.Head = append(slices.Clone(names.Head), columns[0].head)
	if plots != nil {
		t.Head = append(t.Head, axis)
	}
	for _, c := range columns[1:n] {
		t.Head = append(t.Head, c.head)
	}
	t.Rows = nil
	for i, r := range rows {
		value := r.values[0]
		if len(marks(r.flags)) > 0 {
			value = "! " + value
		}
		cells := append(slices.Clone(r.names), value)
		if plots != nil {
			cells = append(cells, plots[i])
		}
		t.Rows = append(t.Rows, append(cells, r.values[1:n]...))
	}
	return t
}

// marks are the flags that no other word of the table repeats.
func marks(flags []note.Code) []note.Code {
	return slices.DeleteFunc(slices.Clone(flags), func(c note.Code) bool {
		return c == codes.Simulated || c == codes.Synthetic
	})
}

// legend explains the marks and what the intervals are of.
func (p *page) legend(s *result.StudyResult, rows []row, shown int) {
	if all := len(s.Experiments); shown < all {
		p.painted(plain, "  ", "  ", fmt.Sprintf("the first %d of %s: --top N shows the best, --limit 0 all", shown,
			digits.Count(all, "configuration")), 0)
	}
	var facts []string
	has := func(mark string) bool {
		return slices.ContainsFunc(rows, func(r row) bool { return r.mark == mark })
	}
	if has(p.Style.Star()) {
		facts = append(facts, p.Style.Star()+" on the Pareto front of "+p.front())
	}
	if has("?") {
		text := "? not separable from it (95 %)"
		if !repeated(s) {
			text = "? dominated by value; one run each, not tested"
		}
		facts = append(facts, text)
	}
	if slices.ContainsFunc(rows, func(r row) bool { return !math.IsNaN(r.point.Low) }) {
		what := "95 % of the mean over cycles"
		if !repeated(s) {
			what = "95 % of the run's energy"
		}
		facts = append(facts, p.Style.Range()+" "+what)
	}
	if len(facts) > 0 {
		p.facts(dim, "  ", "  ", facts)
	}
	if flagged := flagged(s, rows); len(flagged) > 0 {
		flagged[0] = "! " + flagged[0]
		p.facts(yellow, "  ", "    ", flagged)
	}
}

// flagged names the flags of rows, and how many runs have each.
func flagged(s *result.StudyResult, rows []row) (facts []string) {
	runs := map[note.Code]int{}
	for _, d := range view.Doubts(s) {
		runs[d.Code] = d.Runs
	}
	seen := map[note.Code]bool{}
	for _, r := range rows {
		for _, c := range marks(r.flags) {
			if seen[c] {
				continue
			}
			seen[c] = true
			text := string(c)
			if n := runs[c]; n > 0 {
				text += " in " + digits.Count(n, "run")
			}
			facts = append(facts, text)
		}
	}
	return facts
}

func (p *page) front() string {
	if len(p.Front) > 0 {
		heads := make([]string, len(p.Front))
		for i, name := range p.Front {
			heads[i] = metric.Head(name)
		}
		return strings.Join(heads, " and ")
	}
	return "energy and speed"
}

func repeated(s *result.StudyResult) bool {
	return slices.ContainsFunc(s.Experiments, func(e result.ExperimentSummary) bool { return e.OK+e.Failed > 1 })
}

// measured reports whether a run of a study has a result.
func measured(s *result.StudyResult) bool {
	return slices.ContainsFunc(s.Experiments, func(e result.ExperimentSummary) bool { return e.OK > 0 })
}

// notes writes the outcome of the repeats, failures, exclusions, and the heaviest cautions. Groups are the
// configurations with loads.
func (p *page) notes(s *result.StudyResult, groups []loads.Group, named view.Names, columns []column) error {
	if repeated(s) && measured(s) {
		p.repeats(s, named, columns)
	}
	if err := p.failures(s, named); err != nil {
		return err
	}
	p.retry(s)
	for _, e := range s.Experiments {
		for _, x := range e.Excluded {
			p.painted(yellow, "  ", "    ", fmt.Sprintf("%s: not compared, %s: %s", named.Label(e.Config),
				digits.Count(x.Runs, "run"), x.Message), 2)
			p.painted(plain, "    next: ", "      ", x.Next, 0)
		}
	}
	p.blank()
	if !measured(s) {
		p.command("details", "llem report -v "+shell.Path(s.Dir))
		return nil
	}
	p.cautions(s.Dir, studyDoubts(s, named), toldOfStudy(s))
	if a, b := two(s, groups); a != "" {
		p.command("compare two", "llem compare "+shell.Quote(shell.Short(s.Dir)+":"+a)+" "+shell.Quote(":"+b))
	}
	return nil
}

// failuresShown is how many failures are described, and labelsShown how many of the
// configurations that have one failure
// are named.
const failuresShown, labelsShown = 3, 2

// failures writes why runs have no result, each reason once.
func (p *page) failures(s *result.StudyResult, named view.Names) error {
	all, err := view.FailingOf(s, failuresShown)
	if err != nil {
		return err
	}
	for _, f := range all[:min(len(all), failuresShown)] {
		r := f.First
		p.painted(red, "  ", "    ", who(f, named, s)+outcome(r.Status, r.Failure), 2)
		p.next("    next: ", "      ", r.Status, r.Failure.Next)
	}
	if n := len(all) - failuresShown; n > 0 {
		p.painted(plain, "  ", "    ", digits.Count(n, "more reason")+" in the full report", 0)
	}
	return nil
}

// who names the configurations whose runs failed, before the reason.
func who(f view.Failing, named view.Names, s *result.StudyResult) string {
	var labels []string
	seen := map[string]bool{}
	for _, r := range f.Runs {
		if !seen[r.ID] {
			seen[r.ID] = true
			labels = append(labels, named.Label(r.Config))
		}
	}
	switch n := len(labels) - labelsShown; {
	case len(f.Runs) == max(len(s.Runs), len(s.Rows)) && len(f.Runs) > 1:
		return "every run "
	case len(s.Experiments) == 1:
		return "" // there is nothing to tell it from
	case n > 0:
		return fmt.Sprintf("%s and %d more: ", strings.Join(labels[:labelsShown], ", "), n)
	}
	return strings.Join(labels, ", ") + ": "
}

// repeats writes what repeating has shown: drifts, outliers, runs that are not compared.
func (p *page) repeats(s *result.StudyResult, named view.Names, columns []column) {
	found := map[note.Code][]string{}
	excluded := 0
	drifts := report.Drifts(s)
	for i, e := range s.Experiments {
		if drifts[i] {
			found[codes.Drift] = append(found[codes.Drift], named.Called(i))
		}
		excluded += e.OK - e.Compared()
		for _, c := range columns {
			m, _ := e.Metrics.Get(c.metric)
			for _, w := range m.Caveats {
				label := named.Called(i)
				if w.Code == codes.Outliers && !slices.Contains(found[w.Code], label) {
					found[w.Code] = append(found[w.Code], label)
				}
			}
		}
	}
	count := func(word string, code note.Code) string {
		switch labels := found[code]; {
		case len(labels) == 0:
			return word + " none"
		case len(labels) == 1:
			return fmt.Sprintf("%s 1 (%s)", word, labels[0])
		default:
			return fmt.Sprintf("%s %d (%s, …)", word, len(labels), labels[0])
		}
	}
	drift := count("drift", codes.Drift)
	if unknown := report.DriftUnknown(s); unknown != "" {
		drift = unknown
	}
	facts := []string{drift, count("outliers", codes.Outliers)}
	if excluded > 0 {
		facts = append(facts, fmt.Sprintf("not compared %d", excluded))
	}
	if machines := nodes.Fact(s); machines != "" {
		facts = append(facts, machines)
	}
	p.facts(plain, "  ", "    ", facts)
}

// two name two configurations to compare: the first on the front and the first that is not, by their short ids. Of
// configurations with loads they are the first two at all their loads, and none if there is one.
func two(s *result.StudyResult, groups []loads.Group) (a, b string) {
	if len(groups) > 1 {
		return loads.Selector(groups[0], groups), loads.Selector(groups[1], groups)
	} else if len(groups) == 1 {
		return "", ""
	}
	var ids []string
	for _, e := range s.Experiments {
		ids = append(ids, e.ID)
	}
	for _, e := range s.Experiments {
		switch front := e.Standing != nil && e.Standing.Status == "front"; {
		case e.Compared() == 0:
		case a == "" && front:
			a = short(e.ID, ids)
		case b == "":
			b = short(e.ID, ids)
		}
	}
	if a == "" || b == "" {
		return "", ""
	}
	return a, b
}

// short is the beginning of an id that no other has, 4 digits at least.
func short(id string, all []string) string {
	for n := 4; n < len(id); n++ {
		if !slices.ContainsFunc(all, func(o string) bool { return o != id && strings.HasPrefix(o, id[:n]) }) {
			return id[:n]
		}
	}
	return id
}

// studyDoubts are the doubts about a study, its configurations and its runs.
func studyDoubts(s *result.StudyResult, named view.Names) []doubt {
	var all []doubt
	for _, n := range s.Caveats {
		all = append(all, doubtOf(n, ""))
	}
	for i, e := range s.Experiments {
		for _, n := range e.Caveats {
			k := slices.IndexFunc(all, func(d doubt) bool { return d.Code == n.Code })
			if k >= 0 {
				continue
			}
			all = append(all, doubtOf(n, named.Called(i)))
		}
	}
	runs := max(len(s.Runs), len(s.Rows))
	for _, d := range view.Doubts(s) {
		all = append(all, doubtOf(d.Note, ofRuns(d.Runs, runs)))
	}
	return ranked(all)
}

// toldOfStudy are the codes that other words of the screen repeat.
func toldOfStudy(s *result.StudyResult) []note.Code {
	out := []note.Code{codes.Simulated, codes.GPUForeignWork, codes.UnequalWork, codes.RequestsFailed}
	if slices.ContainsFunc(s.Experiments, func(e result.ExperimentSummary) bool {
		return !strings.HasPrefix(e.Config.Model, "random:")
	}) {
		return out
	}
	return append(out, codes.Synthetic)
}
