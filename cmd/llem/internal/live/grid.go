package live

import (
	"math"
	"time"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/pace"
	"github.com/llenergymeasure/llem/internal/stats"
)

// statusOK is the status of a run that worked.
const (
	statusOK          = "ok"
	statusInterrupted = "interrupted"
)

// cell is the state of one run.
type cell byte

const (
	todo cell = iota
	busy
	ok
	failed
	leftOut
	states
)

// grid is experiments by cycles. It costs memory for the experiments that have begun
// and time for one of them per event, however many there are.
type grid struct {
	experiments []event.Experiment
	cycles      int
	index       map[string]int
	rows        map[int]*row
	count       [states]int

	pace *pace.Pace
}

// row is an experiment.
type row struct {
	cells []cell // by cycle
	// metric is the metric of the first run; runs with another metric are not comparable.
	metric event.Metric
	values []float64
	mean   float64
	half   float64 // of the 95 % interval, relative; +Inf if there is none
}

func newGrid(s event.StudyStarted) *grid {
	g := &grid{experiments: s.Experiments, cycles: s.Cycles, index: make(map[string]int, len(s.Experiments)),
		rows: map[int]*row{}, pace: pace.New(s.Cycles)}
	for i, e := range s.Experiments {
		g.index[e.ID] = i
	}
	for _, r := range s.Made {
		g.finish(r, 0)
	}
	return g
}

// row returns the row of an experiment, or nil if the study does not have it.
func (g *grid) row(id string) *row {
	i, known := g.index[id]
	if !known {
		return nil
	}
	r := g.rows[i]
	if r == nil {
		r = &row{cells: make([]cell, g.cycles), half: math.Inf(1)}
		g.rows[i] = r
	}
	return r
}

// set changes a cell. Cycles beyond the plan are added as they come.
func (g *grid) set(r *row, cycle int, c cell) {
	if cycle < 1 {
		return
	}
	for len(r.cells) < cycle {
		r.cells = append(r.cells, todo)
	}
	g.count[r.cells[cycle-1]]--
	g.count[c]++
	r.cells[cycle-1] = c
}

func (g *grid) start(e event.RunStarted) {
	if r := g.row(e.ID); r != nil {
		g.set(r, e.Cycle, busy)
	}
}

// finish records a run that finished or was left out. The time of a run that took none is not used
// to predict the time of others.
func (g *grid) finish(e event.RunFinished, took time.Duration) {
	r := g.row(e.ID)
	if r == nil {
		return
	}
	state := stateOf(e)
	g.set(r, e.Cycle, state)
	if state != todo {
		g.pace.Finish(e.ID, took, state == ok)
	}
	r.add(e.Metric)
}

func stateOf(e event.RunFinished) cell {
	switch {
	case e.LeftOut:
		return leftOut
	case e.Status == statusOK:
		return ok
	case e.Status == statusInterrupted:
		return todo // it counts for nothing, and --resume makes it again
	}
	return failed
}

// add takes a value of the row's metric.
func (r *row) add(m event.Metric) {
	if m.Name == "" || math.IsNaN(m.Value) || len(r.values) > 0 && m.Name != r.metric.Name {
		return
	}
	r.metric = m
	r.values = append(r.values, m.Value)
	sum := 0.0
	for _, v := range r.values {
		sum += v
	}
	r.mean = sum / float64(len(r.values))
	half, err := stats.RelativeHalfWidth(r.values)
	if err != nil {
		half = math.Inf(1)
	}
	r.half = half
}

// finished counts runs that were made or left out.
func (g *grid) finished() int { return g.count[ok] + g.count[failed] + g.count[leftOut] }

// left is how long the study still takes. Spent is what the current run of the experiment has taken so far. False if
// nothing is known.
func (g *grid) left(total int, id string, spent time.Duration) (time.Duration, bool) {
	study, _, known := g.pace.Left(total-g.finished(), id, spent)
	return study, known
}
