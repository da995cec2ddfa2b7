package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/result"
)

// lacking is a row of a table, with the runs behind its figures.
type lacking struct {
	name string
	// runs is how many the row stands for, and has how many of them have a metric.
	runs int
	has  func(metric string) int
	// missing holds why other runs have no value.
	missing []result.Missing
}

// lackingRuns are the rows of single runs.
func lackingRuns(named Names, runs []*result.Record) []lacking {
	out := make([]lacking, 0, len(runs))
	for i, r := range runs {
		if r.Status != result.OK {
			continue
		}
		out = append(out, lacking{named.Called(i), 1, func(metric string) int {
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

// lackingConfigurations returns the rows of the first n configurations. A summary of an earlier
// version has no reasons; they are taken from its records.
func lackingConfigurations(s *result.StudyResult, named Names, n int) []lacking {
	of := map[string][][]result.Missing{}
	for _, r := range s.Runs {
		if r.Comparable() {
			of[r.ID] = append(of[r.ID], r.Missing())
		}
	}
	out := make([]lacking, 0, n)
	for i, e := range s.Experiments[:n] {
		if e.Compared() == 0 {
			continue
		}
		l := lacking{named.Called(i), e.Compared(), func(metric string) int {
			m, ok := e.Metrics.Get(metric)
			if !ok {
				return 0
			}
			if m.Pooled != nil && m.Pooled.Value != nil {
				return e.Compared() // of the requests of all runs, though a run alone may have too few
			}
			return m.N
		}, e.Missing}
		if l.missing == nil {
			l.missing = result.MissingOf(of[e.ID]...)
		}
		out = append(out, l)
	}
	return out
}

// missingWhy are the reasons of a configuration in a cell.
func missingWhy(e result.ExperimentSummary) string {
	var out []string
	for _, m := range e.Missing {
		out = append(out, fmt.Sprintf("%s (%s): %s", m.Of, digits.Count(m.Runs, "run"), m.Reason))
	}
	return strings.Join(out, "; ")
}

// gap is a reason why cells of a table are empty, or are the mean of fewer runs than there are.
type gap struct {
	reason result.Missing
	heads  []string
	// where names the rows, with the runs of each.
	where []string
	runs  int
}

// gapsOf returns the reasons for a table's empty cells, each once. columns includes the columns that
// the table dropped.
func gapsOf(columns []column, rows []lacking) []gap {
	var all [][]result.Missing
	for _, row := range rows {
		all = append(all, row.needed(columns))
	}
	var out []gap
	for _, reason := range result.MissingOf(all...) {
		g := gap{reason: reason}
		for _, row := range rows {
			n := 0
			for _, m := range row.needed(columns) {
				if len(result.MissingOf([]result.Missing{reason}, []result.Missing{m})) == 1 {
					n += m.Runs
				}
			}
			if n > 0 {
				g.runs += n
				where := row.name
				if row.runs > 1 {
					where += fmt.Sprintf(": %d of %d", n, row.runs)
				}
				g.where = append(g.where, where)
			}
			for _, c := range columns {
				if n > 0 && row.lacks(c.metric) && reason.Holds(c.metric) && !slices.Contains(g.heads, c.head()) {
					g.heads = append(g.heads, c.head())
				}
			}
		}
		out = append(out, g)
	}
	return out
}

func (l lacking) lacks(metric string) bool { return l.has(metric) < l.runs }

// needed are the reasons that hold for a column of the table.
func (l lacking) needed(columns []column) []result.Missing {
	return slices.DeleteFunc(slices.Clone(l.missing), func(m result.Missing) bool {
		return !slices.ContainsFunc(columns, func(c column) bool { return m.Holds(c.metric) && l.lacks(c.metric) })
	})
}

// gapsShown is how many rows are named for each reason.
const gapsShown = 4

// text is a gap in words.
func (g gap) text(rows []lacking) (head, reason string) {
	all := 0
	for _, row := range rows {
		all += row.runs
	}
	head = fmt.Sprintf("no %s (%d of %s)", strings.Join(g.heads, ", "), g.runs, digits.Count(all, "run"))
	where := g.where
	if len(where) == len(rows) || len(rows) < 2 {
		return head, g.reason.Reason
	}
	more := ""
	if n := len(where) - gapsShown; n > 0 {
		where, more = where[:gapsShown], fmt.Sprintf("; and %d more", n)
	}
	return head, g.reason.Reason + " (" + strings.Join(where, "; ") + more + ")"
}

// gaps prints below a table why cells are empty. Energy that was not measured at all is
// reported with the doubts.
func (t Terminal) gaps(b *strings.Builder, columns []column, rows []lacking) {
	first := true
	for _, g := range gapsOf(columns, rows) {
		if g.reason.Of == "energy" {
			continue
		}
		if first {
			b.WriteString("\n")
		}
		first = false
		head, reason := g.text(rows)
		t.wrap(b, t.warn(head)+": ", "  ", reason)
	}
}

// nowhere names the requested metrics that no run has for an unknown reason; empty if there are none.
func (t Terminal) nowhere(columns []column, rows []lacking) string {
	var heads []string
	for _, c := range columns {
		known := slices.ContainsFunc(rows, func(l lacking) bool {
			return l.has(c.metric) > 0 || len(l.needed([]column{c})) > 0
		})
		if slices.Contains(t.Show, c.metric) && !known {
			heads = append(heads, c.head())
		}
	}
	if len(heads) == 0 {
		return ""
	}
	return "no run has " + strings.Join(heads, ", ")
}
