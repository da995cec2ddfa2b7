package view

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/result"
)

// Lacking is a row of a table, with the runs behind its figures.
type Lacking struct {
	Name string
	// Runs is how many the row stands for, and Has how many of them have a metric.
	Runs int
	Has  func(metric string) int
	// Missing holds why other runs have no value.
	Missing []result.Missing
}

// LackingRuns are the rows of single runs.
func LackingRuns(named Names, runs []*result.Record) []Lacking {
	out := make([]Lacking, 0, len(runs))
	for i, r := range runs {
		if r.Status != result.OK {
			continue
		}
		out = append(out, Lacking{named.Called(i), 1, func(metric string) int {
			if m, err := result.Metric(metric); err == nil {
				if _, ok := m.Value(r); ok {
					return 1
				}
			}
			return 0
		}, result.MissingOf(r.Missing())})
	}
	return out
}

// LackingConfigurations returns the rows of the first n configurations. A summary of an earlier
// version has no reasons; they are taken from its records.
func LackingConfigurations(s *result.StudyResult, named Names, n int) []Lacking {
	of := map[string][][]result.Missing{}
	for _, r := range s.Runs {
		if r.Comparable() {
			of[r.ID] = append(of[r.ID], r.Missing())
		}
	}
	out := make([]Lacking, 0, n)
	for i, e := range s.Experiments[:n] {
		if e.Compared() == 0 {
			continue
		}
		l := Lacking{named.Called(i), e.Compared(), func(metric string) int {
			m, ok := e.Metrics.Get(metric)
			if !ok {
				return 0
			}
			if m.Pooled != nil && m.Pooled.Value != nil {
				return e.Compared() // of the requests of all runs, though a run alone may have too few
			}
			return m.N
		}, e.Missing}
		if l.Missing == nil {
			l.Missing = result.MissingOf(of[e.ID]...)
		}
		out = append(out, l)
	}
	return out
}

// Gap is a reason why cells of a table are empty, or are the mean of fewer runs than there are.
type Gap struct {
	Reason result.Missing
	// Heads are the columns, Runs how many runs lack them.
	Heads []string
	Runs  int
	// Where names the rows, with the runs of each.
	Where []string
}

// GapsOf returns the reasons for a table's empty cells, each once. columns includes the columns that
// the table dropped.
func GapsOf(columns []Column, rows []Lacking) []Gap {
	var all [][]result.Missing
	for _, row := range rows {
		all = append(all, row.needed(columns))
	}
	var out []Gap
	for _, reason := range result.MissingOf(all...) {
		g := Gap{Reason: reason}
		for _, row := range rows {
			n := 0
			for _, m := range row.needed(columns) {
				if len(result.MissingOf([]result.Missing{reason}, []result.Missing{m})) == 1 {
					n += m.Runs
				}
			}
			if n > 0 {
				g.Runs += n
				where := row.Name
				if row.Runs > 1 {
					where += fmt.Sprintf(": %d of %d", n, row.Runs)
				}
				g.Where = append(g.Where, where)
			}
			for _, c := range columns {
				if n > 0 && row.lacks(c.Metric) && reason.Holds(c.Metric) && !slices.Contains(g.Heads, c.Head()) {
					g.Heads = append(g.Heads, c.Head())
				}
			}
		}
		out = append(out, g)
	}
	return out
}

func (l Lacking) lacks(metric string) bool { return l.Has(metric) < l.Runs }

// needed are the reasons that hold for a column of the table.
func (l Lacking) needed(columns []Column) []result.Missing {
	return slices.DeleteFunc(slices.Clone(l.Missing), func(m result.Missing) bool {
		return !slices.ContainsFunc(columns, func(c Column) bool { return m.Holds(c.Metric) && l.lacks(c.Metric) })
	})
}

// gapsShown is how many rows are named for each reason.
const gapsShown = 4

// Text is a gap in words.
func (g Gap) Text(rows []Lacking) (head, reason string) {
	all := 0
	for _, row := range rows {
		all += row.Runs
	}
	head = fmt.Sprintf("no %s (%d of %s)", strings.Join(g.Heads, ", "), g.Runs, digits.Count(all, "run"))
	where := g.Where
	if len(where) == len(rows) || len(rows) < 2 {
		return head, g.Reason.Reason
	}
	more := ""
	if n := len(where) - gapsShown; n > 0 {
		where, more = where[:gapsShown], fmt.Sprintf("; and %d more", n)
	}
	return head, g.Reason.Reason + " (" + strings.Join(where, "; ") + more + ")"
}

// Nowhere names the columns that were asked for and that no run has for an unknown reason; empty if there are none.
func Nowhere(asked []string, columns []Column, rows []Lacking) string {
	var heads []string
	for _, c := range columns {
		known := slices.ContainsFunc(rows, func(l Lacking) bool {
			return l.Has(c.Metric) > 0 || len(l.needed([]Column{c})) > 0
		})
		if slices.Contains(asked, c.Metric) && !known {
			heads = append(heads, c.Head())
		}
	}
	if len(heads) == 0 {
		return ""
	}
	return "no run has " + strings.Join(heads, ", ")
}
