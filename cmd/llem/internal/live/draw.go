package live

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/llenergymeasure/llem/cmd/llem/internal/crew"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/pace"
	"github.com/llenergymeasure/llem/internal/running"
	"github.com/llenergymeasure/llem/internal/table"
)

// The view is at most this high, with the line on which the cursor rests.
const (
	mostRows    = 6 // of the grid
	leastRows   = 3 // of the grid, before other workers get a line each
	mostWorkers = 8 // other workers
	otherRows   = 7 // head, legend, three of the current run, newest phases or link, cursor
)

// theme is how things look. Without colour every style prints what it is given.
type theme struct {
	title, dim, warning, failed, ok, running, bar lipgloss.Style
	cells                                         [states]string // drawn once: there are many
}

func newTheme(color bool) theme {
	plain := lipgloss.NewStyle()
	t := theme{title: plain, dim: plain, warning: plain, failed: plain, ok: plain, running: plain, bar: plain}
	if color {
		t = theme{
			title: plain.Bold(true), dim: plain.Faint(true),
			warning: plain.Foreground(lipgloss.Yellow), failed: plain.Foreground(lipgloss.Red),
			ok:      plain.Foreground(lipgloss.Green),
			running: plain.Bold(true).Foreground(lipgloss.Yellow), bar: plain.Foreground(lipgloss.Cyan),
		}
	}
	for i, mark := range []string{todo: "·", busy: "▸", ok: "■", failed: "✗", leftOut: "–"} {
		t.cells[i] = t.result(cell(i)).Render(mark)
	}
	return t
}

func (t theme) result(c cell) lipgloss.Style {
	switch c {
	case busy:
		return t.running
	case ok:
		return t.ok
	case failed:
		return t.failed
	}
	return t.dim
}

