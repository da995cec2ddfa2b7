package stats

import (
	"math"
	"slices"
	"testing"
)

// Columns are energy per token (J) and p99 TTFT (ms).
var candidates = [][]Point{
	0: {{0.50, 0.48, 0.52}, {150, 140, 160}},
	1: {{0.40, 0.39, 0.41}, {230, 220, 240}},                   // too slow
	2: {{0.42, 0.41, 0.43}, {198, 185, 211}},                   // perhaps too slow
	3: {{0.51, 0.49, 0.53}, {100, 90, 110}},                    // not separable from 0
	4: {{0.60, 0.59, 0.61}, {190, 180, 205}},                   // perhaps too slow, and dearer
	5: {{0.70, 0.69, 0.71}, {80, 70, 90}},                      // dearer
	6: {Exact(0.1), {math.NaN(), math.NaN(), math.NaN()}},      // never served
	7: {{math.NaN(), math.NaN(), math.NaN()}, {80, 70, 90}},    // energy unknown
	8: {Exact(0.50), {Value: 150, Low: math.NaN(), High: 160}}, // as good as 0
}

func TestBest(t *testing.T) {
	got, err := Best(candidates, Objective{Column: 0, Better: Lower}, []Constraint{{1, Below, 200}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Index != 0 || !slices.Equal(got.NotSeparable, []int{8, 3}) || !slices.Equal(got.Possible, []int{2}) ||
		!slices.Equal(got.Unrated, []int{7}) {
		t.Errorf("%+v", got)
	}
	want := []Verdict{Met, NotMet, Straddles, Met, Straddles, Met, NoValue, Met, Met}
	for i, v := range got.Verdicts {
		if !slices.Equal(v, want[i:i+1]) {
			t.Errorf("configuration %d: %v, want %v", i, v, want[i])
		}
	}
}

func TestBestWithoutACertainOne(t *testing.T) {
	got, err := Best(candidates[:5], Objective{Column: 0, Better: Lower},
		[]Constraint{{1, Above, 186}, {1, AtMost, 211}})
	if err != nil || got.Index != -1 || !slices.Equal(got.Possible, []int{2, 4}) {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = Best(nil, Objective{Column: 0, Better: Lower}, nil)
	if err != nil || got.Index != -1 {
		t.Errorf("of none: %+v, %v", got, err)
	}
}

// Intervals that touch do not tell two apart.
func TestBestWithTouchingRunnerUp(t *testing.T) {
	got, err := Best([][]Point{{{1, 0.9, 1.1}}, {{1.2, 1.1, 1.3}}, {{1.3, 1.2, 1.4}}}, Objective{Better: Lower}, nil)
	if err != nil || got.Index != 0 || !slices.Equal(got.NotSeparable, []int{1}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestBestHighest(t *testing.T) {
	got, err := Best(candidates[:6], Objective{Column: 1, Better: Higher}, nil)
	if err != nil || got.Index != 1 || len(got.NotSeparable) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestOps(t *testing.T) {
	at := Point{10, 9, 11}
	for _, c := range []struct {
		op    Op
		limit float64
		want  Verdict
	}{
		{Below, 12, Met}, {Below, 11, Straddles}, {AtMost, 11, Met}, {AtMost, 9, Straddles}, {Below, 9, NotMet},
		{Above, 8, Met}, {Above, 9, Straddles}, {AtLeast, 9, Met}, {AtLeast, 11, Straddles}, {Above, 11, NotMet},
	} {
		got, err := Constraint{0, c.op, c.limit}.judge(at)
		if err != nil || got != c.want {
			t.Errorf("%v %s %v: %s, %v, want %s", at, c.op, c.limit, got, err, c.want)
		}
	}
}
