package attribute

import (
	"fmt"
	"math"
	"slices"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/linear"
)

// share says to whom the energy of a column belongs in a mixed step.
type share uint8

const (
	shared share = iota // what every step costs, such as reading the weights: half to each
	ofPrefill
	ofDecode
)

// column is one term of the power model.
type column struct {
	name   string
	signed bool // may be negative: a deviation from a mean
	share  share
	// needed says that the split means nothing without it.
	needed bool
	// loose is how large the weight may be, as a standard deviation relative to
	// the mean power, before the samples are asked.
	loose float64
	// of is the density in a stretch, in watts per unit of the weight.
	of func(stretch) float64
	// at, where set, multiplies the density by a function of time.
	at func(ns int64) float64
}

// on is one watt while the engine does this.
func on(k kind) func(stretch) float64 {
	return func(s stretch) float64 {
		if s.kind == k {
			return 1
		}
		return 0
	}
}

// per spreads a step's work over its time, in units of its mean over the steps
// that have it, so that a weight is the mean power that the work costs.
func per(line []stretch, amount func(stretch) float64) func(stretch) float64 {
	var sum, time float64
	for _, s := range line {
		if a := amount(s); a > 0 {
			sum += a
			time += digits.Seconds(s.ns())
		}
	}
	if sum == 0 {
		return func(stretch) float64 { return 0 }
	}
	rate := sum / time
	return func(s stretch) float64 { return amount(s) / digits.Seconds(s.ns()) / rate }
}

// deviation is how far the rate of a step's work lies from its mean over the
// steps of one kind. It is nil where the rate hardly varies.
func deviation(line []stretch, k kind, amount func(stretch) float64) func(stretch) float64 {
	var sum, square, time float64
	for _, s := range line {
		if s.kind == k {
			t := digits.Seconds(s.ns())
			a := amount(s)
			sum, square, time = sum+a*t, square+a*a*t, time+t
		}
	}
	if sum <= 0 {
		return nil
	}
	mean := sum / time
	if math.Sqrt(max(0, square/time-mean*mean))/mean < minVariation {
		return nil
	}
	return func(s stretch) float64 {
		if s.kind != k {
			return 0
		}
		return amount(s)/mean - 1
	}
}

// minVariation is the relative variation from which a rate is worth a term.
const minVariation = 0.02

// foldIdle is the share of the window up to which pauses between steps get no
// term of their own: their power is then that of the step before, and the error
// of a phase below this share.
const foldIdle = 0.002

// model chooses the terms for a timeline, in the order in which they are taken in.
// Steps of one phase each get a power per phase and its variation; mixed steps get
// energies per unit of work.
func model(line []stretch, w Window) []column {
	hasMixed := slices.ContainsFunc(line, func(s stretch) bool { return s.kind == mixed })
	columns := []column{
		// A pause between steps costs about what the time around the window does.
		{name: "idle", loose: 1, of: func(s stretch) float64 { return on(outside)(s) + on(idle)(s) }},
		{name: "pause", signed: true, loose: 0.3, of: on(idle)},
	}
	if hasMixed {
		columns = append(columns,
			column{name: "steps", needed: true, loose: 3, of: per(line, func(s stretch) float64 { return s.steps })},
			column{name: "prompt tokens", share: ofPrefill, needed: true, loose: 3,
				of: per(line, func(s stretch) float64 { return s.prompt })},
			column{name: "output tokens", share: ofDecode, needed: true, loose: 3,
				of: per(line, func(s stretch) float64 { return s.output })},
			column{name: "context", share: ofDecode, loose: 1,
				of: per(line, func(s stretch) float64 { return s.context })},
			column{name: "prompt attention", share: ofPrefill, loose: 1,
				of: per(line, func(s stretch) float64 { return s.pairs })},
		)
	} else {
		columns = append(columns,
			column{name: "prefill", share: ofPrefill, needed: true, loose: 3, of: on(prefill)},
			column{name: "decode", share: ofDecode, needed: true, loose: 3, of: on(decode)},
		)
		for _, d := range []column{
			{name: "context", share: ofDecode,
				of: deviation(line, decode, func(s stretch) float64 { return s.context })},
			{name: "sequences", share: ofDecode,
				of: deviation(line, decode, func(s stretch) float64 { return s.output / digits.Seconds(s.ns()) })},
			{name: "prompt rate", share: ofPrefill,
				of: deviation(line, prefill, func(s stretch) float64 { return s.prompt / digits.Seconds(s.ns()) })},
		} {
			if d.of != nil {
				d.signed, d.loose = true, 0.5
				columns = append(columns, d)
			}
		}
	}
	middle, half := w.Start+(w.End-w.Start)/2, float64(w.End-w.Start)/2
	return append(columns, column{name: "drift", signed: true, loose: 0.1,
		of: func(s stretch) float64 {
			if s.kind == outside || s.kind == idle {
				return 0
			}
			return 1
		},
		at: func(ns int64) float64 { return min(1, max(-1, float64(ns-middle)/half)) }})
}

// fold gives short pauses the kind of power of the step before them, if all of
// them together are too short to be told apart. Their energy stays idle.
func fold(line []stretch, w Window) []kind {
	var pause int64
	for _, s := range line {
		if s.kind == idle {
			pause += s.ns()
		}
	}
	power := make([]kind, len(line))
	for i, s := range line {
		power[i] = s.kind
		if s.kind != idle || float64(pause) >= foldIdle*float64(w.End-w.Start) {
			continue
		}
		power[i] = s.before
		if s.before == idle && i+1 < len(line) {
			power[i] = line[i+1].kind
		}
	}
	return power
}

