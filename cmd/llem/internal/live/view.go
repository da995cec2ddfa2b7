package live

import (
	"fmt"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/cmd/llem/internal/chart"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/metric"
	"github.com/llenergymeasure/llem/internal/running"
	"github.com/llenergymeasure/llem/internal/table"
)

// sparks is how many values of power are kept, one per tick: 15 s.
const sparks = 60

// view is the state of a study, computed from events. Its output depends on the
// events and the time only.
type view struct {
	theme theme
	style chart.Style
	link  string
	// watch is set where no run is this process's; crew are the other workers of the study.
	watch bool
	crew  []running.State
	// lines are permanent lines that have not been printed.
	lines []string
	told  map[string]bool // notes that have been printed

	study event.StudyStarted
	grid  *grid // nil before the study, and for a single run
	total int
	began time.Time // of the study
	mark  time.Time // the end of the newest finished run, or the study's beginning

	run      event.RunStarted // without a label between runs
	row      int              // of the newest run
	started  time.Time        // of the run, or of the pause between two
	phase    event.PhaseStarted
	progress event.Progress
	watts    map[string]float64
	history  []float64 // of power, the newest last; negative where none was read
	most     float64   // power so far
	leftWhy  string    // the newest reason for leaving runs out
	split    string    // of the newest run that has its phases separated
}

func newView(color bool, style chart.Style) *view {
	return &view{theme: newTheme(color), style: style, told: map[string]bool{}, watts: map[string]float64{}}
}

func (v *view) observe(e event.Event, now time.Time) {
	switch e := e.(type) {
	case event.StudyStarted:
		v.open(e, now)
	case event.RunStarted:
		v.run, v.started, v.total = e, now, e.Total
		v.phase, v.progress = event.PhaseStarted{}, event.Progress{}
		if v.grid != nil {
			v.grid.start(e)
			v.row = v.grid.index[e.ID]
		}
	case event.PhaseStarted:
		if v.run.Label == "" && v.phase.Phase != e.Phase {
			v.started = now
		}
		v.phase, v.progress = e, event.Progress{Phase: e.Phase}
		clear(v.watts) // sensors are not read in every phase: no value is better than an old one
	case event.Progress:
		if e.Phase == v.phase.Phase { // a late one would fill the bar of the next phase
			v.progress = e
		}
	case event.Power:
		v.watts[e.Device] = e.Watts
	case event.Note:
		if !v.told[e.Message] { // many are the same in every run
			v.told[e.Message] = true
			v.print("%s: %s", v.theme.warning.Render(codes.WordOf(e.Code)), table.Clean(e.Message))
		}
	case event.RunFinished:
		v.finish(e, now)
	}
}

