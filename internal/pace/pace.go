// Package pace predicts how long the runs of a study take, from the runs that it has made.
package pace

import "time"

// Pace predicts at a cost that does not grow with the study.
type Pace struct {
	cycles int // planned of each experiment
	rows   map[string]*row
	// worked are the runs that worked, and made all that were made.
	worked, made mean
	// expected is how long the open runs of experiments with a finished one take, and runs how many these are.
	expected time.Duration
	runs     int
}

// row are the finished runs of an experiment.
type row struct {
	done int
	took mean
}

// mean of durations.
type mean struct {
	sum time.Duration
	n   int
}

func (m *mean) add(d time.Duration) { m.sum, m.n = m.sum+d, m.n+1 }

func (m mean) value() time.Duration { return m.sum / time.Duration(max(1, m.n)) }

// New returns a Pace of a study with a number of cycles of each experiment.
func New(cycles int) *Pace { return &Pace{cycles: cycles, rows: map[string]*row{}} }

// count adds or removes what a row contributes.
func (p *Pace) count(r *row, sign int) {
	if r.took.n > 0 {
		open := sign * max(0, p.cycles-r.done)
		p.expected += time.Duration(open) * r.took.value()
		p.runs += open
	}
}

// Finish records a run that is not repeated, with the pause before it, and whether it worked. A run that took no time
// tells nothing about others.
func (p *Pace) Finish(id string, took time.Duration, worked bool) {
	r := p.rows[id]
	if r == nil {
		r = &row{}
		p.rows[id] = r
	}
	p.count(r, -1)
	r.done++
	if took > 0 {
		r.took.add(took)
		p.made.add(took)
		if worked {
			p.worked.add(took)
		}
	}
	p.count(r, 1)
}

// Left returns how long the study takes with a number of open runs, of which the current one, of an experiment, has
// taken some time, and how long that run takes; false if nothing is known. Runs of an experiment take as long as its
// finished ones, others as long as all that worked.
func (p *Pace) Left(open int, id string, spent time.Duration) (study, run time.Duration, known bool) {
	usual := p.worked
	if usual.n == 0 {
		usual = p.made
	}
	if usual.n == 0 {
		return 0, 0, false
	}
	current := usual.value()
	if r := p.rows[id]; r != nil && r.took.n > 0 {
		current = r.took.value()
	}
	study = p.expected + time.Duration(max(0, open-p.runs))*usual.value()
	return max(0, study-min(spent, current)), max(0, current-spent), true
}

// Work is what a worker has in work.
type Work struct {
	// ID is the experiment of its run, and Spent how long the run has taken so far. Both are empty between runs.
	ID    string
	Spent time.Duration
}

// Shared returns how long a study takes with a number of open runs that several workers share.
// Each of them has one in work,
// or none. False if nothing is known.
func (p *Pace) Shared(open int, crew []Work) (time.Duration, bool) {
	usual := p.worked
	if usual.n == 0 {
		usual = p.made
	}
	if usual.n == 0 {
		return 0, false
	}
	all := p.expected + time.Duration(max(0, open-p.runs))*usual.value()
	var longest time.Duration
	soonest, busy := usual.value(), 0
	for _, w := range crew {
		if w.ID == "" {
			soonest = 0
			continue
		}
		busy++
		took := usual.value()
		if r := p.rows[w.ID]; r != nil && r.took.n > 0 {
			took = r.took.value()
		}
		all -= min(w.Spent, took)
		rest := max(0, took-w.Spent)
		longest, soonest = max(longest, rest), min(soonest, rest)
	}
	if open > busy { // a run that nobody has begun begins when the next worker is free
		longest = max(longest, soonest+usual.value())
	}
	return max(0, longest, all/time.Duration(max(1, len(crew)))), true
}
