package linear

import (
	"math"
	"testing"
)

// TestInverse: a matrix times its inverse is the identity, and a matrix with dependent rows has no inverse.
func TestInverse(t *testing.T) {
	m := NewMatrix(3)
	for _, x := range [][]float64{{1, 2, 0}, {0, 1, 3}, {4, 0, 1}} {
		m.AddOuter(x, 1)
	}
	inv, ok := m.Inverse()
	if !ok {
		t.Fatal("no inverse")
	}
	for i := range 3 {
		column := make([]float64, 3)
		for j := range column {
			column[j] = m.At(j, i)
		}
		for j, v := range inv.Times(column) {
			want := 0.0
			if i == j {
				want = 1
			}
			if math.Abs(v-want) > 1e-12 {
				t.Errorf("element %d, %d of the product is %g, want %g", j, i, v, want)
			}
		}
	}
	flat := NewMatrix(2)
	flat.AddOuter([]float64{1, 2}, 1)
	flat.AddOuter([]float64{2, 4}, 1)
	if _, ok := flat.Inverse(); ok {
		t.Error("dependent rows have an inverse")
	}
}

// TestCondition: two columns of unit length at an angle have the condition number √((1+c)/(1−c)), c its cosine.
func TestCondition(t *testing.T) {
	for _, c := range []float64{0, 0.5, 0.9} {
		m := NewMatrix(2)
		m.Add(0, 0, 1)
		m.Add(1, 1, 4) // the scale of a column does not matter
		m.Add(0, 1, 2*c)
		m.Add(1, 0, 2*c)
		if got, want := m.Condition(), math.Sqrt((1+c)/(1-c)); math.Abs(got-want) > 1e-9 {
			t.Errorf("cosine %g: condition number %g, want %g", c, got, want)
		}
	}
}

// TestLeastSquares: a weight that would be negative is fixed at zero, unless it is signed.
func TestLeastSquares(t *testing.T) {
	gram, xy := NewMatrix(2), []float64{3, -1}
	gram.Add(0, 0, 1)
	gram.Add(1, 1, 1)
	beta, free, ok := LeastSquares(gram, xy, []bool{false, false})
	if !ok || beta[0] != 3 || beta[1] != 0 || len(free) != 1 {
		t.Errorf("weights %v, free %v, %v; want 3 and 0", beta, free, ok)
	}
	if beta, _, _ = LeastSquares(gram, xy, []bool{false, true}); beta[1] != -1 {
		t.Errorf("a signed weight is %g, want -1", beta[1])
	}
}
