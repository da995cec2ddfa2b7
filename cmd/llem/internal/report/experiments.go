package report

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/loads"
	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/metric"
	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// repeated reports whether any configuration has run more than once.
func repeated(s *result.StudyResult) bool {
	for _, e := range s.Experiments {
		if e.OK+e.Failed > 1 {
			return true
		}
	}
	return false
}

// headsOf are the headings of metrics.
func headsOf(metrics []string) []string {
	out := make([]string, len(metrics))
	for i, name := range metrics {
		out[i] = metric.Head(name)
	}
	return out
}

// shown are the usual columns and the metrics by which the table is judged and ordered, or the ones
// that were asked for.
func (t Terminal) shown(s *result.StudyResult) []view.Column {
	out := view.Usual()
	if len(t.Show) > 0 {
		out = nil
	} else if len(s.Experiments) > 0 && !slices.ContainsFunc(s.Experiments, func(e result.ExperimentSummary) bool {
		return e.Config.Backend != terms.Command
	}) {
		for _, name := range []string{view.TotalMetric, "energy.net_j"} {
			out = append(out, view.Column{Metric: name, Spread: repeated(s)})
		}
	}
	for _, name := range slices.Concat(t.Show, t.Front, []string{t.Sort}) {
		if i := slices.IndexFunc(out, func(c view.Column) bool { return c.Metric == name }); i >= 0 {
			out[i].Asked = true
		} else if _, err := result.Metric(name); err == nil {
			out = append(out, view.Column{Metric: name, Spread: slices.Contains(t.Show, name) && repeated(s),
				Asked: true})
		}
	}
	return out
}

// columnsOf are the columns of the first n configurations, with the metrics that were asked for.
func (t Terminal) columnsOf(s *result.StudyResult, n int) []view.Column {
	return view.QueuesIn(s.Experiments[:n]).Columns(t.shown(s))
}

// frontNote explains the standings.
func frontNote(metrics []string) string {
	what := "energy per output token and tokens/s"
	if len(metrics) > 0 {
		what = strings.Join(headsOf(metrics), " and ")
	}
	return "front: Pareto front of " + what + "; yes: on it; no: dominated; ?: dominated, but within the intervals"
}

// experiments prints the table of configurations.
func (t Terminal) experiments(b *strings.Builder, s *result.StudyResult) {
	named := view.NameConfigurations(s)
	if common := named.Common(); common != "" {
		t.wrap(b, "", "", common)
	}
	b.WriteString("\n")
	shown := t.Limited(len(s.Experiments))
	columns := t.columnsOf(s, shown)
	rows := view.TableOf(s, named, columns, shown).Text("experiment", t.Show...)
	t.print(b, rows)
	t.cut(b, s.Dir, shown, len(s.Experiments), "configuration")
	note := cmp.Or(t.shownNote(), tableNote(rows.Head))
	if slices.Contains(rows.Head, view.SpreadHead) {
		note += " · ±95 %: 95 % interval of the mean over the runs"
		if unknown := DriftUnknown(s); unknown != "" {
			note += " · " + unknown
		}
	}
	t.wrap(b, "  ", "  ", note)
	if slices.Contains(rows.Head, "front") {
		t.wrap(b, "  ", "  ", frontNote(t.Front))
	}
	t.outputs(b, s)
	lacking := view.LackingConfigurations(s, named, shown)
	t.gaps(b, columns, lacking)
	if none := view.Nowhere(t.Show, columns, lacking); none != "" {
		b.WriteString("\n")
		t.wrap(b, "", "  ", none)
	}
	t.caveats(b, s, named)
}

// DriftUnknown reports how many cycles the test of drift takes, if a configuration has fewer; else it is empty, as
// where nothing was measured.
func DriftUnknown(s *result.StudyResult) string {
	needs, few, measured := stats.DriftNeeds(len(s.Experiments)), false, false
	for _, e := range s.Experiments {
		few, measured = few || e.Compared() < needs, measured || e.OK > 0
	}
	if !few || !measured {
		return ""
	}
	return fmt.Sprintf("drift unknown (fewer than %d cycles)", needs)
}

// shownNote explains the columns of --columns.
func (t Terminal) shownNote() string {
	var notes []string
	for _, name := range t.Show {
		if m, err := result.Metric(name); err == nil {
			notes = append(notes, m.Label+": "+strings.ToLower(m.Meaning[:1])+strings.TrimSuffix(m.Meaning[1:], "."))
		}
	}
	return strings.Join(notes, " · ")
}

// caveatsShown is how many cautions are printed.
const caveatsShown = 20