// print adds a permanent line.
func (v *view) print(format string, args ...any) {
	v.lines = append(v.lines, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

func (v *view) open(e event.StudyStarted, now time.Time) {
	v.study, v.total, v.began, v.mark = e, e.Runs, now, now
	if e.Runs < 2 && e.Precision == 0 && !v.watch {
		return
	}
	v.grid = newGrid(e)
	made := ""
	if n := len(e.Made); n > 0 {
		made = fmt.Sprintf(", %d of them finished earlier", n)
	}
	v.print("%s%s%s, results in %s", digits.Count(e.Runs, "run"), made, plannedText(e), table.Clean(e.Dir))
}

// setCrew takes what the other workers do, and marks their runs.
func (v *view) setCrew(all []running.State) {
	mark := func(from, to cell) {
		for _, s := range v.crew {
			if s.Run == nil || v.grid == nil || s.Run.Cycle < 1 {
				continue
			}
			r := v.grid.row(s.Run.ID)
			if r == nil || s.Run.ID == v.run.ID && s.Run.Cycle == v.run.Cycle {
				continue
			}
			if at := s.Run.Cycle - 1; at >= len(r.cells) && from == todo || at < len(r.cells) && r.cells[at] == from {
				v.grid.set(r, s.Run.Cycle, to)
			}
		}
	}
	mark(busy, todo)
	v.crew = all
	mark(todo, busy)
}

// finishOther takes the run of another worker.
func (v *view) finishOther(e event.RunFinished) {
	v.total = max(v.total, e.Total)
	if v.grid == nil {
		return
	}
	took := e.Took
	if e.LeftOut {
		took = 0
	}
	v.grid.finish(e, took)
	label := e.ID
	if i, known := v.grid.index[e.ID]; known {
		label = v.grid.experiments[i].Label
		if v.watch {
			v.row = i
		}
	}
	e.Index, e.Total = v.grid.finished(), v.total
	v.finished(e, table.Clean(label))
}

func (v *view) finish(e event.RunFinished, now time.Time) {
	if e.Worker != "" || v.watch {
		v.finishOther(e)
		return
	}
	label := v.run.Label
	v.run, v.started, v.total = event.RunStarted{}, now, max(v.total, e.Total)
	v.phase, v.progress = event.PhaseStarted{}, event.Progress{}
	clear(v.watts)
	if split := splitText(e); split != "" {
		v.split = split
		if e.Metric.Origin != "" {
			v.split += " (" + e.Metric.Origin + ")"
		}
	}
	if v.grid == nil {
		if e.Status != statusOK {
			v.print("  %6s %s %s", clockText(e.Took), v.theme.failed.Render(e.Status), table.Clean(reason(e)))
		}
		return
	}
	took := now.Sub(v.mark) // with the pause before it
	if e.LeftOut {
		took = 0
	}
	v.mark = now
	v.grid.finish(e, took)
	if i, known := v.grid.index[e.ID]; known {
		label = v.grid.experiments[i].Label
	}
	if v.study.Worker != "" { // others have finished runs meanwhile
		e.Index = v.grid.finished()
	}
	v.finished(e, table.Clean(label))
}

// finished prints the line of a run. Of runs that are left out for one reason, the
// first one gets a line.
func (v *view) finished(e event.RunFinished, label string) {
	if e.LeftOut {
		if e.Message == v.leftWhy {
			return
		}
		v.leftWhy = e.Message
	}
	state := stateOf(e)
	result := e.Status
	switch {
	case e.LeftOut:
		result = "left out"
	case state == ok:
		result = amount(e.Metric.Value, e.Metric)
	}
	what := fmt.Sprintf("%s, cycle %d", label, e.Cycle)
	if e.Worker != "" {
		what += ", by " + table.Clean(e.Worker)
	}
	if e.Metric.Origin != "" {
		what += " (" + e.Metric.Origin + ")"
	}
	if text := table.Clean(reason(e)); text != "" {
		what += ": " + strings.TrimPrefix(text, "left out: ")
	}
	digits := len(fmt.Sprint(e.Total))
	result = fmt.Sprintf("%13s", result) // before it has a style, which has no width
	v.print("%s %*d/%d %7s%s  %s", v.theme.cells[state], digits, e.Index, e.Total, clockText(e.Took),
		v.theme.result(state).Render(result), what)
}

// plannedText is how long the open runs of a study take by its plan.
func plannedText(e event.StudyStarted) string {
	low, high := e.Expected[0], e.Expected[1]
	if high <= 0 {
		return ""
	}
	return fmt.Sprintf(", planned %s to %s", spanText(low), spanText(high))
}

// numbers are what a run has measured: its metric, and the joules of both phases for each of their tokens.
func numbers(e event.RunFinished) string {
	out := amount(e.Metric.Value, e.Metric)
	if out == "" {
		return ""
	}
	out = metric.Head(e.Metric.Name) + " " + out
	if e.Metric.Origin != "" {
		out += " " + e.Metric.Origin
	}
	if split := splitText(e); split != "" {
		out += "; of each phase per token: " + split
	}
	return out
}

// splitText are the joules of prefill and decode for each of their tokens; empty if they were not separated.
func splitText(e event.RunFinished) string {
	if e.Prefill.Name == "" || e.Decode.Name == "" {
		return ""
	}
	return fmt.Sprintf("prefill %s, decode %s", amount(e.Prefill.Value, e.Prefill), amount(e.Decode.Value, e.Decode))
}

// sample notes the power of this tick.
func (v *view) sample() {
	watts := -1.0
	if len(v.watts) > 0 {
		watts = v.power()
		v.most = max(v.most, watts)
	}
	if len(v.history) == sparks {
		v.history = append(v.history[:0], v.history[1:]...)
	}
	v.history = append(v.history, watts)
}

// power adds up the newest values of all devices.
func (v *view) power() float64 {
	sum := 0.0
	for _, w := range v.watts {
		sum += w
	}
	return sum
}