// design is the model laid over time.
type design struct {
	columns []column
	basis   *basis
	line    []stretch
	// energy[c] are the joules per unit of column c that go to each phase.
	energy []split
}

// split are amounts by phase. both is the part of prefill and decode that is the
// halves of what mixed steps share.
type split struct{ prefill, decode, other, both float64 }

// reach is how far beyond the window samples are used: they know the idle power
// around it.
const reach = int64(400e6)

func newDesign(line []stretch, w Window) *design {
	d := &design{columns: model(line, w), line: line}
	power := fold(line, w)
	breaks := make([]int64, 0, len(line)+3)
	breaks = append(breaks, w.Start-reach)
	for _, s := range line {
		breaks = append(breaks, s.start)
	}
	breaks = append(breaks, w.End, w.End+reach)
	pieces := make([]stretch, 0, len(line)+2)
	pieces = append(pieces, stretch{start: breaks[0], end: w.Start, kind: outside})
	for i, s := range line {
		s.kind = power[i]
		pieces = append(pieces, s)
	}
	pieces = append(pieces, stretch{start: w.End, end: w.End + reach, kind: outside})
	density := make([][]float64, len(d.columns))
	d.energy = make([]split, len(d.columns))
	for c, col := range d.columns {
		density[c] = make([]float64, len(pieces))
		for i, p := range pieces {
			if p.ns() <= 0 {
				continue
			}
			v := col.of(p)
			if col.at != nil {
				v *= col.at(p.start + p.ns()/2)
			}
			density[c][i] = v
			if i > 0 && i <= len(line) {
				d.energy[c].add(line[i-1].kind, col.share, v*digits.Seconds(p.ns()))
			}
		}
	}
	d.basis = newBasis(breaks, density)
	return d
}

// add books the energy of a piece by what the engine did in it.
func (s *split) add(k kind, of share, joules float64) {
	switch {
	case k == idle:
		s.other += joules
	case k == prefill || k == mixed && of == ofPrefill:
		s.prefill += joules
	case k == decode || k == mixed && of == ofDecode:
		s.decode += joules
	case k == mixed:
		s.prefill += joules / 2
		s.decode += joules / 2
		s.both += joules / 2
	}
}

// maxCondition is the condition number of the design up to which its terms can
// be told apart; beyond about 30 small errors of the samples become large errors
// of the terms (Belsley, Kuh and Welsch, 1980).
const maxCondition = 30

// choose drops the terms without any work and checks that the samples can tell the
// needed ones apart. It returns the condition number of those. The other terms stay
// in however hard they are to tell apart: leaving one out would move its power to
// the phases without a trace, keeping it in makes the intervals wide.
func (d *design) choose(rows func(*basis) [][]float64) (float64, error) {
	all := rows(d.basis)
	full := linear.NewMatrix(len(d.columns))
	for _, x := range all {
		full.AddOuter(x, 1)
	}
	var kept, needed []int
	condition := 1.0
	for c, col := range d.columns {
		if !(full.At(c, c) > 0) {
			if col.needed && d.occurs(c) {
				return 0, fmt.Errorf("no power sample falls into the steps with %s", col.name)
			}
			continue
		}
		kept = append(kept, c)
		if !col.needed {
			continue
		}
		needed = append(needed, c)
		switch condition = full.Pick(needed).Condition(); {
		case condition > maxCondition:
			return condition, &illConditioned{col.name, condition, d.mixed()}
		case len(all) < 4*len(kept):
			return condition, d.tooFew(len(all), 4*len(kept))
		}
	}
	columns, energy := make([]column, len(kept)), make([]split, len(kept))
	for i, c := range kept {
		columns[i], energy[i] = d.columns[c], d.energy[c]
	}
	d.columns, d.energy, d.basis = columns, energy, d.basis.only(kept)
	return condition, nil
}

// mixed says whether some steps do both phases at once.
func (d *design) mixed() bool {
	return slices.ContainsFunc(d.line, func(s stretch) bool { return s.kind == mixed })
}

// occurs says whether a column has any energy in the window.
func (d *design) occurs(c int) bool {
	e := d.energy[c]
	return e.prefill != 0 || e.decode != 0
}

// illConditioned says that a term of the model cannot be told from the others.
type illConditioned struct {
	term      string
	condition float64
	mixed     bool
}

// tooFew says that there are fewer samples than the terms of the model take.
func (d *design) tooFew(samples, needed int) error {
	w := Window{d.line[0].start, d.line[len(d.line)-1].end}
	return &shortError{fmt.Sprintf("%d power samples in %.2g s are too few to tell the phases apart", samples,
		w.Duration().Seconds()), w, max(2, float64(needed)/float64(samples)), 0}
}

func (e *illConditioned) Error() string {
	why := "the sensor blurs the phases into each other; use longer prompts, longer outputs or a larger batch"
	if e.mixed {
		why = "the steps are too much alike: the mixture of prompt tokens and decoding sequences hardly varies " +
			"from step to step; " +
			"let it vary (other arrivals, prompts and outputs of different lengths), or use static batches"
	}
	return fmt.Sprintf("the power samples cannot tell %s from the rest (condition number %.3g, at most %d is "+
		"accepted): %s", e.term, e.condition, maxCondition, why)
}
