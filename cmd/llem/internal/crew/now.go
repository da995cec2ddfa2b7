package crew

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/running"
	"github.com/llenergymeasure/llem/internal/table"
)

// Now returns what each worker does, one line for each, in at most so many lines of a width: the last one counts the
// rest. Workers are in the order of their names.
func Now(all []running.State, width, most int) []string {
	all = slices.SortedStableFunc(slices.Values(all),
		func(a, b running.State) int { return cmp.Compare(a.Worker, b.Worker) })
	shown := len(all)
	if shown > most {
		shown = max(0, most-1)
	}
	names := 0
	for _, s := range all[:shown] {
		names = max(names, table.Width(table.Clean(s.Worker)))
	}
	names = min(names, max(8, width/4))
	var lines []string
	for _, s := range all[:shown] {
		lines = append(lines, table.Cut(table.Pad(table.Cut(table.Clean(s.Worker), names), names)+"  "+doing(&s),
			width))
	}
	if more := all[shown:]; len(more) > 0 && most > 0 {
		measuring := 0
		for i := range more {
			if more[i].Run != nil {
				measuring++
			}
		}
		lines = append(lines, table.Cut(fmt.Sprintf("… %s, %d of them with a run",
			digits.Count(len(more), "more worker"), measuring), width))
	}
	return lines
}

// doing describes the work of a worker.
func doing(s *running.State) string {
	switch s.Standing() {
	case running.Died:
		return "died; another worker executes its run"
	case running.Paused:
		return "stopped by a signal"
	}
	if s.Run == nil {
		return "between two runs, on " + table.Clean(s.Process.Host)
	}
	text := fmt.Sprintf("%-8s  ", s.Phase)
	switch {
	case s.Phase == event.Measure && s.Run.Requests > 0:
		text += fmt.Sprintf("%3.0f %%  ", 100*s.Fraction)
	default:
		text += clock(s.Written.Sub(s.Since)) + "  "
	}
	return text + fmt.Sprintf("%s, cycle %d, on %s", table.Clean(cmp.Or(s.Run.Label, s.Run.ID)), s.Run.Cycle,
		table.Clean(s.Process.Host))
}

// clock prints 0:07 or 12:03.
func clock(d time.Duration) string {
	d = max(0, d)
	return fmt.Sprintf("%2d:%02d", d/time.Minute, d%time.Minute/time.Second)
}
