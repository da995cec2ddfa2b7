package stats

// Numbers of runs for the test of drift: with fewer it cannot find anything, and more are averaged over blocks,
// since it looks at all pairs.
const (
	DriftAtLeast = 5
	driftBlocks  = 50
)

// DriftOfRuns is [Drift] of the values of successive runs; false for fewer than [DriftAtLeast].
func DriftOfRuns(values []float64) (Trend, bool) {
	if len(values) < DriftAtLeast {
		return Trend{}, false
	}
	t, err := Drift(nil, blocks(values, driftBlocks), Options{})
	return t, err == nil
}

// DriftNeeds is the number of runs from which a drift of one of as many series can be beyond chance: of n values that
// only rise p is 2/n!.
func DriftNeeds(series int) int {
	n, least := DriftAtLeast, 2.0/120
	for least*float64(series) >= 1-DefaultLevel {
		n++
		least /= float64(n)
	}
	return n
}

// DriftsAmong reports which of many series of runs drift beyond chance, after the correction for their number ([Holm]):
// of 40 series that do not drift, two have a p-value below 0.05.
func DriftsAmong(series [][]float64) []bool {
	var p []float64
	var at []int
	for i, values := range series {
		if t, ok := DriftOfRuns(values); ok {
			p, at = append(p, t.P), append(at, i)
		}
	}
	out := make([]bool, len(series))
	adjusted, err := Holm(p)
	if err != nil {
		return out // p-values are between 0 and 1
	}
	for i, v := range adjusted {
		out[at[i]] = v < 1-DefaultLevel
	}
	return out
}

// blocks averages values over at most n stretches.
func blocks(values []float64, n int) []float64 {
	if len(values) <= n {
		return values
	}
	out := make([]float64, n)
	for i := range out {
		out[i] = Mean(values[i*len(values)/n : (i+1)*len(values)/n])
	}
	return out
}
