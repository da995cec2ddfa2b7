package report

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/crew"
	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/metric"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// table prints a line for each configuration if any has run more than once or there are many, and a
// line for each run. Settings that all share come first; settings that differ are columns.
func (t Terminal) table(b *strings.Builder, s *result.StudyResult) error {
	fmt.Fprintln(b, t.bold(Tally(s)))
	if len(s.Runs)+len(s.Rows) == 0 {
		return nil
	}
	if err := t.loads(b, s); err != nil {
		return err
	}
	runs, err := t.firstRuns(s)
	if err != nil {
		return err
	}
	if s.Runs == nil || repeated(s) || len(t.Show) > 0 {
		t.experiments(b, s)
		if len(runs) > 0 {
			b.WriteString("\n")
			t.runs(b, s, runs)
		}
	} else {
		t.runs(b, s, runs)
		t.ofStudy(b, s)
	}
	t.exclusions(b, s)
	b.WriteString(crew.SpentText(s.Workers, t.Columns, t.width(), t.Limited, t.bold))
	t.shared(b, s, view.Doubts(s), view.Runs(s))
	return t.failures(b, s)
}

// firstRuns are the records of the runs that the table may show.
func (t Terminal) firstRuns(s *result.StudyResult) ([]*result.Record, error) {
	if s.Runs != nil {
		return inOrder(s)[:min(len(s.Runs), t.Limited(len(s.Runs)))], nil
	}
	if s.Dir == "" {
		return nil, nil
	}
	var out []*result.Record
	for rec, err := range s.Records() {
		if err != nil {
			return nil, err
		}
		if out = append(out, rec); len(out) >= t.Limited(len(s.Rows)) {
			break
		}
	}
	return out, nil
}

// inOrder are the runs in the order of the configurations, whatever ran first.
func inOrder(s *result.StudyResult) []*result.Record {
	rank := make(map[string]int, len(s.Experiments))
	for i, e := range s.Experiments {
		rank[e.ID] = i
	}
	return slices.SortedStableFunc(slices.Values(s.Runs), func(a, b *result.Record) int {
		return cmp.Compare(rank[a.ID], rank[b.ID])
	})
}

// failuresShown is how many of the reasons for failed runs of a large study are described.
const failuresShown = 10

// failures prints why runs have no result, each reason once with its runs.
func (t Terminal) failures(b *strings.Builder, s *result.StudyResult) error {
	all, err := view.FailingOf(s, failuresShown)
	if err != nil {
		return err
	}
	shown := len(all)
	if s.Runs == nil {
		shown = min(shown, failuresShown)
	}
	var about []*result.Record
	for _, f := range all[:shown] {
		about = append(about, f.Runs...)
	}
	if s.Runs != nil {
		about = s.Runs
	}
	named := view.NameRuns(s, about)
	for _, f := range all[:shown] {
		b.WriteString("\n")
		t.wrap(b, "", "  ", f.Called(named))
		t.failure(b, f.First.Status, f.First.Failure)
		if log := f.First.Files["engine_log"]; log != "" {
			which := ""
			if len(f.Runs) > 1 {
				which = " (of the first)"
			}
			fmt.Fprintf(b, "  log%s: %s\n", which,
				path.Join(result.RunsDir, fmt.Sprintf("%s-c%d", f.First.ID, f.First.Cycle), log))
		}
	}
	if more := len(all) - shown; more > 0 {
		fmt.Fprintf(b, "\n%s why runs have no result: see rows in --json for class and message\n",
			digits.Count(more, "more reason"))
	}
	return nil
}

// runs prints one line per run.
func (t Terminal) runs(b *strings.Builder, s *result.StudyResult, shown []*result.Record) {
	about := shown
	if s.Runs != nil {
		about = s.Runs
	}
	named := view.NameRuns(s, about).InOrderOf(about, shown)
	if common := named.Common(); common != "" {
		t.wrap(b, "", "", common)
	}
	b.WriteString("\n")
	rows := named.Table("run", figureHeads)
	for i, r := range shown {
		rows.Rows = append(rows.Rows, append(named.Cells(i), figures(r)...))
	}
	rows = view.QueuesOf(shown).Blank(rows).DropEmpty()
	t.print(b, rows)
	t.cut(b, s.Dir, len(shown), max(len(s.Runs), len(s.Rows)), "run")
	t.wrap(b, "  ", "  ", tableNote(rows.Head))
	t.outputs(b, s)
	t.gaps(b, view.QueuesOf(shown).Columns(view.Usual()), view.LackingRuns(named, shown))
}

// print writes a table in the width of the terminal.
func (t Terminal) print(b *strings.Builder, rows table.Table) {
	head, lines := rows.Lines(cmp.Or(t.Columns, t.width()))
	fmt.Fprintln(b, t.bold(head))
	for _, l := range lines {
		fmt.Fprintln(b, l)
	}
}

// cut prints how many lines a table omits, and how to see them.
func (t Terminal) cut(b *strings.Builder, dir string, shown, all int, what string) {
	if shown < all {
		t.wrap(b, "  ", "  ", fmt.Sprintf("the first %d of %s; `llem report %s` with --limit N (0: all), "+
			"--sort METRIC, --pareto, --best or --format csv shows others", shown, digits.Count(all, what),
			shell.Path(dir)))
	}
}

