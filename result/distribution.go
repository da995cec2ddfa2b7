package result

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/stats"
)

// Distribution summarises values. SD is null for a single value. A percentile is null if there are too few
// values: below 64 for p90, 130 for p95 and 662 for p99.
type Distribution struct {
	// N is the number of values.
	N int `json:"n"`
	// Mean is the mean in the unit of the values, like all numbers here but N.
	Mean float64 `json:"mean"`
	// SD is the sample standard deviation; null for fewer than two values.
	SD  *float64 `json:"sd"`
	Min float64  `json:"min"` // the smallest value
	// P50 is the median, for any number of values.
	P50 float64 `json:"p50"`
	// P90, P95 and P99 are percentiles.
	P90 *float64 `json:"p90"`
	P95 *float64 `json:"p95"` // see P90
	P99 *float64 `json:"p99"` // see P90
	Max float64  `json:"max"` // the largest value
	// P50CI95 is the 95 % confidence interval of the median from order statistics, for as many independent
	// values as they are worth; null if there are too few, and in results of earlier versions.
	P50CI95 *[2]float64 `json:"p50_ci95"`
	// P90CI95, P95CI95 and P99CI95 are the confidence intervals of the percentiles, and null if these are.
	P90CI95 *[2]float64 `json:"p90_ci95"`
	P95CI95 *[2]float64 `json:"p95_ci95"` // see P90CI95
	P99CI95 *[2]float64 `json:"p99_ci95"` // see P90CI95
	// Reason is why percentiles are null.
	Reason string `json:"reason,omitempty"`
}

// DistributionOf summarises independent values; it returns nil if there are none.
func DistributionOf(values []float64) *Distribution {
	return DistributionWith(values, func(float64) int { return len(values) })
}

// DistributionWith is DistributionOf where worth returns how many independent values a percentile is of, by its value.
func DistributionWith(values []float64, worth func(at float64) int) *Distribution {
	s, ok := stats.Summarize(values)
	if !ok {
		return nil
	}
	d := &Distribution{N: s.N, Mean: s.Mean, Min: s.Min, Max: s.Max, P50: s.Median,
		P50CI95: orderInterval(s, 50, worth(s.Median))}
	if !math.IsNaN(s.SD) {
		d.SD = &s.SD
	}
	for _, p := range d.percentiles() {
		if s.N >= stats.PercentileFloor(p.p) {
			at := s.Percentile(p.p)
			*p.value, *p.ci95 = &at, orderInterval(s, p.p, worth(at))
		}
	}
	d.Reason = belowFloor(d.N)
	return d
}

func orderInterval(s stats.Summary, p float64, worth int) *[2]float64 {
	low, high, ok := s.OrderIntervalOf(worth, p, stats.DefaultLevel)
	if !ok {
		return nil
	}
	return &[2]float64{low, high}
}

// percentile is a percentile of a distribution that needs a minimum number of values.
type percentile struct {
	p     float64
	value **float64
	ci95  **[2]float64
}

// floored reports whether the metric is a percentile that needs a minimum number of values.
func (m MetricInfo) floored() bool {
	return strings.HasPrefix(m.Name, "latency.") && slices.ContainsFunc(flooredPercentiles, func(p float64) bool {
		return strings.HasSuffix(m.Name, fmt.Sprintf(".p%g", p))
	})
}

// flooredPercentiles are the percentiles that need a minimum number of values.
var flooredPercentiles = []float64{90, 95, 99}

func (d *Distribution) percentiles() []percentile {
	return []percentile{{90, &d.P90, &d.P90CI95}, {95, &d.P95, &d.P95CI95}, {99, &d.P99, &d.P99CI95}}
}

// UnmarshalJSON reads a distribution. Earlier versions wrote percentiles of any number of values, which it
// removes.
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

// belowFloor returns why percentiles of n values are null; empty if none is.
func belowFloor(n int) string {
	var short []string
	for _, p := range flooredPercentiles {
		if floor := stats.PercentileFloor(p); n < floor {
			short = append(short, fmt.Sprintf("p%g needs %d", p, floor))
		}
	}
	if len(short) == 0 {
		return ""
	}
	return fmt.Sprintf("too few values, %d: %s", n, strings.Join(short, ", "))
}
