package result

import (
	"math"

	"github.com/llenergymeasure/llem/internal/stats"
)

// shifts returns by what factor the machines of each configuration raise a metric, if the runs are from several
// machines: configurations that were measured on other machines than others are not compared as if they had not been.
// It is NaN for a configuration whose machines nothing connects with the machines of the others.
func (s *StudyResult) shifts(metric string) map[string]float64 {
	machines := map[string]bool{}
	var values []stats.InBlock
	for _, r := range s.Rows {
		node, known := s.Nodes[r.Worker]
		v, ok := r.Values.Get(metric)
		if !known || !ok || !r.Comparable() {
			continue
		}
		machines[node] = true
		values = append(values, stats.InBlock{Group: r.ID, Block: node, Value: v})
	}
	if len(machines) < 2 {
		return nil
	}
	return stats.BlockShifts(values)
}

// shifted returns a point whose interval also contains where it would be without a shift. A shift that is not known
// leaves the interval without bounds, so that nothing is separable from it.
func shifted(p stats.Point, by float64) stats.Point {
	if math.IsNaN(by) {
		return stats.Point{Value: p.Value, Low: math.NaN(), High: math.NaN()}
	}
	return stats.Point{Value: p.Value, Low: min(p.Low, p.Low/by), High: max(p.High, p.High/by)}
}
