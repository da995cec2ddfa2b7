package lines

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParts(t *testing.T) {
	tests := []struct {
		name    string
		weights []int
		want    [][]int
	}{
		{"none", nil, nil},
		{"one", []int{1}, [][]int{{1}}},
		{"exactly full", []int{partNumbers / 2, partNumbers / 2, 1}, [][]int{{partNumbers / 2, partNumbers / 2}, {1}}},
		{"too heavy alone", []int{1, 2 * partNumbers, 1, 1}, [][]int{{1}, {2 * partNumbers}, {1, 1}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got [][]int
			for part := range Parts(test.weights, func(w int) int { return w }) {
				got = append(got, part)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("parts (-want +got):\n%s", diff)
			}
		})
	}
	for range Parts([]int{partNumbers, partNumbers}, func(w int) int { return w }) {
		break // the iteration must not continue
	}
}
