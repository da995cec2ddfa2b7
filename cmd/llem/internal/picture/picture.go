// Package picture makes charts of a study from its folder alone. Each chart comes with the table of its data, so that
// what a figure shows can be computed again, or drawn by another program.
package picture

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/figure"
	"github.com/llenergymeasure/llem/internal/metric"
	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// Options choose what a chart shows.
type Options struct {
	// X and Y are metrics; empty takes the usual metrics of the chart.
	X, Y string
	// Over is the swept key of a chart of scaling; empty takes the first whose values are numbers.
	Over string
	// Run is the run of a chart of power, as ID-cCYCLE or the first digits of an id; empty takes the first.
	Run string
	// Only are the ids of the configurations in a chart of latency; empty takes all.
	Only []string
}

// Picture is a chart and the table behind it, whose first row names the columns and their units.
type Picture struct {
	Chart figure.Chart
	Data  [][]string
	// Mark qualifies all numbers of the chart: energy that is not measured.
	Mark string
	// Notes explain the names in the chart: their parts, and the letters of flags.
	Notes []string
}

// Draw draws the chart with its mark and its notes.
func (p *Picture) Draw(style figure.Style) *figure.Drawing {
	return figure.Noted{Chart: p.Chart, Mark: p.Mark, Notes: p.Notes}.Draw(style)
}

// PowerChart is the kind of the chart of a run's power.
const PowerChart = "power"

// Pareto is the kind of the chart of two metrics.
const Pareto = "pareto"

// IsData reports whether a file begins as the data of a chart does, by its first line.
func IsData(line string) bool {
	return strings.HasPrefix(line, "id,configuration,") || strings.HasPrefix(line, "seconds,watts,")
}

// Kinds are the charts of every study, in the order in which help lists them; see [LoadKinds].
func Kinds() []string {
	return []string{Pareto, "phases", PowerChart, "latency", "scaling", "cycles"}
}

// Error is a chart that cannot be drawn of a study.
type Error struct{ What, Next string }

// Error returns what is wrong.
func (e *Error) Error() string { return e.What }

// NextStep returns what to do about it.
func (e *Error) NextStep() string { return e.Next }

// IsUsage marks a mistake of the command line.
func (e *Error) IsUsage() {}

// New makes a chart of a kind of a study.
func New(kind string, s *result.StudyResult, o Options) (*Picture, error) { return Of(s).New(kind, o) }

// Study makes several charts of a study.
type Study struct{ study }

// Of prepares the charts of a study: the names of its configurations are found once.
func Of(s *result.StudyResult) Study {
	out := study{StudyResult: s, naming: view.Naming(s), flags: flagsOf(s)}
	out.name()
	return Study{out}
}

// Flags are the flags of a configuration that not every configuration of the study has.
func (s Study) Flags(i int) []string { return s.flags[i] }

// Groups returns the series into which charts sort the configurations, and the series of each.
func (s Study) Groups() (names []string, of []int) { return s.groups() }

// New makes a chart of a kind.
func (s Study) New(kind string, o Options) (*Picture, error) {
	p := s.study
	draw, ok := map[string]func(Options) (*Picture, error){Pareto: p.pareto, "phases": p.phases, PowerChart: p.power,
		"latency": p.latency, "scaling": p.scaling, "cycles": p.cycles,
		LoadChart: p.load, Frontier: p.frontier}[kind]
	if !ok {
		return nil, &Error{fmt.Sprintf("there is no chart %q", kind),
			"use one of " + strings.Join(append(Kinds(), LoadKinds()...), ", ")}
	}
	out, err := draw(o)
	if err != nil {
		return nil, err
	}
	if kind != PowerChart { // which has the mark of its run
		out.Mark = s.Mark()
	}
	switch kind {
	case PowerChart: // which has the marks of its run
	case "scaling": // which names no configurations
		out.Notes = s.notes[s.flagNotes:]
	default:
		out.Notes = append(out.Notes, s.notes...)
	}
	return out, nil
}

// study is a study with the names of its configurations.
type study struct {
	*result.StudyResult
	naming naming.Naming
	// names are the configurations with their flags in words, labels with the flags as letters, by experiment.
	names, labels []string
	flags         [][]string // by experiment
	marks         []string   // the letters of the flags, such as [ab], by experiment
	notes         []string   // explain the labels
	flagNotes     int        // index of the first note that explains a letter
}

