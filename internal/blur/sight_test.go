package blur

import (
	"math"
	"testing"
)

// TestSight compares the responses with the differential equations of the filters, solved in small steps.
func TestSight(t *testing.T) {
	const ms = int64(1e6)
	breaks := []int64{0, 50 * ms, 53 * ms, 60 * ms, 100 * ms, 140 * ms}
	columns := [][]float64{{100, 500, 0, 300, 100}, {0, 0, 1, 1, 0}}
	for name, k := range map[string]struct{ own, rise, window float64 }{
		"nothing":                              {0, 0, 5e5},
		"a window":                             {0, 0, 20e6},
		"a filter":                             {13e6, 0, 0},
		"a filter and a window":                {13e6, 0, 20e6},
		"two filters":                          {13e6, 7e6, 0},
		"two filters, a window":                {7e6, 13e6, 20e6},
		"two equal filters":                    {5e6, 5e6, 0},
		"two of the shortest":                  {MinFilter, MinFilter, 5e6},
		"a rise without a filter is not there": {0, 7e6, 5e6},
	} {
		s := NewSight(New(breaks, columns))
		s.Through(k.own, k.rise)
		if k.own < MinFilter {
			k.rise = 0
		}
		want := direct(breaks, columns, k.own, k.rise)
		for _, to := range []int64{45 * ms, 52 * ms, 58 * ms, 75 * ms, 120 * ms} {
			row := make([]float64, 2)
			s.Row(to, k.window, row)
			for c, v := range row {
				w := want(c, float64(to)-max(k.window, 1e4), float64(to))
				if math.Abs(v-w) > 0.01*columns[c][1]+0.004 {
					t.Errorf("%s: column %d at %d ms: %v, want %v", name, c, to/ms, v, w)
				}
			}
		}
	}
}

// direct returns the mean of a filtered column over an interval.
func direct(breaks []int64, columns [][]float64, own, rise float64) func(c int, from, to float64) float64 {
	const step = 1e4
	all := make([][]float64, len(columns))
	for c, col := range columns {
		first, second, piece := col[0], col[0], 0
		for at := 0.0; at < float64(breaks[len(breaks)-1]); at += step {
			for float64(breaks[piece+1]) <= at {
				piece++
			}
			first += (col[piece] - first) * share(step, rise)
			second += (first - second) * share(step, own)
			all[c] = append(all[c], second)
		}
	}
	return func(c int, from, to float64) float64 {
		sum, n := 0.0, 0.0
		for i := int(from / step); i < int(to/step); i++ {
			sum, n = sum+all[c][i], n+1
		}
		return sum / n
	}
}

func share(step, tau float64) float64 {
	if tau < MinFilter {
		return 1
	}
	return 1 - math.Exp(-step/tau)
}