// caveats prints the cautions about the study, its configurations and their
// repeats.
func (t Terminal) caveats(b *strings.Builder, s *result.StudyResult, named view.Names) {
	var all []string
	for _, w := range s.Caveats {
		all = append(all, w.Message)
	}
	for _, c := range view.Shared(s.Experiments, named) {
		all = append(all, c.Text())
	}
	drifts := driftingOf(s)
	for i, e := range s.Experiments {
		for _, c := range view.Usual() {
			m, _ := e.Metrics.Get(c.Metric)
			for _, w := range m.Caveats {
				if w.Code == codes.Outliers || w.Code == codes.Drift && drifts.beyond[c.Metric][i] {
					all = append(all, fmt.Sprintf("%s, %s: %s", named.Called(i), c.Head(), w.Message))
				}
			}
		}
	}
	if text := drifts.note(s); text != "" {
		all = append(all, text)
	}
	t.cautions(b, all)
}

// ofStudy prints the cautions about the study itself.
func (t Terminal) ofStudy(b *strings.Builder, s *result.StudyResult) {
	var all []string
	for _, w := range s.Caveats {
		all = append(all, w.Message)
	}
	t.cautions(b, all)
}

func (t Terminal) cautions(b *strings.Builder, all []string) {
	for i, text := range all {
		if i == 0 {
			b.WriteString("\n")
		}
		if i == caveatsShown {
			fmt.Fprintf(b, "%s: see caveats in --json\n", digits.Count(len(all)-i, "more caution"))
			break
		}
		t.wrap(b, t.warn("caution")+": ", "         ", text)
	}
}

