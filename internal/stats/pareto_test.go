package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

var energyAndSpeed = []Metric{{"energy per token", Lower}, {"tokens/s", Higher}}

func TestRelate(t *testing.T) {
	about := func(v, half float64) Point { return Point{v, v - half, v + half} }
	for _, c := range []struct {
		name string
		a, b []Point
		want Relation
	}{
		{"better in both", []Point{about(1, 0.1), about(9, 1)}, []Point{about(2, 0.1), about(5, 1)}, Dominates},
		{"worse in both", []Point{about(2, 0.1), about(5, 1)}, []Point{about(1, 0.1), about(9, 1)}, DominatedBy},
		{"separable in one, better by value in the other", []Point{about(1, 0.1), about(9, 5)},
			[]Point{about(2, 0.1), about(8, 5)}, Dominates},
		{"separable in one, equal in the other", []Point{Exact(1), Exact(9)}, []Point{Exact(2), Exact(9)}, Dominates},
		{"better by value, none separable", []Point{about(1, 1), about(9, 5)}, []Point{about(2, 1), about(8, 5)},
			NotSeparable},
		{"a trade-off", []Point{about(1, 0.1), about(5, 1)}, []Point{about(2, 0.1), about(9, 1)}, Incomparable},
		{"separable in one, worse by value in the other", []Point{about(1, 0.1), about(8, 5)},
			[]Point{about(2, 0.1), about(9, 5)}, NotSeparable},
		{"a trade-off by value, none separable", []Point{about(1, 1), about(8, 5)}, []Point{about(2, 1), about(9, 5)},
			NotSeparable},
		{"the same", []Point{Exact(1), Exact(9)}, []Point{Exact(1), Exact(9)}, NotSeparable},
		{"intervals that touch", []Point{about(1, 0.5), Exact(9)}, []Point{about(2, 0.5), Exact(9)}, NotSeparable},
		{"no bounds known", []Point{{1, math.NaN(), math.NaN()}, Exact(9)}, []Point{Exact(2), Exact(9)}, NotSeparable},
		{"the needed bound known", []Point{{1, math.NaN(), 1.5}, Exact(9)}, []Point{{2, 1.8, math.NaN()}, Exact(9)},
			Dominates},
		{"value outside its interval", []Point{{1, 1.2, 1.5}, Exact(9)}, []Point{{1.1, 1.6, 2}, Exact(9)},
			NotSeparable},
	} {
		if got, err := Relate(c.a, c.b, energyAndSpeed); err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

// A point carries the interval of the estimate it comes from.
func TestPointOfAnEstimate(t *testing.T) {
	e, err := MeanInterval([]float64{1, 2, 3}, 0)
	if err != nil || e.Point() != (Point{e.Value, e.Low, e.High}) {
		t.Errorf("%+v of %+v, %v", e.Point(), e, err)
	}
}

func TestRefusedPoints(t *testing.T) {
	row := []Point{Exact(1), Exact(2)}
	for name, err := range map[string]error{
		"no metrics":     second(Pareto([][]Point{row}, nil)),
		"no direction":   second(Pareto([][]Point{row}, []Metric{{"a", Lower}, {Name: "b"}})),
		"too few points": second(Pareto([][]Point{row[:1]}, energyAndSpeed)),
		"relate missing": second(Relate(row, []Point{Exact(1), Exact(math.NaN())}, energyAndSpeed)),
		"objective":      second(Best([][]Point{row}, Objective{Column: 2, Better: Lower}, nil)),
		"no objective":   second(Best([][]Point{row}, Objective{}, nil)),
		"column":         second(Best([][]Point{row}, Objective{Better: Lower}, []Constraint{{5, Below, 1}})),
		"operator":       second(Best([][]Point{row}, Objective{Better: Lower}, []Constraint{{0, "=", 1}})),
		"limit":          second(Best([][]Point{row}, Objective{Better: Lower}, []Constraint{{0, Below, math.NaN()}})),
	} {
		if err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
}

func TestParetoStandings(t *testing.T) {
	points := [][]Point{
		{Exact(1), Exact(5)},                    // front
		{Exact(2), Exact(9)},                    // front
		{Exact(3), Exact(5)},                    // dominated by 0 and 1
		{{2.1, 1.9, 2.3}, {8.8, 8.0, 9.6}},      // worse than 1 by value only
		{Exact(math.NaN()), Exact(9)},           // missing
		{Exact(1), Exact(5)},                    // equal to 0, so front
		{Exact(3), {Value: 4, Low: 9, High: 8}}, // reversed
	}
	want := []Standing{
		{Front, -1, ""}, {Front, -1, ""}, {Dominated, 1, ""}, {Uncertain, 1, ""},
		{Excluded, -1, "energy per token is missing"}, {Front, -1, ""},
		{Excluded, -1, "tokens/s has an interval whose low end is above its high end"},
	}
	got, err := Pareto(points, energyAndSpeed)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if none, err := Pareto(nil, energyAndSpeed); err != nil || len(none) != 0 {
		t.Errorf("of none: %v, %v", none, err)
	}
}

// randomPoints has values on a grid, so that ties are many, or on the line, and
// intervals of the given width, some unknown.
func randomPoints(rng *rand.Rand, n, k, grid int, width float64) [][]Point {
	points := make([][]Point, n)
	for i := range points {
		for range k {
			v := float64(rng.IntN(grid))
			p := Point{v, v - width*rng.Float64(), v + width*rng.Float64()}
			switch {
			case width > 0 && rng.IntN(20) == 0:
				p.High = math.NaN()
			case width > 0 && rng.IntN(40) == 0:
				p.Value = math.NaN()
			}
			points[i] = append(points[i], p)
		}
	}
	return points
}

func randomMetrics(rng *rand.Rand, k int) []Metric {
	metrics := make([]Metric, k)
	for i := range metrics {
		metrics[i] = Metric{fmt.Sprint(i), []Better{Lower, Higher}[rng.IntN(2)]}
	}
	return metrics
}

// The sweeps find what comparing every pair finds.
func TestParetoMatchesAllPairs(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 4))
	cases := 400
	if testing.Short() {
		cases = 40
	}
	for range cases {
		k := 1 + rng.IntN(4)
		points := randomPoints(rng, 1+rng.IntN(40), k, 2+rng.IntN(12), float64(rng.IntN(4)))
		metrics := randomMetrics(rng, k)
		got, err := Pareto(points, metrics)
		if err != nil {
			t.Fatal(err)
		}
		exact := make([][]Point, len(points))
		for i, row := range points {
			for _, p := range row {
				exact[i] = append(exact[i], Exact(p.Value))
			}
		}
		dominates := func(points [][]Point, i, j int) bool {
			r, err := Relate(points[i], points[j], metrics)
			return err == nil && r == Dominates
		}
		for i, s := range got {
			want := Front
			for j := range points {
				switch {
				case dominates(points, j, i):
					want = Dominated
				case dominates(exact, j, i) && want == Front:
					want = Uncertain
				}
			}
			if _, err := Relate(points[i], points[i], metrics); err != nil {
				want = Excluded
			}
			if s.Status != want {
				t.Fatalf("%d of %v: %s, want %s", i, points, s.Status, want)
			}
			if s.Status == Dominated && !dominates(points, s.By, i) ||
				s.Status == Uncertain && !dominates(exact, s.By, i) {
				t.Fatalf("%d of %v: %d does not dominate it", i, points, s.By)
			}
		}
	}
}

func TestDominanceIsAnOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(23, 4))
	opposite := map[Relation]Relation{Dominates: DominatedBy, DominatedBy: Dominates, Incomparable: Incomparable,
		NotSeparable: NotSeparable}
	for _, width := range []float64{0, 2} {
		points, metrics := randomPoints(rng, 40, 3, 5, width), randomMetrics(rng, 3)
		relation := func(i, j int) Relation {
			r, _ := Relate(points[i], points[j], metrics)
			return r
		}
		for i := range points {
			for j := range points {
				if relation(i, j) != opposite[relation(j, i)] {
					t.Fatalf("%v %s %v, which %s", points[i], relation(i, j), points[j], relation(j, i))
				}
				for k := range points {
					if width == 0 && relation(i, j) == Dominates && relation(j, k) == Dominates &&
						relation(i, k) != Dominates {
						t.Fatalf("%v, %v, %v: not transitive", points[i], points[j], points[k])
					}
				}
			}
		}
	}
}

