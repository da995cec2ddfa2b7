package result

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/stats"
)

// Distribution summarises values. SD is null for a single value. A percentile is null where the
// values are fewer than its floor: 64 for p90, 130 for p95 and 662 for p99.
type Distribution struct {
	// N is the number of values.
	N int `json:"n"`
	// Mean of the values, in their unit, like all numbers here but N.
	Mean float64 `json:"mean"`
	// SD is the sample standard deviation; null for fewer than two values.
	SD *float64 `json:"sd"`
	// Min is the smallest value.
	Min float64 `json:"min"`
	// P50 is the median of the values, however few they are.
	P50 float64 `json:"p50"`
	// P90 is the 90th percentile.
	P90 *float64 `json:"p90"`
	// P95 is the 95th percentile.
	P95 *float64 `json:"p95"`
	// P99 is the 99th percentile.
	P99 *float64 `json:"p99"`
	// Max is the largest value.
	Max float64 `json:"max"`
	// P50CI95 is the 95 % interval of the median: the order statistics that hold it, if the
	// values are independent; null where they are too few, and in results of earlier versions.
	P50CI95 *[2]float64 `json:"p50_ci95"`
	// P90CI95 is that of P90, and null where P90 is.
	P90CI95 *[2]float64 `json:"p90_ci95"`
	// P95CI95 is that of P95.
	P95CI95 *[2]float64 `json:"p95_ci95"`
	// P99CI95 is that of P99.
	P99CI95 *[2]float64 `json:"p99_ci95"`
	// Reason is why percentiles are null.
	Reason string `json:"reason,omitempty"`
}

// DistributionOf summarises values; nil where there is none.
func DistributionOf(values []float64) *Distribution {
	s, ok := stats.Summarize(values)
	if !ok {
		return nil
	}
	d := &Distribution{N: s.N, Mean: s.Mean, Min: s.Min, Max: s.Max, P50: s.Median, P50CI95: orderInterval(s, 50)}
	if !math.IsNaN(s.SD) {
		d.SD = &s.SD
	}
	for _, p := range d.percentiles() {
		if s.N >= stats.PercentileFloor(p.p) {
			*p.value, *p.ci95 = new(s.Percentile(p.p)), orderInterval(s, p.p)
		}
	}
	d.Reason = belowFloor(d.N)
	return d
}

func orderInterval(s stats.Summary, p float64) *[2]float64 {
	low, high, ok := s.OrderInterval(p, stats.DefaultLevel)
	if !ok {
		return nil
	}
	return &[2]float64{low, high}
}

// percentile is a percentile of a distribution that has a floor.
type percentile struct {
	p     float64
	value **float64
	ci95  **[2]float64
}

// floored reports whether the metric is a percentile that is not told of few values.
func (m MetricInfo) floored() bool {
	return strings.HasPrefix(m.Name, "latency.") && slices.ContainsFunc(flooredPercentiles, func(p float64) bool {
		return strings.HasSuffix(m.Name, fmt.Sprintf(".p%g", p))
	})
}

// flooredPercentiles are those that are not told of few values.
var flooredPercentiles = []float64{90, 95, 99}

func (d *Distribution) percentiles() []percentile {
	return []percentile{{90, &d.P90, &d.P90CI95}, {95, &d.P95, &d.P95CI95}, {99, &d.P99, &d.P99CI95}}
}

// UnmarshalJSON reads what is written. Earlier versions wrote percentiles of any number of
// values.
func (d *Distribution) UnmarshalJSON(text []byte) error {
	type plain Distribution
	if err := json.Unmarshal(text, (*plain)(d)); err != nil {
		return err
	}
	for _, p := range d.percentiles() {
		if d.N < stats.PercentileFloor(p.p) {
			*p.value, *p.ci95 = nil, nil
		}
	}
	d.Reason = belowFloor(d.N)
	return nil
}

// belowFloor is why percentiles of n values are not told; empty if all are.
func belowFloor(n int) string {
	var short []string
	for _, p := range flooredPercentiles {
		if floor := stats.PercentileFloor(p); n < floor {
			short = append(short, fmt.Sprintf("p%g takes %d", p, floor))
		}
	}
	if len(short) == 0 {
		return ""
	}
	return fmt.Sprintf("too few values, %d: %s", n, strings.Join(short, ", "))
}
