// Package linear has the linear algebra that fits need: small dense symmetric matrices, their inverse and
// condition number, and non-negative least squares.
package linear

import "math"

// Matrix is a small dense symmetric matrix, stored by row.
type Matrix struct {
	n int
	a []float64
}

// NewMatrix returns an n×n matrix of zeros.
func NewMatrix(n int) Matrix { return Matrix{n, make([]float64, n*n)} }

// At returns an element.
func (m Matrix) At(i, j int) float64 { return m.a[i*m.n+j] }

// Add adds v to an element.
func (m Matrix) Add(i, j int, v float64) { m.a[i*m.n+j] += v }

// AddOuter adds w·x·xᵀ.
func (m Matrix) AddOuter(x []float64, w float64) {
	for i, xi := range x {
		if xi == 0 {
			continue
		}
		row := m.a[i*m.n : i*m.n+m.n]
		for j, xj := range x {
			row[j] += w * xi * xj
		}
	}
}

// AddRows adds Σ x·xᵀ of all rows. It is where fits spend their time, like the other functions that the race
// detector leaves out: they work on slices of one fit, in one goroutine, and each access under the detector would
// take ten times as long.
//
//go:norace
func (m Matrix) AddRows(rows [][]float64) {
	for i := range m.n {
		for j := range i + 1 {
			sum := m.a[i*m.n+j]
			for n := range rows {
				sum += rows[n][i] * rows[n][j]
			}
			m.a[i*m.n+j], m.a[j*m.n+i] = sum, sum
		}
	}
}

// LongRun returns the long-run variance of the sum of correlated vectors (Newey and West 1987): products of vectors
// up to bandwidth apart count, with decreasing weight.
func LongRun(u [][]float64, bandwidth int) Matrix {
	p := len(u[0])
	v := NewMatrix(p)
	for lag := 0; lag <= bandwidth; lag++ {
		w := 1 - float64(lag)/float64(bandwidth+1)
		for i := lag; i < len(u); i++ {
			a, b := u[i], u[i-lag]
			for j := range p {
				for k := range p {
					s := a[j] * b[k]
					if lag > 0 {
						s += a[k] * b[j]
					}
					v.Add(j, k, w*s)
				}
			}
		}
	}
	return v
}

// Pick returns the submatrix of some indices.
func (m Matrix) Pick(index []int) Matrix {
	p := NewMatrix(len(index))
	for i, a := range index {
		for j, b := range index {
			p.a[i*p.n+j] = m.At(a, b)
		}
	}
	return p
}

// Inverse returns the inverse of a positive definite matrix; ok is false if it is singular to working
// precision.
func (m Matrix) Inverse() (Matrix, bool) {
	// Scaled to a unit diagonal, so that the units of the columns do not matter.
	scale := make([]float64, m.n)
	for i := range scale {
		d := m.At(i, i)
		if !(d > 0) {
			return Matrix{}, false
		}
		scale[i] = 1 / math.Sqrt(d)
	}
	l := NewMatrix(m.n)
	for i := range m.n {
		for j := range i + 1 {
			s := m.At(i, j) * scale[i] * scale[j]
			for k := range j {
				s -= l.At(i, k) * l.At(j, k)
			}
			if i == j {
				if s < 1e-12 {
					return Matrix{}, false
				}
				l.a[i*l.n+i] = math.Sqrt(s)
			} else {
				l.a[i*l.n+j] = s / l.At(j, j)
			}
		}
	}
	inv := NewMatrix(m.n)
	column := make([]float64, m.n)
	for c := range m.n {
		for i := range m.n { // L·y = e_c
			s := 0.0
			if i == c {
				s = 1
			}
			for k := range i {
				s -= l.At(i, k) * column[k]
			}
			column[i] = s / l.At(i, i)
		}
		for i := m.n - 1; i >= 0; i-- { // Lᵀ·x = y
			s := column[i]
			for k := i + 1; k < m.n; k++ {
				s -= l.At(k, i) * column[k]
			}
			column[i] = s / l.At(i, i)
		}
		for i := range m.n {
			inv.a[i*inv.n+c] = column[i] * scale[i] * scale[c]
		}
	}
	return inv, true
}