// maxLabel is the length up to which a label names its keys; longer labels are the values in the order of the keys.
const maxLabel = 26

// name names the configurations, with the flags that not all of them have: in words for data, and as letters for
// charts, which have little room. Notes explain the letters, and the parts of names that are values alone.
func (s *study) name() {
	n := len(s.Experiments)
	s.names, s.labels, s.marks = make([]string, n), make([]string, n), make([]string, n)
	var letters []string
	shortened := false
	for i, e := range s.Experiments {
		label := s.naming.Label(e.Config)
		if len(label) > maxLabel {
			if values := strings.Join(s.naming.Values(e.Config), " · "); values != "" {
				label, shortened = values, true
			}
		}
		s.names[i] = label
		var marks []string
		for _, flag := range s.flags[i] {
			s.names[i] += " [" + flag + "]"
			at := slices.Index(letters, flag)
			if at < 0 {
				at, letters = len(letters), append(letters, flag)
			}
			marks = append(marks, letter(at))
		}
		if s.labels[i] = label; len(marks) > 0 {
			s.marks[i] = "[" + strings.Join(marks, "") + "]"
			s.labels[i] += " " + s.marks[i]
		}
	}
	if heads := s.naming.Heads(); shortened && len(heads) > 1 {
		s.notes = append(s.notes, "names: "+strings.Join(heads, " · "))
	}
	s.flagNotes = len(s.notes)
	for i, flag := range letters {
		s.notes = append(s.notes, "["+letter(i)+"] "+flag)
	}
}

// letter is the mark of a flag.
func letter(i int) string { return string(rune('a' + i%26)) }

// flagsOf returns the flags of each configuration that not every configuration of the study has.
func flagsOf(s *result.StudyResult) [][]string {
	count := map[note.Code]int{}
	for _, e := range s.Experiments {
		for i, flag := range e.Flags {
			if !slices.Contains(e.Flags[:i], flag) {
				count[flag]++
			}
		}
	}
	out := make([][]string, len(s.Experiments))
	for i, e := range s.Experiments {
		for _, flag := range e.Flags {
			if count[flag] < len(s.Experiments) {
				out[i] = append(out[i], string(flag))
			}
		}
	}
	return out
}

// Label is the name of a metric at an axis.
func Label(m result.MetricInfo) string { return metric.Title(m.Name) }

// source returns what the energies of the study are, where they are not all measured: simulated, modelled, or several.
func (s study) source() string {
	var kinds []string
	for _, e := range s.Experiments {
		kind := string(e.Provenance)
		if slices.Contains(e.Flags, codes.Simulated) { // of which the energy may be unknown
			kind = string(result.Simulated)
		}
		if kind != "" && !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) > 1 { // a configuration without energy is in no chart of energies
		kinds = slices.DeleteFunc(kinds, func(kind string) bool { return kind == string(result.None) })
	}
	if len(kinds) == 1 && kinds[0] == string(result.Measured) {
		return ""
	}
	return strings.Join(kinds, " and ")
}

// Mark qualifies all numbers of the study, where its energies are not all measured; else it is empty.
func (s study) Mark() string { return markOf(s.source()) }

// markOf qualifies numbers by what their energies are.
func markOf(kinds string) string {
	switch {
	case kinds == "":
		return ""
	case kinds == string(result.Simulated):
		return "simulated, not measured"
	case strings.Contains(kinds, string(result.Measured)):
		return "energy: " + kinds
	}
	return "energy " + kinds + ", not measured"
}

// title names the study and what it measured.
func (s study) title() string {
	if len(s.Experiments) == 0 {
		return s.Name
	}
	text := s.Experiments[0].Config.Model
	if s.Name != "" {
		text = s.Name + ": " + text
	}
	if d := s.Experiments[0].Device; d != "" {
		text += " on " + d
	}
	return text
}

