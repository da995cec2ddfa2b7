package result

import (
	"fmt"
	"math"
)

// MetricInfo is a number of a record for comparing runs.
type MetricInfo struct {
	// Name is the path of the number in result.json.
	Name string
	// Unit of the number; empty for a count.
	Unit string
	// HigherIsBetter reports whether larger values are preferred.
	HigherIsBetter bool
	// Label is the heading of the column of the number.
	Label string
	// Meaning is a description in one sentence.
	Meaning string
	// of returns NaN if the record does not have the number.
	of func(*Record) float64
}

// metricInfos are all metrics for comparing, sorting and choosing runs, and metricPlaces their indices.
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

// Metrics lists the metrics for comparing runs: every number of result.json that describes a run.
func Metrics() []MetricInfo { return metricInfos }

// Metric returns a metric by its name.
func Metric(name string) (MetricInfo, error) {
	if i := metricIndex(name); i >= 0 {
		return metricInfos[i], nil
	}
	return MetricInfo{}, fmt.Errorf("there is no metric %q", name)
}

// metricIndex returns the index of a metric in metricInfos; −1 if the name is unknown.
func metricIndex(name string) int {
	if i, ok := metricPlaces[name]; ok {
		return i
	}
	return -1
}

// Value returns the metric of a run; false if it is null or the run has no result.
func (m MetricInfo) Value(r *Record) (float64, bool) {
	if r.Status != OK {
		return 0, false
	}
	v := m.of(r)
	return v, !math.IsNaN(v)
}