// Times returns the product with a vector.
func (m Matrix) Times(x []float64) []float64 {
	y := make([]float64, m.n)
	for i := range y {
		y[i] = Dot(m.a[i*m.n:i*m.n+m.n], x)
	}
	return y
}

// Condition returns the condition number of the design with this Gram matrix, its columns scaled to unit
// length: the square root of the ratio of the extreme eigenvalues (Belsley, Kuh and Welsch, 1980).
func (m Matrix) Condition() float64 {
	if m.n == 0 {
		return 1
	}
	s := NewMatrix(m.n)
	for i := range m.n {
		for j := range m.n {
			d := m.At(i, i) * m.At(j, j)
			if !(d > 0) {
				return math.Inf(1)
			}
			s.a[i*s.n+j] = m.At(i, j) / math.Sqrt(d)
		}
	}
	low, high := math.Inf(1), 0.0
	for _, v := range s.eigenvalues() {
		low, high = min(low, v), max(high, v)
	}
	if low <= 1e-14 {
		return math.Inf(1)
	}
	return math.Sqrt(high / low)
}

// eigenvalues returns the eigenvalues by Jacobi rotations; it overwrites the matrix.
func (m Matrix) eigenvalues() []float64 {
	for range 60 {
		off := 0.0
		for i := range m.n {
			for j := range i {
				off += m.At(i, j) * m.At(i, j)
			}
		}
		if off < 1e-24 {
			break
		}
		for p := range m.n {
			for q := p + 1; q < m.n; q++ {
				m.rotate(p, q)
			}
		}
	}
	values := make([]float64, m.n)
	for i := range values {
		values[i] = m.At(i, i)
	}
	return values
}

func (m Matrix) rotate(p, q int) {
	apq := m.At(p, q)
	if apq == 0 {
		return
	}
	theta := (m.At(q, q) - m.At(p, p)) / (2 * apq)
	t := 1 / (math.Abs(theta) + math.Sqrt(theta*theta+1))
	if theta < 0 {
		t = -t
	}
	c := 1 / math.Sqrt(t*t+1)
	s := t * c
	for k := range m.n {
		kp, kq := m.At(k, p), m.At(k, q)
		m.a[k*m.n+p], m.a[k*m.n+q] = c*kp-s*kq, s*kp+c*kq
	}
	for k := range m.n {
		pk, qk := m.At(p, k), m.At(q, k)
		m.a[p*m.n+k], m.a[q*m.n+k] = c*pk-s*qk, s*pk+c*qk
	}
}

// Dot returns the product of two vectors.
//
//go:norace
func Dot(a, b []float64) float64 {
	s := 0.0
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

// LeastSquares minimises |Xβ − y|² given XᵀX and Xᵀy, with β ≥ 0 unless signed is true (Lawson and Hanson,
// 1974, on the normal equations). free lists the columns that are not fixed at zero.
func LeastSquares(gram Matrix, xy []float64, signed []bool) (beta []float64, free []int, ok bool) {
	beta = make([]float64, gram.n)
	held := make([]bool, gram.n)
	for range 3*gram.n + 3 {
		free = free[:0]
		for i := range gram.n {
			if !held[i] {
				free = append(free, i)
			}
		}
		inv, ok := gram.Pick(free).Inverse()
		if !ok {
			return nil, nil, false
		}
		part := make([]float64, len(free))
		for i, f := range free {
			part[i] = xy[f]
		}
		part = inv.Times(part)
		worst, at := 0.0, -1
		for i, f := range free {
			if !signed[f] && part[i] < worst {
				worst, at = part[i], f
			}
		}
		if at >= 0 {
			held[at] = true
			continue
		}
		clear(beta)
		for i, f := range free {
			beta[f] = part[i]
		}
		// Free the column with the largest gradient.
		at, worst = -1, 1e-9
		for i := range gram.n {
			if !held[i] {
				continue
			}
			slope := xy[i] - Dot(gram.a[i*gram.n:i*gram.n+gram.n], beta)
			if scale := math.Sqrt(gram.At(i, i)); scale > 0 && slope/scale > worst*math.Abs(xy[i])/scale+1e-12 {
				at = i
				worst = math.Inf(1)
			}
		}
		if at < 0 {
			return beta, free, true
		}
		held[at] = false
	}
	return beta, free, true
}
