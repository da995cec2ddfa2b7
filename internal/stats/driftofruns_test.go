package stats

import (
	"slices"
	"testing"
)

// TestBlocks: the means of equal parts; each part has its own values.
func TestBlocks(t *testing.T) {
	if got := blocks([]float64{1, 3, 5, 7, 9, 11, 13}, 3); !slices.Equal(got, []float64{2, 6, 11}) {
		t.Errorf("%v", got)
	}
	if got := blocks([]float64{1, 3}, 3); !slices.Equal(got, []float64{1, 3}) {
		t.Errorf("%v", got)
	}
}

// TestDriftNeeds: so many runs that only rise drift, and one run fewer does not.
func TestDriftNeeds(t *testing.T) {
	for series, want := range map[int]int{0: 5, 1: 5, 2: 5, 3: 6, 17: 6, 18: 7, 1000: 8} {
		n := DriftNeeds(series)
		rising := func(n int) bool {
			all := make([][]float64, max(1, series))
			for i := range all {
				all[i] = []float64{1, 4, 2, 5, 3}
			}
			all[0] = seq(n)
			return DriftsAmong(all)[0]
		}
		if n != want || !rising(n) || rising(n-1) {
			t.Errorf("%d series: %d runs, want %d", series, n, want)
		}
	}
}

// TestDriftsAmong: five runs that rise drift on their own, not among three series; eight do among many.
func TestDriftsAmong(t *testing.T) {
	still := []float64{2, 4, 1, 5, 3, 6, 2.5, 4.5}
	for name, q := range map[string]struct {
		series [][]float64
		want   []bool
	}{
		"none":          {nil, []bool{}},
		"too few runs":  {[][]float64{seq(4)}, []bool{false}},
		"one of one":    {[][]float64{seq(5)}, []bool{true}},
		"one of two":    {[][]float64{seq(5), still, seq(3)}, []bool{true, false, false}},
		"one of three":  {[][]float64{still, seq(5), still}, []bool{false, false, false}},
		"eight of many": {append(slices.Repeat([][]float64{still}, 40), seq(8)), append(make([]bool, 40), true)},
	} {
		if got := DriftsAmong(q.series); !slices.Equal(got, q.want) {
			t.Errorf("%s: %v, want %v", name, got, q.want)
		}
	}
}
