package stats

import (
	"cmp"
	"slices"
)

// Status is the position of a configuration among all.
type Status string

// Places of a configuration.
const (
	// Front: no other is at least as good by value in every metric and better in one.
	Front Status = "front"
	// Dominated: another Dominates it.
	Dominated Status = "dominated"
	// Uncertain: another is at least as good by value in every metric and better in one, but not separably.
	Uncertain Status = "uncertain"
	// Excluded: a value is missing, so it is not compared.
	Excluded Status = "excluded"
)

// Standing is the result for one configuration.
type Standing struct {
	// Status is how the configuration compares with the others.
	Status Status
	// By is the index of one configuration that dominates this one, by value only if
	// Uncertain; −1 if none.
	By int
	// Reason is why a configuration is Excluded.
	Reason string
}

// Pareto finds the configurations that no other beats in all metrics at once.
// Points has one row per configuration with one point per metric; the result is
// in the same order. Dominance is defined by Relate.
//
// The work on n configurations of k metrics is k sorts and k sweeps, which take
// O(k·n·(log n + k·s)). Here s is the size of a front in k − 1 metrics: 1 for two
// metrics, so that 100 000 configurations take a fraction of a second, some
// hundreds for three or four metrics of unrelated values, and n at worst, when
// k − 1 of three or more metrics trade off throughout (10 000 configurations then
// take about a second, 100 000 minutes).
func Pareto(points [][]Point, metrics []Metric) ([]Standing, error) {
	t, err := newTable(points, metrics)
	if err != nil {
		return nil, err
	}
	return t.standings(), nil
}

// standings has the place of each row.
func (t *table) standings() []Standing {
	standings, rows := make([]Standing, len(t.excluded)), make([]int, 0, len(t.excluded))
	for i, reason := range t.excluded {
		standings[i] = Standing{Status: Front, By: -1}
		if reason != "" {
			standings[i] = Standing{Status: Excluded, By: -1, Reason: reason}
			continue
		}
		rows = append(rows, i)
	}
	t.byValue(rows, standings)
	for column := range t.columns {
		t.bySeparation(column, rows, standings)
	}
	return standings
}

// byValue marks rows that are dominated by value as Uncertain. In the order of their values, column by
// column, rows come after all that dominate them.
func (t *table) byValue(rows []int, standings []Standing) {
	order := slices.Clone(rows)
	slices.SortStableFunc(order, func(i, j int) int { return slices.Compare(t.row(i), t.row(j)) })
	best := frontier{table: t, but: 0}
	for i := 0; i < len(order); {
		// Rows of equal values do not dominate each other.
		j := i
		by, found := best.find(order[i])
		for ; j < len(order) && slices.Equal(t.row(order[j]), t.row(order[i])); j++ {
			if found {
				standings[order[j]] = Standing{Status: Uncertain, By: by}
			}
		}
		best.add(order[i])
		i = j
	}
}

// bySeparation marks as Dominated what another dominates by being separably better
// in the column: the sweep over low ends has seen all rows whose high end lies
// below. Being so, they are better by value there too, so that only the other
// columns are left to look at.
func (t *table) bySeparation(column int, rows []int, standings []Standing) {
	sortBy := func(key []float64) []int {
		order := slices.Clone(rows)
		slices.SortStableFunc(order, func(i, j int) int {
			return cmp.Compare(key[i*t.columns+column], key[j*t.columns+column])
		})
		return order
	}
	highs, best := sortBy(t.high), frontier{table: t, but: column}
	for _, i := range sortBy(t.low) {
		for len(highs) > 0 && t.high[highs[0]*t.columns+column] < t.low[i*t.columns+column] {
			best.add(highs[0])
			highs = highs[1:]
		}
		if standings[i].Status == Dominated {
			continue
		}
		if by, found := best.find(i); found {
			standings[i] = Standing{Status: Dominated, By: by}
		}
	}
}

// frontier keeps the minimal rows: no other row is below them, ignoring one column.
type frontier struct {
	*table
	but  int
	rows []int
}

// find returns a row that is not above i in any other column.
func (f *frontier) find(i int) (int, bool) {
	for _, r := range f.rows {
		f.compared++
		if below(f.row(r), f.row(i), f.but) {
			return r, true
		}
	}
	return -1, false
}

// add keeps i unless a row is below it, and drops the rows that it is below.
func (f *frontier) add(i int) {
	if _, found := f.find(i); found {
		return
	}
	f.compared += len(f.rows)
	f.rows = slices.DeleteFunc(f.rows, func(r int) bool { return below(f.row(i), f.row(r), f.but) })
	f.rows = append(f.rows, i)
}
