package attribute

import (
	"fmt"
	"math"
	"slices"

	"github.com/llenergymeasure/llem/internal/blur"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/linear"
)

// share is the phase to which the energy of a column belongs in a mixed step.
type share uint8

const (
	shared share = iota // the cost of every step, such as reading the weights: half to each
	ofPrefill
	ofDecode
)

// column is one term of the power model.
type column struct {
	name   string
	signed bool // may be negative: a deviation from a mean
	share  share
	// needed marks a term without which the split is meaningless.
	needed bool
	// priorSD is the standard deviation of the weight's prior, relative to the mean power.
	priorSD float64
	// of returns the density in a stretch, in watts per unit of the weight.
	of func(stretch) float64
	// at, if set, multiplies the density by a function of time.
	at func(ns int64) float64
}

// on returns a density of one watt while the engine does work of one kind.
func on(k kind) func(stretch) float64 {
	return func(s stretch) float64 {
		if s.kind == k {
			return 1
		}
		return 0
	}
}

// per spreads a step's work over its time, in units of the mean over steps with such work, so that a weight
// is the mean power of the work.
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

// deviation returns the deviation of the rate of a step's work from its mean over the steps of one kind. It
// is nil if the rate hardly varies.
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

// minVariation is the relative variation above which a rate gets a term.
const minVariation = 0.02

// foldIdle is the fraction of the window up to which pauses between steps get no term: their power is then
// the power of the step before, and the error of a phase stays below this fraction.
const foldIdle = 0.002

// Names of the terms of the power without steps.
const (
	idleTerm  = "idle"
	pauseTerm = "pause"
)

// model returns the terms for a timeline, in order of importance. Steps of a single phase get a power per
// phase and its variation; mixed steps get energies per unit of work.
func model(line []stretch, w Window) []column {
	hasMixed := slices.ContainsFunc(line, func(s stretch) bool { return s.kind == mixed })
	columns := []column{
		// A pause between steps costs about as much as the time around the window.
		{name: idleTerm, priorSD: 1, of: func(s stretch) float64 { return on(outside)(s) + on(idle)(s) }},
		{name: pauseTerm, signed: true, priorSD: 0.3, of: on(idle)},
	}
	if hasMixed {
		columns = append(columns,
			column{name: "steps", needed: true, priorSD: 3, of: per(line, func(s stretch) float64 { return s.steps })},
			column{name: "prompt tokens", share: ofPrefill, needed: true, priorSD: 3,
				of: per(line, func(s stretch) float64 { return s.prompt })},
			column{name: "output tokens", share: ofDecode, needed: true, priorSD: 3,
				of: per(line, func(s stretch) float64 { return s.output })},
			column{name: "context", share: ofDecode, priorSD: 1,
				of: per(line, func(s stretch) float64 { return s.context })},
			column{name: "prompt attention", share: ofPrefill, priorSD: 1,
				of: per(line, func(s stretch) float64 { return s.pairs })},
		)
	} else {
		columns = append(columns,
			column{name: "prefill", share: ofPrefill, needed: true, priorSD: 3, of: on(prefill)},
			column{name: "decode", share: ofDecode, needed: true, priorSD: 3, of: on(decode)},
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
				d.signed, d.priorSD = true, 0.5
				columns = append(columns, d)
			}
		}
	}
	middle, half := w.Start+(w.End-w.Start)/2, float64(w.End-w.Start)/2
	return append(columns, column{name: "drift", signed: true, priorSD: 0.1,
		of: func(s stretch) float64 {
			if s.kind == outside || s.kind == idle {
				return 0
			}
			return 1
		},
		at: func(ns int64) float64 { return min(1, max(-1, float64(ns-middle)/half)) }})
}

// fold gives short pauses the power of the step before them if all pauses together are too short to be
// resolved. Their energy remains idle energy.
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

// design is the model evaluated over time.
type design struct {
	columns []column
	basis   *blur.Basis
	line    []stretch
	// part is the share of each stretch that lies in the part of the window whose energy is wanted, and whole reports
	// that this is all of the window.
	part  []float64
	whole bool
	// energy[c] has the joules per unit of column c that belong to each phase, in that part.
	energy []split
}

// split has amounts by phase. both is the part of prefill and decode that comes from halving the shared cost
// of mixed steps.
type split struct{ prefill, decode, other, both float64 }

// reach is how far outside the window samples are used, in nanoseconds: they determine the idle power around
// it.
const reach = int64(400e6)

func newDesign(line []stretch, w, part Window) *design {
	d := &design{columns: model(line, w), line: line, part: make([]float64, len(line)), whole: part == w}
	for i, s := range line {
		d.part[i] = float64(max(0, min(s.end, part.End)-max(s.start, part.Start))) / float64(max(1, s.ns()))
	}
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
				d.energy[c].add(line[i-1].kind, col.share, v*digits.Seconds(p.ns())*d.part[i-1])
			}
		}
	}
	d.basis = blur.New(breaks, density)
	return d
}

// add adds the energy of a piece to the phase of the engine's work.
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

// maxCondition is the largest condition number at which the terms of the design can be separated; above about
// 30, small errors of the samples become large errors of the terms (Belsley, Kuh and Welsch, 1980).
const maxCondition = 30

// choose drops the terms without work and checks that the samples can separate the needed terms, whose
// condition number it returns. The other terms are kept even if they are hard to separate: dropping one would
// silently move its power to the phases, while keeping it widens the intervals.
func (d *design) choose(rows func(*blur.Basis) [][]float64) (float64, error) {
	all := rows(d.basis)
	full := linear.NewMatrix(len(d.columns))
	full.AddRows(all)
	var kept, needed []int
	condition := 1.0
	for c, col := range d.columns {
		if !(full.At(c, c) > 0) {
			if col.needed && d.occurs(c) {
				return 0, fmt.Errorf("no power sample covers a step with %s", col.name)
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
	d.columns, d.energy, d.basis = columns, energy, d.basis.Only(kept)
	return condition, nil
}

// mixed reports whether some steps work on both phases.
func (d *design) mixed() bool {
	return slices.ContainsFunc(d.line, func(s stretch) bool { return s.kind == mixed })
}

// occurs reports whether a column has energy in the window.
func (d *design) occurs(c int) bool {
	e := d.energy[c]
	return e.prefill != 0 || e.decode != 0
}

// illConditioned is the error for a term of the model that the samples cannot separate from the others.
type illConditioned struct {
	term      string
	condition float64
	mixed     bool
}

// tooFew returns the error for fewer samples than the model needs.
func (d *design) tooFew(samples, needed int) error {
	w := Window{d.line[0].start, d.line[len(d.line)-1].end}
	return &shortError{fmt.Sprintf("%s in %s s: too few to separate the phases", digits.Count(samples, "power sample"),
		digits.Significant(w.Duration().Seconds(), 2)), w, max(2, float64(needed)/float64(samples)), 0}
}

func (e *illConditioned) Error() string {
	why := "the sensor cannot resolve the phases; use longer prompts, longer outputs or a larger batch"
	if e.mixed {
		why = "the steps are too similar: the mixture of prompt tokens and decoding sequences hardly varies " +
			"from step to step; " +
			"vary it (other arrivals, prompts and outputs of different lengths), or use static batches"
	}
	return fmt.Sprintf("the power samples cannot separate %s from the rest (condition number %.3g, limit %d): "+
		"%s", e.term, e.condition, maxCondition, why)
}