// axis returns the axis of a metric and the factor that brings its values to the unit of the axis. Energy that is not
// measured is named so.
func (s study) axis(m result.MetricInfo) (figure.Axis, float64) {
	label := Label(m)
	if kind := s.source(); kind != "" && (strings.HasPrefix(m.Name, "energy.") || m.Unit == "J") {
		label += ", " + kind
	}
	switch m.Unit {
	case "ms":
		return figure.Axis{Label: label, Unit: "s"}, 1e-3
	case "J", "W", "s", "B", "Wh", "FLOP", "FLOP/s":
		return figure.Axis{Label: label, Unit: m.Unit}, 1
	case "":
		return figure.Axis{Label: label}, 1
	}
	if m.Unit == "1/s" {
		return figure.Axis{Label: label}, 1
	}
	return figure.Axis{Label: label + " (" + m.Unit + ")"}, 1
}

// metricOf returns a metric as a user names it, or the usual one.
func metricOf(name, usual string) (result.MetricInfo, error) {
	m, err := result.Metric(cmp.Or(name, usual))
	if unknown, ok := errors.AsType[*metric.UnknownError](err); ok {
		return m, &Error{unknown.Error(), unknown.NextStep()}
	}
	return m, err
}

// value returns the mean of a metric over the runs of a configuration with its interval: for a single run its own.
func (s study) value(i int, m result.MetricInfo, factor float64) (figure.Value, bool) {
	f, ok := view.FigureOf(&s.Experiments[i], m.Name)
	if !ok {
		return figure.Value{}, false
	}
	out := figure.Exactly(f.Value * factor)
	if f.CI95 != nil {
		out.Low, out.High = f.CI95[0]*factor, f.CI95[1]*factor
	}
	return out, true
}

// groups sorts the configurations into series by the first key that varies, if at most six values tell them apart.
func (s study) groups() (names []string, of []int) {
	of = make([]int, len(s.Experiments))
	naming := s.naming
	for column := range naming.Heads() {
		names = nil
		for i := range s.Experiments {
			v := naming.Values(s.Experiments[i].Config)[column]
			at := slices.Index(names, v)
			if at < 0 {
				at, names = len(names), append(names, v)
			}
			of[i] = at
		}
		if len(names) > 1 && len(names) <= 6 && len(names) < len(s.Experiments) {
			head := naming.Heads()[column]
			for i, v := range names {
				if _, err := strconv.ParseFloat(v, 64); err == nil || v == "default" {
					names[i] = head + " " + v
				}
			}
			return names, of
		}
	}
	return nil, make([]int, len(s.Experiments))
}

func (s study) pareto(o Options) (*Picture, error) {
	mx, err := metricOf(o.X, "throughput.output_tokens_per_s")
	if err != nil {
		return nil, err
	}
	my, err := metricOf(o.Y, "energy.per_output_token_j")
	if err != nil {
		return nil, err
	}
	standings, err := s.Pareto(mx.Name, my.Name)
	if err != nil {
		return nil, &Error{err.Error(), "choose other metrics with --x and --y"}
	}
	x, fx := s.axis(mx)
	y, fy := s.axis(my)
	chart := figure.Pareto{Title: s.title()}
	var of []int
	chart.Series, of = s.groups()
	data := [][]string{{"id", "configuration", mx.Name, "low", "high", my.Name, "low", "high", "front"}}
	var xs, ys []float64
	for i := range s.Experiments {
		vx, okX := s.value(i, mx, fx)
		vy, okY := s.value(i, my, fy)
		if !okX || !okY {
			chart.Left = append(chart.Left, s.names[i])
			continue
		}
		xs, ys = append(xs, vx.Value), append(ys, vy.Value)
		chart.Marks = append(chart.Marks, figure.Mark{X: vx, Y: vy, Label: s.labels[i], Series: of[i],
			Front: front(standings[i].Status)})
		data = append(data, append([]string{s.Experiments[i].ID, s.names[i]},
			append(append(cells(vx, fx), cells(vy, fy)...), standings[i].Status)...))
	}
	if len(chart.Marks) == 0 {
		return nil, s.nothing(mx.Name, my.Name)
	}
	if len(chart.Left) > 0 { // nothing is left out in silence
		chart.Title += fmt.Sprintf(" · %d of %s", len(chart.Marks), digits.Count(len(s.Experiments), "configuration"))
	}
	x.Log, y.Log = figure.AutoLog(xs), figure.AutoLog(ys)
	chart.X, chart.Y = x, y
	return &Picture{Chart: chart, Data: data}, nil
}

