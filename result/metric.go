package result

import (
	"math"
	"reflect"
	"strings"

	"github.com/llenergymeasure/llem/internal/metric"
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
	// fields lead from a record to the number.
	fields []int
}

// metricInfos are all metrics for comparing, sorting and choosing runs: [metric.All] with where their numbers are.
var metricInfos = metricTable()

func metricTable() []MetricInfo {
	var out []MetricInfo
	for _, m := range metric.All() {
		out = append(out, MetricInfo{m.Name, m.Unit, m.Higher, m.Head, m.Meaning,
			fieldsTo(reflect.TypeFor[Record](), m.Name)})
	}
	return out
}

// Metrics lists the metrics for comparing runs: every number of result.json that describes a run.
func Metrics() []MetricInfo { return metricInfos }

// Metric returns a metric by its name in result.json, such as energy.per_output_token_j, or by the head of its column,
// such as J/out, in any case.
func Metric(name string) (MetricInfo, error) {
	i, err := metric.Find(name)
	if err != nil {
		return MetricInfo{}, err
	}
	return metricInfos[i], nil
}

// metricIndex returns the index of a metric in metricInfos; −1 if the name is unknown.
func metricIndex(name string) int { return metric.Index(name) }

// Value returns the metric of a run; false if it is null or the run has no result.
func (m MetricInfo) Value(r *Record) (float64, bool) {
	if r.Status != OK {
		return 0, false
	}
	v := numberAt(reflect.ValueOf(r), m.fields)
	return v, !math.IsNaN(v)
}

// fieldsTo returns the indices of the fields that lead from a type to a number of its JSON; nil if there is none. A
// [Quantity] or an [Estimate] is its value.
func fieldsTo(t reflect.Type, path string) []int {
	var out []int
	for name := range strings.SplitSeq(path, ".") {
		i := fieldOf(t, name)
		if i < 0 {
			return nil
		}
		if out, t = append(out, i), t.Field(i).Type; t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
	}
	if t == reflect.TypeFor[Quantity]() || t == reflect.TypeFor[Estimate]() {
		out = append(out, fieldOf(t, "value"))
	}
	return out
}

// fieldOf returns the index of the field that JSON names so; −1 if there is none.
func fieldOf(t reflect.Type, name string) int {
	if t.Kind() != reflect.Struct {
		return -1
	}
	for i := range t.NumField() {
		if tag, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); tag == name {
			return i
		}
	}
	return -1
}

// numberAt returns the number that fields lead to; NaN if it is null.
func numberAt(v reflect.Value, fields []int) float64 {
	v = v.Elem()
	for _, i := range fields {
		if v = v.Field(i); v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return math.NaN()
			}
			v = v.Elem()
		}
	}
	switch {
	case v.CanFloat():
		return v.Float()
	case v.CanInt():
		return float64(v.Int())
	}
	return math.NaN()
}