// shared prints doubts that runs share, and which have them, if not all.
func (t Terminal) shared(b *strings.Builder, s *result.StudyResult, doubts []result.Doubt, runs int) {
	named := view.NameConfigurations(s)
	for i, d := range doubts {
		if i == 0 {
			b.WriteString("\n")
		}
		in := ""
		if d.Runs < runs {
			in = fmt.Sprintf(" (%d of %s%s)", d.Runs, digits.Count(runs, "run"), warnedIn(s, named, d.Code))
		}
		word := d.Kind
		if word == view.DoubtOfRuns {
			word = codes.WordOf(d.Code)
		}
		t.wrap(b, t.warn(word)+in+": ", "         ", d.Message)
	}
}

// warnedIn names the configurations whose runs have a warning, if not all of them do.
func warnedIn(s *result.StudyResult, named view.Names, code note.Code) string {
	var in []int
	for i, e := range s.Experiments {
		if slices.ContainsFunc(e.Warnings, func(w result.Warned) bool { return w.Code == code }) {
			in = append(in, i)
		}
	}
	if len(in) == 0 || len(in) == len(s.Experiments) {
		return ""
	}
	return ": " + named.Some(in)
}

// Tally names a study and counts its runs by status.
func Tally(s *result.StudyResult) string {
	parts := []string{fmt.Sprintf("%d of %s ok", s.OK, digits.Count(s.Planned, "run"))}
	excluded := 0
	for i := range s.Experiments {
		excluded += s.Experiments[i].OK - s.Experiments[i].Compared()
	}
	for _, q := range []struct {
		n    int
		what string
	}{{excluded, view.NotCompared}, {s.Failed, "failed"}, {s.LeftOut, "left out"}, {s.Interrupted, "interrupted"},
		{s.Planned - max(len(s.Runs), len(s.Rows)), "not run"}} {
		if q.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", q.n, q.what))
		}
	}
	return cmp.Or(s.Name, "study") + ": " + strings.Join(parts, ", ")
}

// figureHeads are the columns of figures of a run: the metrics, and two words.
var figureHeads = append(headsOf([]string{"throughput.output_tokens_per_s", view.QueueMetric, "latency.ttft_ms.p50",
	view.ResponseMetric, "latency.itl_ms.p50", "energy.per_output_token_j", "energy.phases.prefill.j_per_token",
	"energy.phases.decode.j_per_token", "energy.mean_w", "energy.node_per_output_token_j"}), "energy", view.FlagsHead)

// headNotes explain columns of tables of runs.
var headNotes = []struct{ metric, note string }{
	{"throughput.output_tokens_per_s", ": output tokens"},
	{"latency.ttft_ms.p50", ", ITL: medians"},
	{view.QueueMetric, ": median wait before the engine began, not in TTFT"},
	{view.ResponseMetric, ": median time to the first token, including the queue"},
	{"energy.per_output_token_j", ": total energy per output token"},
	{"energy.node_per_output_token_j", ": the whole machine, by its own meter"},
	{"energy.phases.prefill.j_per_token", ", J/decode: energy of the phase per token of the phase"},
}

// tableNote explains the columns of a table.
func tableNote(heads []string) string {
	var notes []string
	for _, head := range heads {
		for _, n := range headNotes {
			if head == metric.Head(n.metric) {
				notes = append(notes, head+n.note)
			}
		}
		if head == view.FlagsHead {
			notes = append(notes, "flags: doubts about the row, explained below")
		}
	}
	return strings.Join(notes, " · ")
}

func figures(r *result.Record) []string {
	cells := make([]string, len(figureHeads))
	for i := range cells {
		cells[i] = missing
	}
	last := len(cells) - 2
	cells[last+1] = view.RowFlags(r.Marks())
	if r.Status != result.OK {
		cells[last] = string(r.Status)
		return cells
	}
	l := r.Latency
	if r.Throughput != nil {
		cells[0] = digits.Significant(r.Throughput.OutputTokensPerS, 3)
	}
	cells[1], cells[2], cells[3], cells[4] = p50(l.Queue), p50(l.TTFT), p50(l.ResponseTTFT), p50(l.ITL)
	e := r.Energy
	if q := e.NodePerOutputTokenJ; q != nil {
		cells[9] = digits.SI(q.Value, "J")
	}
	switch {
	case e.PerOutputTokenJ == nil && e.TotalJ != nil:
		cells[8], cells[last] = digits.SI(e.MeanW.Value, "W"), "not attributable"+mark(r)
		return cells
	case e.PerOutputTokenJ == nil:
		cells[last] = "not measured" + mark(r)
		return cells
	}
	cells[5] = digits.SI(e.PerOutputTokenJ.Value, "J")
	if p := e.Phases; p != nil {
		cells[6], cells[7] = perToken(p.Prefill), perToken(p.Decode)
	}
	cells[8], cells[last] = digits.SI(e.MeanW.Value, "W"), string(r.Energy.Provenance)+mark(r)
	return cells
}

func p50(d *result.Distribution) string {
	if d == nil {
		return missing
	}
	return view.Duration(d.P50)
}

// gaps prints below a table why cells are empty. Energy that was not measured at all is
// reported with the doubts.
func (t Terminal) gaps(b *strings.Builder, columns []view.Column, rows []view.Lacking) {
	first := true
	for _, g := range view.GapsOf(columns, rows) {
		if g.Reason.Of == "energy" {
			continue
		}
		if first {
			b.WriteString("\n")
		}
		first = false
		head, reason := g.Text(rows)
		t.wrap(b, t.warn(head)+": ", "  ", reason)
	}
}
