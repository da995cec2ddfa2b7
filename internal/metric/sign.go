package metric

import "slices"

// signed are the metrics that may be negative: differences, and a temperature in °C. Every other metric is an amount.
var signed = []string{"energy.net_j", "energy.net_resident_j", "energy.net_per_output_token_j",
	"energy.net_resident_per_output_token_j", "energy.net_per_total_token_j", "energy.net_per_request_j",
	"energy.node_overhead_j", "energy.unattributed_j", "energy.agreement.difference_pct", "gpu.temperature_c"}

// Signed reports whether a metric may be negative, by its name in result.json.
func Signed(name string) bool { return slices.Contains(signed, name) }

// Shown returns the interval of a value of a metric as it is shown to people: the interval of an amount ends at 0, even
// if few runs make Student's t pass it. A negative value, as a fit of an earlier version may give, keeps its interval.
// Results and CSV files have the interval as it was computed.
func Shown(name string, value float64, ci95 *[2]float64) *[2]float64 {
	if ci95 == nil || Signed(name) || ci95[0] >= 0 || value < 0 {
		return ci95
	}
	return &[2]float64{0, max(0, ci95[1])}
}