// large is n configurations that trade energy for speed: the hard case, since
// many lie on the front.
func large(n, k int) ([][]Point, []Metric) {
	rng := rand.New(rand.NewPCG(29, 4))
	points, metrics := make([][]Point, n), make([]Metric, k)
	for i := range metrics {
		metrics[i] = Metric{fmt.Sprint(i), Lower}
	}
	for i := range points {
		x := rng.Float64()
		for j := range k {
			v := rng.Float64()
			if k == 2 {
				v = []float64{x, 1 - x + 1e-4*rng.Float64()}[j]
			}
			points[i] = append(points[i], Point{v, v - 1e-6, v + 1e-6})
		}
	}
	return points, metrics
}

// With two metrics each of the three sweeps looks at most three times at one other row for each, however
// many lie on the front.
func TestParetoComparesFew(t *testing.T) {
	const n = 20_000
	points, metrics := large(n, 2)
	table, err := newTable(points, metrics)
	if err != nil {
		t.Fatal(err)
	}
	front := 0
	for _, s := range table.standings() {
		if s.Status == Front {
			front++
		}
	}
	if most := 9 * n; table.compared > most || front < n/2 {
		t.Errorf("%d comparisons for %d on the front of %d, want at most %d", table.compared, front, n, most)
	}
}

func BenchmarkPareto100k(b *testing.B) {
	for _, k := range []int{2, 3, 4} {
		points, metrics := large(100_000, k)
		b.Run(fmt.Sprintf("metrics=%d", k), func(b *testing.B) {
			for b.Loop() {
				if _, err := Pareto(points, metrics); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
