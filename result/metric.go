package result

import (
	"fmt"
	"math"
)

// MetricInfo is a number of a record that runs are compared by.
type MetricInfo struct {
	// Name is the path of the number in result.json.
	Name string
	// Unit of the number; empty for a count.
	Unit string
	// HigherIsBetter says which values are preferred.
	HigherIsBetter bool
	// Label is the heading of a column that shows the number.
	Label string
	// Meaning is one sentence.
	Meaning string
	// of returns NaN where the record does not have the number.
	of func(*Record) float64
}

// metricInfos are all metrics by which runs can be compared, ordered and chosen, and
// metricPlaces where each stands among them.
var (
	metricInfos  = metricTable()
	metricPlaces = places(metricInfos)
)

func places(metrics []MetricInfo) map[string]int {
	out := make(map[string]int, len(metrics))
	for i, m := range metrics {
		out[m.Name] = i
	}
	return out
}

// Metrics lists what runs can be compared by: every number of result.json that says
// something about a run.
func Metrics() []MetricInfo { return metricInfos }

// Metric finds one by its name.
func Metric(name string) (MetricInfo, error) {
	if i := metricIndex(name); i >= 0 {
		return metricInfos[i], nil
	}
	return MetricInfo{}, fmt.Errorf("there is no metric %q", name)
}

// metricIndex is the place of a metric in metricInfos; −1 if there is none of the name.
func metricIndex(name string) int {
	if i, ok := metricPlaces[name]; ok {
		return i
	}
	return -1
}

// Value of the metric in a run; false where it is null or the run has no result.
func (m MetricInfo) Value(r *Record) (float64, bool) {
	if r.Status != OK {
		return 0, false
	}
	v := m.of(r)
	return v, !math.IsNaN(v)
}