func front(status string) figure.Front {
	switch status {
	case "front":
		return figure.OnFront
	case "uncertain":
		return figure.Inseparable
	}
	return figure.Dominated
}

// nothing is the error of a study without the metrics of a chart, with the reason that its runs give.
func (s study) nothing(metrics ...string) error {
	what, why := "no configuration has "+strings.Join(metrics, " and "), ""
	succeeded := slices.ContainsFunc(s.Experiments, func(e result.ExperimentSummary) bool {
		return e.MetricsReason == ""
	})
	for _, e := range s.Experiments {
		for _, m := range e.Missing {
			if why == "" && slices.ContainsFunc(metrics, m.Holds) {
				why = ": " + m.Reason
			}
		}
		if why == "" && !succeeded {
			why = ": " + e.MetricsReason
		}
	}
	return &Error{what + why, "choose other metrics with --x and --y, or measure again with this version of llem"}
}

// cells prints a value and its interval in the unit of its metric.
func cells(v figure.Value, factor float64) []string {
	out := make([]string, 3)
	for i, x := range []float64{v.Value, v.Low, v.High} {
		if !math.IsNaN(x) {
			out[i] = number(x / factor)
		}
	}
	return out
}

func number(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return strconv.FormatFloat(v, 'g', 9, 64)
}

func (s study) phases(Options) (*Picture, error) {
	parts := []struct{ metric, label string }{{"energy.phases.prefill.energy_j", "prefill"},
		{"energy.phases.decode.energy_j", "decode"}, {"energy.phases.other.energy_j", "other"},
		{"energy.unattributed_j", "not attributed"}}
	m, err := metricOf("", "energy.per_output_token_j")
	if err != nil {
		return nil, err
	}
	x, _ := s.axis(m)
	chart := figure.Phases{Title: s.title(), X: x}
	head := []string{"id", "configuration", m.Name, "low", "high"}
	for _, p := range parts {
		chart.Parts, head = append(chart.Parts, p.label), append(head, p.label+"_j_per_output_token")
	}
	data := [][]string{head}
	for i := range s.Experiments {
		total, ok := s.value(i, m, 1)
		if !ok {
			continue
		}
		bar := figure.Bar{Label: s.labels[i], Total: total}
		row := append([]string{s.Experiments[i].ID, s.names[i]}, cells(total, 1)...)
		for _, p := range parts {
			v := s.perToken(i, p.metric, total.Value)
			bar.Parts, row = append(bar.Parts, v), append(row, number(v))
		}
		chart.Bars, data = append(chart.Bars, bar), append(data, row)
	}
	if len(chart.Bars) == 0 {
		return nil, s.nothing(m.Name)
	}
	return &Picture{Chart: chart, Data: data}, nil
}

// perToken returns a part of the energy per output token: its share of the total, of means over the runs.
func (s study) perToken(i int, part string, perToken float64) float64 {
	p, ok := s.Experiments[i].Metrics.Get(part)
	total, has := s.Experiments[i].Metrics.Get("energy.total_j")
	if !ok || !has || total.Mean <= 0 {
		return math.NaN()
	}
	return p.Mean / total.Mean * perToken
}

func (s study) cycles(o Options) (*Picture, error) {
	m, err := metricOf(o.Y, "energy.per_output_token_j")
	if err != nil {
		return nil, err
	}
	y, factor := s.axis(m)
	chart := figure.Cycles{Title: s.title(), X: figure.Axis{Label: "runs in the order in which they were measured"},
		Y: y}
	lines := make([]figure.Line, len(s.Experiments))
	data := [][]string{{"id", "configuration", "cycle", "order", m.Name}}
	for at, row := range s.Rows {
		i := slices.IndexFunc(s.Experiments, func(e result.ExperimentSummary) bool { return e.ID == row.ID })
		v, ok := row.Values.Get(m.Name)
		if i < 0 || !ok || !row.Comparable() {
			continue
		}
		lines[i].Label = s.labels[i]
		lines[i].X, lines[i].Y = append(lines[i].X, float64(at+1)), append(lines[i].Y, figure.Exactly(v*factor))
		data = append(data, []string{row.ID, s.names[i], strconv.Itoa(row.Cycle), strconv.Itoa(at + 1), number(v)})
	}
	chart.Lines = slices.DeleteFunc(lines, func(l figure.Line) bool { return len(l.X) == 0 })
	if len(chart.Lines) == 0 {
		return nil, s.nothing(m.Name)
	}
	return &Picture{Chart: chart, Data: data}, nil
}

