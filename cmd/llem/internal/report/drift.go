package report

import (
	"fmt"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/result"
)

// drifting holds which configurations drift beyond chance in which of the table's columns, corrected for the number
// of configurations. The summary has the uncorrected p-value of each.
type drifting struct {
	beyond map[string][]bool // by metric, in the order of the configurations
	chance int
}

// driftingOf looks at the runs of the configurations that the summary marks, if it marks any.
func driftingOf(s *result.StudyResult) drifting {
	d := drifting{beyond: map[string][]bool{}}
	for _, c := range view.Usual() {
		marked := 0
		for _, e := range s.Experiments {
			m, _ := e.Metrics.Get(c.Metric)
			if _, drifts := m.Caveats.Find(codes.Drift); drifts {
				marked++
			}
		}
		if marked == 0 || d.beyond[c.Metric] != nil {
			continue
		}
		d.beyond[c.Metric] = stats.DriftsAmong(valuesOf(s, c.Metric))
		for _, yes := range d.beyond[c.Metric] {
			if yes {
				marked--
			}
		}
		d.chance += max(0, marked)
	}
	return d
}

// Drifts reports which configurations drift beyond chance in a column of the table.
func Drifts(s *result.StudyResult) []bool {
	out := make([]bool, len(s.Experiments))
	for _, column := range driftingOf(s).beyond {
		for i, yes := range column {
			out[i] = out[i] || yes
		}
	}
	return out
}

// valuesOf are the values of a metric by configuration, in the order of the runs.
func valuesOf(s *result.StudyResult, metric string) [][]float64 {
	out, place := make([][]float64, len(s.Experiments)), map[string]int{}
	for i, e := range s.Experiments {
		place[e.ID] = i
	}
	for _, r := range s.Rows {
		if i, known := place[r.ID]; known && r.Comparable() {
			if v, ok := r.Values.Get(metric); ok {
				out[i] = append(out[i], v)
			}
		}
	}
	return out
}

// note returns how many marks of the summary are left out; empty for none.
func (d drifting) note(s *result.StudyResult) string {
	if d.chance == 0 {
		return ""
	}
	return fmt.Sprintf("%s of drift (p < 0.05) not shown: chance may explain them among %s (Holm); --json has them",
		digits.Count(d.chance, "caution"), digits.Count(len(s.Experiments), "configuration"))
}
