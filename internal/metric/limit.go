package metric

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
)

// Limit is a bound of a metric.
type Limit struct {
	// Name of the metric in result.json.
	Name string
	// Op is one of < <= > >=.
	Op string
	// Value is the bound in the unit of the metric.
	Value float64
}

// LimitError reports a text that is not a limit.
type LimitError struct{ msg string }

// Error names the text.
func (e *LimitError) Error() string { return e.msg }

// NextStep returns how to write a limit.
func (e *LimitError) NextStep() string {
	return "write a metric, one of < <= > >=, and a number in the unit of the metric, such as --where 'TTFT p99<200'"
}

// IsUsage marks a mistake of the command line.
func (e *LimitError) IsUsage() {}

// limitText matches what a user calls a metric, a comparison and a number.
var limitText = regexp.MustCompile(`^\s*([^<>=]*[^<>=\s])\s*(<=|>=|<|>)\s*([^<>=\s]+)\s*$`)

// ParseLimit reads a limit such as "TTFT p99 < 200" or "latency.ttft_ms.p99<200".
func ParseLimit(text string) (Limit, error) {
	m := limitText.FindStringSubmatch(text)
	if m == nil {
		return Limit{}, &LimitError{fmt.Sprintf("%q is not a constraint", text)}
	}
	v, err := strconv.ParseFloat(m[3], 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return Limit{}, &LimitError{fmt.Sprintf("%q: %q is not a number", text, m[3])}
	}
	i, err := Find(m[1])
	if err != nil {
		return Limit{}, err
	}
	return Limit{table[i].Name, m[2], v}, nil
}
