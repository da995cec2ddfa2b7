package attribute

import "math"

// matrix is a small dense symmetric matrix, row by row.
type matrix struct {
	n int
	a []float64
}

func newMatrix(n int) matrix { return matrix{n, make([]float64, n*n)} }

func (m matrix) at(i, j int) float64     { return m.a[i*m.n+j] }
func (m matrix) add(i, j int, v float64) { m.a[i*m.n+j] += v }

// addOuter adds w·x·xᵀ.
func (m matrix) addOuter(x []float64, w float64) {
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

// pick is the part of the matrix that belongs to some of its indices.
func (m matrix) pick(index []int) matrix {
	p := newMatrix(len(index))
	for i, a := range index {
		for j, b := range index {
			p.a[i*p.n+j] = m.at(a, b)
		}
	}
	return p
}

// inverse of a positive definite matrix; false if it is singular to working
// precision.
func (m matrix) inverse() (matrix, bool) {
	// Scaled to a unit diagonal, so that the units of the columns do not matter.
	scale := make([]float64, m.n)
	for i := range scale {
		d := m.at(i, i)
		if !(d > 0) {
			return matrix{}, false
		}
		scale[i] = 1 / math.Sqrt(d)
	}
	l := newMatrix(m.n)
	for i := range m.n {
		for j := range i + 1 {
			s := m.at(i, j) * scale[i] * scale[j]
			for k := range j {
				s -= l.at(i, k) * l.at(j, k)
			}
			if i == j {
				if s < 1e-12 {
					return matrix{}, false
				}
				l.a[i*l.n+i] = math.Sqrt(s)
			} else {
				l.a[i*l.n+j] = s / l.at(j, j)
			}
		}
	}
	inv := newMatrix(m.n)
	column := make([]float64, m.n)
	for c := range m.n {
		for i := range m.n { // L·y = e_c
			s := 0.0
			if i == c {
				s = 1
			}
			for k := range i {
				s -= l.at(i, k) * column[k]
			}
			column[i] = s / l.at(i, i)
		}
		for i := m.n - 1; i >= 0; i-- { // Lᵀ·x = y
			s := column[i]
			for k := i + 1; k < m.n; k++ {
				s -= l.at(k, i) * column[k]
			}
			column[i] = s / l.at(i, i)
		}
		for i := range m.n {
			inv.a[i*inv.n+c] = column[i] * scale[i] * scale[c]
		}
	}
	return inv, true
}

// times is the product with a vector.
func (m matrix) times(x []float64) []float64 {
	y := make([]float64, m.n)
	for i := range y {
		y[i] = dot(m.a[i*m.n:i*m.n+m.n], x)
	}
	return y
}

// condition is the condition number of the design behind a Gram matrix, its
// columns scaled to unit length: the square root of the ratio of the extreme
// eigenvalues (Belsley, Kuh and Welsch, 1980).
func (m matrix) condition() float64 {
	if m.n == 0 {
		return 1
	}
	s := newMatrix(m.n)
	for i := range m.n {
		for j := range m.n {
			d := m.at(i, i) * m.at(j, j)
			if !(d > 0) {
				return math.Inf(1)
			}
			s.a[i*s.n+j] = m.at(i, j) / math.Sqrt(d)
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

// eigenvalues by Jacobi rotations; the matrix is overwritten.
func (m matrix) eigenvalues() []float64 {
	for range 60 {
		off := 0.0
		for i := range m.n {
			for j := range i {
				off += m.at(i, j) * m.at(i, j)
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
		values[i] = m.at(i, i)
	}
	return values
}

func (m matrix) rotate(p, q int) {
	apq := m.at(p, q)
	if apq == 0 {
		return
	}
	theta := (m.at(q, q) - m.at(p, p)) / (2 * apq)
	t := 1 / (math.Abs(theta) + math.Sqrt(theta*theta+1))
	if theta < 0 {
		t = -t
	}
	c := 1 / math.Sqrt(t*t+1)
	s := t * c
	for k := range m.n {
		kp, kq := m.at(k, p), m.at(k, q)
		m.a[k*m.n+p], m.a[k*m.n+q] = c*kp-s*kq, s*kp+c*kq
	}
	for k := range m.n {
		pk, qk := m.at(p, k), m.at(q, k)
		m.a[p*m.n+k], m.a[q*m.n+k] = c*pk-s*qk, s*pk+c*qk
	}
}

func square(x float64) float64 { return x * x }

func dot(a, b []float64) float64 {
	s := 0.0
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

// leastSquares minimises |Xβ − y|² given XᵀX and Xᵀy, with β ≥ 0 where signed is
// false (Lawson and Hanson, 1974, on the normal equations). free lists the columns
// that are not held at zero.
func leastSquares(gram matrix, xy []float64, signed []bool) (beta []float64, free []int, ok bool) {
	beta = make([]float64, gram.n)
	held := make([]bool, gram.n)
	for range 3*gram.n + 3 {
		free = free[:0]
		for i := range gram.n {
			if !held[i] {
				free = append(free, i)
			}
		}
		inv, ok := gram.pick(free).inverse()
		if !ok {
			return nil, nil, false
		}
		part := make([]float64, len(free))
		for i, f := range free {
			part[i] = xy[f]
		}
		part = inv.times(part)
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
		// Let a column go again whose gradient asks for it.
		at, worst = -1, 1e-9
		for i := range gram.n {
			if !held[i] {
				continue
			}
			slope := xy[i] - dot(gram.a[i*gram.n:i*gram.n+gram.n], beta)
			if scale := math.Sqrt(gram.at(i, i)); scale > 0 && slope/scale > worst*math.Abs(xy[i])/scale+1e-12 {
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

// student975 is the 97.5 % point of Student's t (Cornish–Fisher expansion around
// the normal, Abramowitz and Stegun 26.7.5; below 0.5 % off from 3 degrees on). It is not the exact quantile of the
// statistics over runs: results that are stored must come out of their raw files again, digit by digit.
func student975(df float64) float64 {
	const z = 1.959963984540054
	if df < 1 {
		df = 1
	}
	if df < 3 { // exact at 1 and 2, log-linear between, the expansion is poor here
		const t1, t2, t3 = 12.706, 4.303, 3.182
		if df < 2 {
			return t1 * math.Pow(t2/t1, df-1)
		}
		return t2 * math.Pow(t3/t2, df-2)
	}
	z2 := z * z
	g1 := z * (z2 + 1) / 4
	g2 := z * (5*z2*z2 + 16*z2 + 3) / 96
	g3 := z * (3*z2*z2*z2 + 19*z2*z2 + 17*z2 - 15) / 384
	g4 := z * (79*z2*z2*z2*z2 + 776*z2*z2*z2 + 1482*z2*z2 - 1920*z2 - 945) / 92160
	return z + g1/df + g2/(df*df) + g3/(df*df*df) + g4/(df*df*df*df)
}