// render draws the view. No line is wider than the terminal, and the last one is empty.
// It looks at a few experiments only, however many the study has.
func (v *view) render(width, height int, now time.Time) string {
	var lines []string
	switch {
	case v.grid == nil && v.phase.Phase == "":
		return ""
	case v.grid == nil:
		lines = []string{v.status(now)}
		if v.link != "" {
			lines = append(lines, v.theme.dim.Render("watch: "+v.link))
		}
	default:
		lines = append(lines, v.head(width, now))
		workers := crew.Now(v.crew, width-2, min(mostWorkers, max(1, height-1-otherRows-leastRows)))
		if rows := min(mostRows, height-1-otherRows-len(workers)); rows > 0 {
			lines = append(lines, v.table(width, rows)...)
		}
		for _, w := range workers {
			lines = append(lines, "  "+w)
		}
		if !v.watch {
			lines = append(lines, v.current(width, now)...)
		}
	}
	if most := max(1, height-2); len(lines) > most {
		lines = lines[:most]
	}
	for i, line := range lines {
		if table.Width(line) > width {
			lines[i] = lipgloss.NewStyle().MaxWidth(width).Render(line)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// status is the one line of a single run.
func (v *view) status(now time.Time) string {
	parts := []string{fmt.Sprintf("%-8s", v.phase.Phase), v.bar(20), clockText(now.Sub(v.started))}
	if p := v.powerText(); p != "" {
		parts = append(parts, p)
	}
	if detail := v.detail(); detail != "" {
		parts = append(parts, detail)
	}
	if left := v.plannedLeft(now); left != "" {
		parts = append(parts, left)
	}
	return strings.TrimRight(strings.Join(parts, "  "), " ")
}

// head returns the progress of the study. It drops parts that do not fit: the elapsed time,
// the end of the name, and so on.
func (v *view) head(width int, now time.Time) string {
	runs := []string{fmt.Sprintf("%d/%d runs", v.grid.finished(), v.total)}
	if n := v.grid.count[failed]; n > 0 {
		runs = append(runs, v.theme.failed.Render(fmt.Sprintf("%d failed", n)))
	}
	facts := runs
	if n := v.workers(); n > 1 || v.watch && n > 0 {
		facts = append(slices.Clip(facts), digits.Count(n, "worker"))
	}
	if n := v.grid.count[leftOut]; n > 0 {
		facts = append(slices.Clip(facts), fmt.Sprintf("%d left out", n))
	}
	elapsed := []string{clockText(now.Sub(v.began)) + " elapsed"}
	if v.watch {
		elapsed = nil
	}
	var end, short []string
	if left, known := v.left(now); known && v.grid.finished() < v.total {
		about := "about"
		if v.study.Precision > 0 {
			about = "at least" // the goal may ask for more cycles
		}
		short = []string{fmt.Sprintf("%s %s left", about, spanText(left))}
		end = []string{short[0] + ", until " + timeOfDay(now.Add(left), now)}
	} else if text := v.plannedLeft(now); text != "" {
		short = []string{text}
		end = []string{text + " by the plan"}
	}
	shorter := [][]string{slices.Concat(facts, elapsed, end), slices.Concat(facts, end), slices.Concat(facts, short),
		slices.Concat(runs, short)}
	line, fits := v.titled(shorter, width)
	if !fits {
		line = strings.Join(runs, between)
	}
	if n := width - table.Width(line) - 1; n > 0 { // a rule to the edge sets the view off
		line += " " + v.theme.dim.Render(strings.Repeat("─", n))
	}
	return line
}

// workers is how many workers execute the study.
func (v *view) workers() int {
	n := len(running.Work(v.crew))
	if !v.watch {
		n++
	}
	return n
}

// left is how long the study still takes; false if nothing is known.
func (v *view) left(now time.Time) (time.Duration, bool) {
	if len(v.crew) == 0 {
		return v.grid.left(v.total, v.run.ID, now.Sub(v.mark))
	}
	all := running.Work(v.crew)
	if own := (pace.Work{ID: v.run.ID}); !v.watch {
		if own.ID != "" {
			own.Spent = now.Sub(v.mark)
		}
		all = append(all, own)
	}
	return v.grid.pace.Shared(v.total-v.grid.finished(), all)
}

// planned is how long the study still takes by its plan, before a run has shown it. Zero if the plan says nothing.
func (v *view) planned(now time.Time) (low, high time.Duration) {
	spent := now.Sub(v.began)
	return max(0, v.study.Expected[0]-spent), max(0, v.study.Expected[1]-spent)
}

// plannedLeft is the rest of the study by its plan as a text; empty if the plan says nothing, or is over.
func (v *view) plannedLeft(now time.Time) string {
	low, high := v.planned(now)
	if high <= 0 {
		return ""
	}
	return fmt.Sprintf("%s to %s left", spanText(low), spanText(high))
}

// between separates facts.
const between = " · "

// titled returns the first version of a line that fits after the study's name, or
// else alone, and false if none fits.
func (v *view) titled(versions [][]string, width int) (string, bool) {
	const gap, leastName = "  ", 8
	name := table.Clean(v.study.Name)
	for _, least := range []int{min(table.Width(name), leastName), -len(gap)} {
		for _, parts := range versions {
			rest := strings.Join(parts, between)
			room := width - table.Width(rest) - len(gap)
			switch {
			case room < least:
			case least < 0:
				return rest, true
			default:
				return v.theme.title.Render(table.Cut(name, room)) + gap + rest, true
			}
		}
	}
	return "", false
}

// spanText prints 0:07, 12:03, 5 h 20 min, 28 days.
func spanText(d time.Duration) string {
	switch {
	case d < time.Hour:
		return clockText(d)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}

// timeOfDay names a moment with as much of the date as it takes.
func timeOfDay(t, now time.Time) string {
	switch days := t.Sub(now) / (24 * time.Hour); {
	case t.YearDay() == now.YearDay() && days == 0:
		return t.Format("15:04")
	case days < 6:
		return t.Format("Mon 15:04")
	}
	return t.Format("2 Jan 15:04")
}

// table is the grid around the current experiment, with a line that explains it. Its
// height does not change during a study.
func (v *view) table(width, most int) []string {
	n := min(most, len(v.grid.experiments))
	first := max(0, min(v.row-n/2, len(v.grid.experiments)-n))
	at := v.cellWidth(width)
	labels, values := 0, 0
	names, texts := make([]string, n), make([]string, n)
	for i := range n {
		names[i] = table.Clean(v.grid.experiments[first+i].Label)
		labels = max(labels, table.Width(names[i]))
		texts[i] = rowText(v.grid.rows[first+i])
		values = max(values, table.Width(texts[i]))
	}
	labels = min(labels, max(width-at-values-len("  ")*2, width/3))
	names = table.Shorten(names, labels)
	var lines []string
	for i := range n {
		r := v.grid.rows[first+i]
		label := table.Pad(table.CutFront(names[i], labels), labels)
		lines = append(lines, strings.TrimRight(label+"  "+table.Pad(v.cells(r, at), at)+"  "+texts[i], " "))
	}
	return append(lines, v.theme.dim.Render(table.Cut(v.legend(first, n), width)))
}

// rowText is the mean of an experiment's metric with its interval.
func rowText(r *row) string {
	switch {
	case r == nil || len(r.values) == 0:
		return ""
	case math.IsInf(r.half, 0) || math.IsNaN(r.half):
		return amount(r.mean, r.metric)
	}
	return fmt.Sprintf("%s ±%s %%", amount(r.mean, r.metric), digits.Significant(100*r.half, 2))
}

// amount prints a value of a metric.
func amount(value float64, m event.Metric) string {
	switch {
	case m.Name == "":
		return ""
	case strings.HasPrefix(m.Unit, "1/"):
		return digits.Significant(value, 3) + m.Unit[1:]
	}
	return digits.SI(value, m.Unit)
}

// cellWidth is how many columns the cycles get.
func (v *view) cellWidth(width int) int {
	cycles := v.grid.cycles
	for i := range v.grid.rows[v.row].size() {
		cycles = max(cycles, i+1)
	}
	return min(cycles, max(5, width/4))
}

// size is how many cells a row has.
func (r *row) size() int {
	if r == nil {
		return 0
	}
	return len(r.cells)
}

// cells draws the cycles of a row, the newest ones if there is no room for all.
func (v *view) cells(r *row, width int) string {
	if r == nil {
		return v.theme.dim.Render(strings.Repeat("·", min(width, v.grid.cycles)))
	}
	last := 0 // after the newest that has begun
	for i, c := range r.cells {
		if c != todo {
			last = i + 1
		}
	}
	first := max(0, min(last-width+1, len(r.cells)-width))
	var b strings.Builder
	for _, c := range r.cells[first:min(len(r.cells), first+width)] {
		b.WriteString(v.theme.cells[c])
	}
	return b.String()
}

// legend explains the numbers and what is not shown.
func (v *view) legend(first, n int) string {
	var parts, names []string
	if more := len(v.grid.experiments) - n; more > 0 {
		parts = append(parts, fmt.Sprintf("… %d more", more))
	}
	for i := range n {
		r := v.grid.rows[first+i]
		if r == nil || len(r.values) == 0 {
			continue
		}
		name := strings.TrimRight(r.metric.Name+" "+r.metric.Origin, " ")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		parts = append(parts, strings.Join(names, " or ")+", ±: 95 % interval")
	}
	if v.study.Precision > 0 {
		parts = append(parts, fmt.Sprintf("goal ±%s %%", digits.Significant(100*v.study.Precision, 2)))
	}
	return strings.Join(parts, between)
}

// current returns the current run in three lines.
func (v *view) current(width int, now time.Time) []string {
	what := "between two runs"
	if v.run.Label != "" {
		label := v.run.Label
		if i, known := v.grid.index[v.run.ID]; known {
			label = v.grid.experiments[i].Label
		}
		what = fmt.Sprintf("%s, cycle %d (run %d of %d)", table.Clean(label), v.run.Cycle, v.run.Index, v.run.Total)
	}
	phase := fmt.Sprintf("  %-8s  %s  %s  %s", v.phase.Phase, v.bar(max(5, min(20, width/5))),
		clockText(now.Sub(v.started)), v.detail())
	power := "  "
	if p := v.powerText(); p != "" {
		power += fmt.Sprintf("%-8s  ", p)
	}
	lines := []string{
		v.theme.cells[busy] + " " + v.theme.title.Render(what),
		strings.TrimRight(phase, " "),
		strings.TrimRight(power+v.sparks(min(sparks, width-table.Width(power))), " "),
	}
	var last []string
	switch {
	case v.split != "":
		last = append(last, "last run, J/token: "+v.split)
	case v.grid.finished() == 0:
		last = append(last, "J/token by phase: none yet")
	}
	if v.link != "" {
		last = append(last, "watch: "+v.link)
	}
	if len(last) > 0 {
		text := strings.Join(last, between)
		if table.Width(text) > width && v.link != "" { // the link must be whole
			text = last[len(last)-1]
		}
		lines = append(lines, v.theme.dim.Render(text))
	}
	return lines
}

// sparks is the power of the last seconds.
func (v *view) sparks(width int) string {
	newest := v.history[max(0, len(v.history)-max(0, width)):]
	line := strings.TrimRight(v.style.Spark(newest, v.most), " ")
	if line == "" {
		return ""
	}
	return v.theme.bar.Render(line)
}

func (v *view) detail() string {
	if v.progress.Detail != "" {
		return table.Clean(v.progress.Detail)
	}
	return table.Clean(v.phase.Detail)
}

func (v *view) bar(width int) string {
	filled := 0
	if f := v.progress.Fraction; f > 0 { // and a number
		filled = int(min(f, 1)*float64(width) + 0.5)
	}
	return v.theme.bar.Render(strings.Repeat("█", filled)) + v.theme.dim.Render(strings.Repeat("░", width-filled))
}

// powerText returns the total power of the devices that are read, and their names.
func (v *view) powerText() string {
	if len(v.watts) == 0 {
		return ""
	}
	names := make([]string, 0, len(v.watts))
	for name := range v.watts {
		names = append(names, name)
	}
	sort.Strings(names)
	who := strings.Join(names, "+")
	if len(names) > 3 {
		who = fmt.Sprintf("%d devices", len(names))
	}
	return fmt.Sprintf("%s (%s)", digits.SI(v.power(), "W"), who)
}
