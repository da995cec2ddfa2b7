// Package crew shows the workers of a study as text: what each does now, and what became of their time.
package crew

import (
	"fmt"
	"math"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/result"
)

// separator stands between facts.
const separator = " · "

// Spent returns the throughput of workers and how much of their time they measured, as facts; nil for a study of one
// process.
func Spent(w *result.Workers) []string {
	if w == nil {
		return nil
	}
	return []string{
		digits.Count(len(w.Each), "worker"),
		digits.Significant(w.RunsPerHour, 3) + " runs/h",
		digits.SI(w.MeasuredS, "s") + " measured by each",
		share(w.Unmeasured) + " of time not measuring",
	}
}

// share prints a share with its sign.
func share(v float64) string {
	percent := 100 * v
	if percent > 0 && percent < 0.95 {
		return fmt.Sprintf("%.1f %%", percent)
	}
	return fmt.Sprintf("%d %%", int(math.Round(percent)))
}

// legend explains the parts of a worker's time.
const legend = "time: from joining until the study's last run, or until the worker left; wait: others held the runs " +
	"that were left; end: after its last run; other: preparing, writing, the canary, and runs that do not count"

// SpentText returns what became of the time of the workers, of which limited many are listed, as lines with a heading;
// empty for a study of one process. Lines are as wide as a table may be, and notes as wide as text.
func SpentText(w *result.Workers, columns, width int, limited func(int) int, bold func(string) string) string {
	if w == nil {
		return ""
	}
	t := table.Table{Names: 1, Indent: 2, Head: []string{"worker", "runs", "time", "window", "idle power", "load",
		"warm-up", "rest", "claim", "wait", "end", "other"}}
	row := func(name string, runs int, u result.TimeUse) {
		cells := []string{name, fmt.Sprint(runs), digits.SI(u.PresentS, "s")}
		for _, part := range []float64{u.WindowS, u.IdlePowerS, u.LoadS, u.WarmupS, u.RestS, u.ClaimS, u.WaitS, u.EndS,
			u.OtherS} {
			cells = append(cells, share(part/max(u.PresentS, math.SmallestNonzeroFloat64)))
		}
		t.Rows = append(t.Rows, cells)
	}
	row("all", w.Runs, w.Total)
	for _, each := range w.Each[:limited(len(w.Each))] {
		row(each.Worker, each.Runs, each.TimeUse)
	}
	head, lines := t.Lines(columns)
	text := []string{"", bold(strings.Join(Spent(w), separator)), bold(head)}
	return strings.Join(append(text, lines...), "\n") + "\n" + table.Wrap("  ", "    ", legend, width)
}
