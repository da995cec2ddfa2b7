package stats

import (
	"cmp"
	"fmt"
	"slices"
)

// Holm adjusts the p-values of several tests so that the probability of any false finding among the values
// below α stays below α, for any dependence of the tests (Holm, A Simple Sequentially Rejective Multiple Test
// Procedure, 1979): the i-th smallest of m is multiplied by m − i + 1, raised to at least the previous one
// and limited to 1. The result is in the order of p; NaN and numbers outside [0, 1] are errors.
func Holm(p []float64) ([]float64, error) {
	for i, v := range p {
		if !(v >= 0 && v <= 1) {
			return nil, fmt.Errorf("p-value %d is %v: want a number from 0 to 1", i, v)
		}
	}
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(p[i], p[j]) })
	adjusted, highest := make([]float64, len(p)), 0.0
	for rank, i := range order {
		highest = max(highest, min(1, float64(len(p)-rank)*p[i]))
		adjusted[i] = highest
	}
	return adjusted, nil
}