func (s study) scaling(o Options) (*Picture, error) {
	m, err := metricOf(o.Y, "energy.per_output_token_j")
	if err != nil {
		return nil, err
	}
	naming := s.naming
	column, err := s.over(naming.Heads(), o.Over)
	if err != nil {
		return nil, err
	}
	head := naming.Heads()[column]
	y, factor := s.axis(m)
	chart := figure.Scaling{Title: s.title(), X: figure.Axis{Label: head}, Y: y}
	data := [][]string{{"id", "configuration", head, m.Name, "low", "high"}}
	var xs, ys []float64
	for i := range s.Experiments {
		values := naming.Values(s.Experiments[i].Config)
		x, err := strconv.ParseFloat(values[column], 64)
		v, ok := s.value(i, m, factor)
		if err != nil || !ok {
			continue
		}
		label := strings.Join(slices.Delete(slices.Clone(values), column, column+1), " ")
		at := slices.IndexFunc(chart.Lines, func(l figure.Line) bool { return l.Label == label })
		if at < 0 {
			at, chart.Lines = len(chart.Lines), append(chart.Lines, figure.Line{Label: label})
		}
		l := &chart.Lines[at]
		place, _ := slices.BinarySearch(l.X, x)
		l.X, l.Y = slices.Insert(l.X, place, x), slices.Insert(l.Y, place, v)
		l.Flags = slices.Insert(l.Flags, place, s.marks[i])
		xs, ys = append(xs, x), append(ys, v.Value)
		data = append(data, append([]string{s.Experiments[i].ID, s.names[i], values[column]}, cells(v, factor)...))
	}
	if len(chart.Lines) == 0 {
		return nil, s.nothing(m.Name)
	}
	chart.X.Log = slices.Min(xs) > 0 && slices.Max(xs) >= 8*slices.Min(xs)
	chart.Y.Log = figure.AutoLog(ys)
	chart.Y.FromZero = !chart.Y.Log
	return &Picture{Chart: chart, Data: data}, nil
}

// over returns the column of the key over which a metric is drawn.
func (s study) over(heads []string, name string) (int, error) {
	var numeric []string
	found := ""
	for c, head := range heads {
		numbers := 0
		for i := range s.Experiments {
			if _, err := strconv.ParseFloat(s.naming.Values(s.Experiments[i].Config)[c], 64); err == nil {
				numbers++
			}
		}
		asked := name == "" || head == name || strings.HasSuffix(name, "."+head)
		switch {
		case asked && numbers > 1:
			return c, nil
		case asked:
			found = head
		case numbers > 1:
			numeric = append(numeric, head)
		}
	}
	if len(heads) == 0 {
		return 0, &Error{"the study has a single configuration: nothing to draw over",
			"sweep a number, such as the batch size"}
	}
	next := "choose another chart: no key with numbers varies in the study"
	if len(numeric) > 0 {
		next = "name a key with numbers: --over " + strings.Join(numeric, " or --over ")
	}
	switch {
	case name == "":
		return 0, &Error{"no key with numbers varies in the study", "choose another chart"}
	case found != "":
		return 0, &Error{found + " has no numbers to draw over", next}
	}
	return 0, &Error{"no key " + name + " varies in the study", next}
}

// runs returns the records of a configuration's comparable runs with their folders.
func (s study) runs(id string) (records []*result.Record, folders []string, err error) {
	for _, row := range s.Rows {
		if row.ID != id || row.Status != result.OK || !row.Comparable() {
			continue
		}
		r, err := result.ReadRun(s.Dir, row.ID, row.Cycle)
		if err != nil {
			return nil, nil, err
		}
		records = append(records, r)
		folders = append(folders, filepath.Join(s.Dir, result.RunPath(row.ID, row.Cycle)))
	}
	return records, folders, nil
}
