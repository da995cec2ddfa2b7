// Package blur computes what a sensor shows of a power that is constant in pieces: the mean over its window of the
// power behind low-pass filters. Package attribute fits powers of work to a series of such values.
//
//	pieces, columns ── New ──▶ Basis ── NewSight ──▶ Sight ── Through(filters), Row(instant, window) ──▶ response
package blur

import (
	"math"
	"slices"

	"github.com/llenergymeasure/llem/internal/digits"
)

// Basis is a set of power densities over time: piecewise constant functions whose weighted sum is the true
// power. A fit determines the weights. Everything is stored by piece, because a fit reads all columns of a piece
// together, millions of times.
type Basis struct {
	columns int
	breaks  []int64 // ascending; piece i lies between breaks i and i+1
	// density has, for each piece, the columns in watts per unit of their weight.
	density []float64
	// sum has, for each break, the integral of the columns up to there, in joules per unit.
	sum []float64
}

// New returns the basis of columns whose density is given for every piece.
func New(breaks []int64, columns [][]float64) *Basis {
	p := len(columns)
	b := &Basis{columns: p, breaks: breaks,
		density: make([]float64, p*(len(breaks)-1)), sum: make([]float64, p*len(breaks))}
	for c, d := range columns {
		for i, v := range d {
			b.density[i*p+c] = v
			b.sum[(i+1)*p+c] = b.sum[i*p+c] + v*digits.Seconds(breaks[i+1]-breaks[i])
		}
	}
	return b
}

// piece returns the index of the piece that contains t. It looks first at the pieces from near on, where the
// time of the next sample mostly is.
//
//go:norace
func (b *Basis) piece(t int64, near int) int {
	const steps = 8
	last := len(b.breaks) - 2 // the last piece includes all later times
	if near = min(near, last); b.breaks[near] <= t {
		for range steps {
			if near == last || b.breaks[near+1] > t {
				return near
			}
			near++
		}
	}
	lo, hi := 0, last
	for lo < hi {
		if mid := (lo + hi) / 2; b.breaks[mid+1] > t {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// At returns the columns in piece i.
func (b *Basis) At(i int) []float64 { return b.density[i*b.columns : (i+1)*b.columns] }

// until returns the integrals of the columns up to break i.
func (b *Basis) until(i int) []float64 { return b.sum[i*b.columns : (i+1)*b.columns] }

// mean writes the mean of each column over [from, to], from in piece i and to in piece j, to row.
//
//go:norace
func (b *Basis) mean(from, to int64, i, j int, row []float64) {
	per := 1 / digits.Seconds(to-from)
	head, tail := digits.Seconds(from-b.breaks[i]), digits.Seconds(to-b.breaks[j])
	first, last, before, until := b.At(i), b.At(j), b.until(i), b.until(j)
	for c := range row {
		row[c] = per * (until[c] - before[c] + last[c]*tail - first[c]*head)
	}
}

// Only returns the basis with some of its columns.
func (b *Basis) Only(columns []int) *Basis {
	o := &Basis{columns: len(columns), breaks: b.breaks}
	pick := func(all []float64) []float64 {
		out := make([]float64, 0, len(all)/b.columns*len(columns))
		for i := 0; i < len(all); i += b.columns {
			for _, c := range columns {
				out = append(out, all[i+c])
			}
		}
		return out
	}
	o.density, o.sum = pick(b.density), pick(b.sum)
	return o
}

// filter is a first-order low-pass filter of a basis: the mean of the past with exponentially decreasing
// weights.
type filter struct {
	*Basis
	tau float64 // time constant in ns
	// state has, for each piece, its output for the columns at the start of the piece. The power before the first
	// break equals the power of the first piece.
	state []float64
}

func newFilter(b *Basis, tau float64) filter {
	f := filter{b, tau, make([]float64, len(b.density))}
	now := slices.Clone(b.At(0))
	for i := range len(b.breaks) - 1 {
		copy(f.begun(i), now)
		decay := math.Exp(-float64(b.breaks[i+1]-b.breaks[i]) / tau)
		for c, d := range b.At(i) {
			now[c] = d + (now[c]-d)*decay
		}
	}
	return f
}

// begun returns the output for the columns at the start of piece i.
func (f filter) begun(i int) []float64 { return f.state[i*f.columns : (i+1)*f.columns] }

// rest is the fraction of a difference at the start of piece i that is left at t.
func (f filter) rest(t int64, i int) float64 {
	return math.Exp(-max(0, float64(t-f.breaks[i])) / f.tau)
}

// value writes the filter's output at t, in piece i.
//
//go:norace
func (f filter) value(t int64, i int, row []float64) {
	rest, state := f.rest(t, i), f.begun(i)
	for c, d := range f.At(i) {
		row[c] = d + (state[c]-d)*rest
	}
}

// mean writes the mean of the filter's output over [from, to], from in piece i and to in piece j. The filter
// follows s' = (p − s)/τ, so its integral is the integral of the power minus τ times its change.
//
//go:norace
func (f filter) mean(from, to int64, i, j int, row []float64) {
	f.Basis.mean(from, to, i, j, row)
	per := f.tau / float64(to-from)
	restFrom, restTo := f.rest(from, i), f.rest(to, j)
	first, last, begunFirst, begunLast := f.At(i), f.At(j), f.begun(i), f.begun(j)
	for c := range row {
		row[c] -= per * (last[c] + (begunLast[c]-last[c])*restTo)
		row[c] += per * (first[c] + (begunFirst[c]-first[c])*restFrom)
	}
}