// Markdown prints the table of configurations for a document.
func (t Terminal) Markdown(w io.Writer, s *result.StudyResult) error {
	if len(s.Experiments) == 0 {
		_, err := fmt.Fprintln(w, "No run has finished.")
		return err
	}
	named := view.NameConfigurations(s)
	shown := t.Limited(len(s.Experiments))
	columns := t.columnsOf(s, shown)
	rows := view.TableOf(s, named, columns, shown).Text("experiment", t.Show...)
	var b strings.Builder
	if common := named.Common(); common != "" {
		fmt.Fprintf(&b, "%s\n\n", common)
	}
	b.WriteString(rows.Markdown())
	if shown < len(s.Experiments) {
		fmt.Fprintf(&b, "\nThe first %d of %s.\n", shown, digits.Count(len(s.Experiments), "configuration"))
	}
	for _, text := range view.Missing(s, named, columns, shown, t.Show...) {
		fmt.Fprintf(&b, "\n%s.\n", text)
	}
	taken, err := loads.TracesOf(s)
	if err != nil {
		return err
	}
	for _, text := range taken {
		fmt.Fprintf(&b, "\n%s.\n", text)
	}
	for _, c := range view.Shared(s.Experiments[:shown], named) {
		fmt.Fprintf(&b, "\nCaution, %s.\n", c.Text())
	}
	for _, x := range exclusions(s) {
		fmt.Fprintf(&b, "\n%s: %s. Next: %s.\n", x.head, x.text, x.next)
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// csvColumn is a column of a configuration.
type csvColumn struct {
	head string
	// key is the key that the column shows, if any.
	key  string
	text func(result.ExperimentSummary) string
}

// csvColumns lists the columns of a configuration in every CSV.
var csvColumns = []csvColumn{
	{"id", "", func(e result.ExperimentSummary) string { return e.ID }},
	{"model", "model", func(e result.ExperimentSummary) string { return e.Config.Model }},
	{"backend", "backend", func(e result.ExperimentSummary) string { return e.Config.Backend }},
	{"dtype", "", func(e result.ExperimentSummary) string { return cmp.Or(e.DType, e.Config.DType) }},
	{"batch_size", "", func(e result.ExperimentSummary) string { return strconv.Itoa(e.Config.BatchSize()) }},
	{"prompts", "workload.prompts",
		func(e result.ExperimentSummary) string { return strconv.Itoa(e.Config.Workload.Prompts) }},
	{"input_tokens", "workload.input_tokens",
		func(e result.ExperimentSummary) string { return strconv.Itoa(e.Config.Workload.InputTokens) }},
	{"output_tokens", "workload.output_tokens",
		func(e result.ExperimentSummary) string { return strconv.Itoa(e.Config.Workload.OutputTokens) }},
	{"runs_ok", "", func(e result.ExperimentSummary) string { return strconv.Itoa(e.OK) }},
	{"runs_failed", "", func(e result.ExperimentSummary) string { return strconv.Itoa(e.Failed) }},
	{"runs_left_out", "", func(e result.ExperimentSummary) string { return strconv.Itoa(e.LeftOut) }},
	{"runs_excluded", "", func(e result.ExperimentSummary) string { return strconv.Itoa(e.OK - e.Compared()) }},
	{"excluded_why", "", excludedWhy},
	{"flags", "", func(e result.ExperimentSummary) string { return view.FlagWords(e.Flags) }},
	{"warnings", "", warningWords},
	{"missing_why", "", missingWhy},
	{"memory_method", "", func(e result.ExperimentSummary) string { return string(e.MemoryMethod) }},
	{"process_memory_method", "", func(e result.ExperimentSummary) string { return string(e.ProcessMethod) }},
	{"device", "", func(e result.ExperimentSummary) string { return e.Device }},
	{"engine_version", "", func(e result.ExperimentSummary) string { return e.Version }},
	{"energy_provenance", "", func(e result.ExperimentSummary) string { return string(e.Provenance) }},
}

// warningWords are the codes of the warnings of a configuration's runs, with the number of runs where not all have it.
func warningWords(e result.ExperimentSummary) string {
	all := e.OK + e.Failed + e.LeftOut
	var out []string
	for _, w := range e.Warnings {
		text := string(w.Code)
		if w.Runs < all {
			text += fmt.Sprintf(" (%d of %d)", w.Runs, all)
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}

// csvOf are the columns of a study: the keys that vary, then the others.
func csvOf(varying []naming.Key) []csvColumn {
	var keys []csvColumn
	others := slices.Clone(csvColumns)
	for _, k := range varying {
		c := csvColumn{k.Name, k.Name, func(e result.ExperimentSummary) string { return k.Text(e.Config) }}
		if k.Name == "dtype" {
			c.head = "dtype_asked" // beside the one that the engine used
		}
		if i := slices.IndexFunc(others, func(o csvColumn) bool { return o.key == k.Name }); i >= 0 {
			c = others[i]
			others = slices.Delete(others, i, i+1)
		}
		keys = append(keys, c)
	}
	return append(keys, others...)
}

// spreadColumns are the columns of a metric, by what follows its name.
var spreadColumns = []struct {
	name string
	text func(result.Spread) string
}{
	{"", func(s result.Spread) string { v, _, _ := s.Figure(); return csvNumber(v) }},
	{".n", func(s result.Spread) string { return strconv.Itoa(s.N) }},
	{".mean", func(s result.Spread) string { return csvNumber(s.Mean) }},
	{".median", func(s result.Spread) string { return csvNumber(s.Median) }},
	{".sd", func(s result.Spread) string {
		if s.SD == nil {
			return ""
		}
		return csvNumber(*s.SD)
	}},
	{".min", func(s result.Spread) string { return csvNumber(s.Min) }},
	{".max", func(s result.Spread) string { return csvNumber(s.Max) }},
	{".p5", func(s result.Spread) string { return betweenRuns(s, s.P5) }},
	{".p50", func(s result.Spread) string { return betweenRuns(s, s.P50) }},
	{".p95", func(s result.Spread) string { return betweenRuns(s, s.P95) }},
	{".ci95_low", func(s result.Spread) string { return intervalEnd(s, 0) }},
	{".ci95_high", func(s result.Spread) string { return intervalEnd(s, 1) }},
	{".method", func(s result.Spread) string { _, _, method := s.Figure(); return method }},
}

// betweenRuns is empty for one run.
func betweenRuns(s result.Spread, v float64) string {
	if s.N < 2 {
		return ""
	}
	return csvNumber(v)
}

func csvNumber(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// intervalEnd is one end of the interval of the figure.
func intervalEnd(s result.Spread, end int) string {
	_, ci95, _ := s.Figure()
	if ci95 == nil {
		return ""
	}
	return csvNumber(ci95[end])
}

// CSV prints every metric of the first n configurations (less than 0: all), after every key whose
// value varies: the figure that stands for the configuration; number, mean, median, standard
// deviation, least and largest of the runs' values; interval of the figure and its method.
func CSV(w io.Writer, s *result.StudyResult, n int) error {
	if n < 0 || n > len(s.Experiments) {
		n = len(s.Experiments)
	}
	configs := make([]study.Experiment, len(s.Experiments))
	for i, e := range s.Experiments {
		configs[i] = e.Config
	}
	columns := csvOf(naming.Varying(configs))
	out := csv.NewWriter(w)
	var head []string
	for _, c := range columns {
		head = append(head, c.head)
	}
	for _, m := range result.Metrics() {
		for _, c := range spreadColumns {
			head = append(head, m.Name+c.name)
		}
	}
	if err := out.Write(head); err != nil {
		return err
	}
	for _, e := range s.Experiments[:n] {
		var row []string
		for _, c := range columns {
			row = append(row, c.text(e))
		}
		if err := out.Write(append(row, metricCells(e)...)); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// metricCells are the columns of all metrics.
func metricCells(e result.ExperimentSummary) []string {
	var row []string
	for _, m := range result.Metrics() {
		v, ok := e.Metrics.Get(m.Name)
		for _, c := range spreadColumns {
			text := ""
			if ok {
				text = c.text(v)
			}
			row = append(row, text)
		}
	}
	return row
}

// missingWhy are the reasons of a configuration in a cell.
func missingWhy(e result.ExperimentSummary) string {
	var out []string
	for _, m := range e.Missing {
		out = append(out, fmt.Sprintf("%s (%s): %s", m.Of, digits.Count(m.Runs, "run"), m.Reason))
	}
	return strings.Join(out, "; ")
}
