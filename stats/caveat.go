package stats

import "fmt"

// Caveat is a reason to read a result with care.
type Caveat struct {
	Code    Code
	Message string
}

// Code identifies a kind of caveat to programs.
type Code string

// Kinds of caveats.
const (
	// CaveatTooFew: too few values for an interval.
	CaveatTooFew Code = "too_few_values"
	// CaveatAllEqual: all values are the same, so the interval has no width.
	CaveatAllEqual Code = "all_equal"
	// CaveatOutliers: some values lie far from the others.
	CaveatOutliers Code = "outliers"
	// CaveatDrift: the values rose or fell over time.
	CaveatDrift Code = "drift"
	// CaveatFewForBootstrap: a bootstrap interval of so few values is too narrow.
	CaveatFewForBootstrap Code = "few_for_bootstrap"
	// CaveatPercentile: the percentile interval stands in for BCa.
	CaveatPercentile Code = "percentile_instead_of_bca"
	// CaveatDegenerate: the statistic is the same in all resamples.
	CaveatDegenerate Code = "degenerate_bootstrap"
	// CaveatOutOfReach: the test cannot become significant with so few values.
	CaveatOutOfReach Code = "significance_out_of_reach"
	// CaveatNoRatio: a ratio of means needs positive values.
	CaveatNoRatio Code = "no_ratio"
	// CaveatApproximate: a p-value rests on a normal approximation for few values.
	CaveatApproximate Code = "approximate_p"
)

// caveat formats a caveat.
func caveat(code Code, format string, args ...any) Caveat {
	return Caveat{Code: code, Message: fmt.Sprintf(format, args...)}
}
