package running

import "time"

// pace predicts how long the runs of a study take, at a cost that does not grow with the study.
type pace struct {
	cycles int // planned of each experiment
	rows   map[string]*row
	all    mean
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

// count adds or removes what a row contributes.
func (p *pace) count(r *row, sign int) {
	if r.took.n > 0 {
		open := sign * max(0, p.cycles-r.done)
		p.expected += time.Duration(open) * r.took.value()
		p.runs += open
	}
}

// finish records a run, with the pause before it; a run that took no time says nothing about others.
func (p *pace) finish(id string, took time.Duration) {
	r := p.rows[id]
	if r == nil {
		r = &row{}
		p.rows[id] = r
	}
	p.count(r, -1)
	r.done++
	if took > 0 {
		r.took.add(took)
		p.all.add(took)
	}
	p.count(r, 1)
}

// left returns how long the study takes with open runs left, of which the current one, of an experiment, has taken some
// time, and how long that run takes; false if nothing is known.
func (p *pace) left(open int, id string, spent time.Duration) (study, run time.Duration, known bool) {
	if p.all.n == 0 {
		return 0, 0, false
	}
	usual := p.all.value()
	if r := p.rows[id]; r != nil && r.took.n > 0 {
		usual = r.took.value()
	}
	study = p.expected + time.Duration(max(0, open-p.runs))*p.all.value()
	return max(0, study-min(spent, usual)), max(0, usual-spent), true
}
