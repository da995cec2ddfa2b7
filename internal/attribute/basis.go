package attribute

import (
	"math"

	"github.com/llenergymeasure/llem/internal/digits"
)

// basis is a set of power densities over time: piecewise constant functions whose weighted sum is the true
// power. A fit determines the weights.
type basis struct {
	breaks []int64 // ascending; piece i lies between breaks i and i+1
	// density[c][i] is column c in piece i, in watts per unit of its weight.
	density [][]float64
	// sum[c][i] is the integral of column c up to break i, in joules per unit.
	sum [][]float64
}

func newBasis(breaks []int64, density [][]float64) *basis {
	b := &basis{breaks: breaks, density: density, sum: make([][]float64, len(density))}
	for c, d := range density {
		b.sum[c] = make([]float64, len(breaks))
		for i := range d {
			b.sum[c][i+1] = b.sum[c][i] + d[i]*digits.Seconds(breaks[i+1]-breaks[i])
		}
	}
	return b
}

// piece returns the index of the piece that contains t.
func (b *basis) piece(t int64) int {
	lo, hi := 0, len(b.breaks)-2 // the last piece includes all later times
	for lo < hi {
		if mid := (lo + hi) / 2; b.breaks[mid+1] > t {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// mean writes the mean of each column over [from, to] to row.
func (b *basis) mean(from, to int64, row []float64) {
	b.meanOf(from, to, b.piece(from), b.piece(to), row)
}

// meanOf is mean for from in piece i and to in piece j.
func (b *basis) meanOf(from, to int64, i, j int, row []float64) {
	per := 1 / digits.Seconds(to-from)
	head, tail := digits.Seconds(from-b.breaks[i]), digits.Seconds(to-b.breaks[j])
	for c := range b.density {
		row[c] = per * (b.sum[c][j] - b.sum[c][i] + b.density[c][j]*tail - b.density[c][i]*head)
	}
}

// only returns the basis with some of its columns.
func (b *basis) only(columns []int) *basis {
	o := &basis{breaks: b.breaks}
	for _, c := range columns {
		o.density = append(o.density, b.density[c])
		o.sum = append(o.sum, b.sum[c])
	}
	return o
}

// filter is a first-order low-pass filter of a basis: the mean of the past with exponentially decreasing
// weights.
type filter struct {
	*basis
	tau float64 // time constant in ns
	// state[c][i] is its output for column c at break i. The power before the first break equals the power of
	// the first piece.
	state [][]float64
}

func newFilter(b *basis, tau float64) filter {
	f := filter{b, tau, make([][]float64, len(b.density))}
	n := len(b.breaks) - 1
	decay := make([]float64, n) // over each piece
	for i := range n {
		decay[i] = math.Exp(-float64(b.breaks[i+1]-b.breaks[i]) / tau)
	}
	for c, d := range b.density {
		state := make([]float64, n)
		now := d[0]
		for i := range n {
			state[i] = now
			now = d[i] + (now-d[i])*decay[i]
		}
		f.state[c] = state
	}
	return f
}

// at writes the filter's output at t.
func (f filter) at(t int64, row []float64) { f.atIn(t, f.piece(t), row) }

// atIn is at for t in piece i.
func (f filter) atIn(t int64, i int, row []float64) {
	rest := math.Exp(-max(0, float64(t-f.breaks[i])) / f.tau)
	for c, d := range f.density {
		row[c] = d[i] + (f.state[c][i]-d[i])*rest
	}
}

// mean writes the mean of the filter's output over [from, to]. The filter follows s' = (p − s)/τ, so its
// integral is the integral of the power minus τ times its change.
func (f filter) mean(from, to int64, row, scratch []float64) {
	i, j := f.piece(from), f.piece(to)
	f.meanOf(from, to, i, j, row)
	per := f.tau / float64(to-from)
	f.atIn(to, j, scratch)
	for c := range row {
		row[c] -= per * scratch[c]
	}
	f.atIn(from, i, scratch)
	for c := range row {
		row[c] += per * scratch[c]
	}
}
