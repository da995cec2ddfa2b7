package running

import (
	"math"
	"strings"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/result"
)

// Shown returns the number that is shown for a run: the metric of the goal (execution.until), which may be empty,
// otherwise energy per output token, otherwise output tokens per second. Its value is NaN if the run is not compared.
func Shown(goal string, r result.Row) event.Metric {
	for _, name := range []string{goal, "energy.per_output_token_j",
		"throughput.output_tokens_per_s"} {
		if m := Of(name, r); m.Name != "" {
			return m
		}
	}
	return event.Metric{Value: math.NaN()}
}

// Of returns a metric of a run. It has no name, and its value is NaN, if the run is not compared or has no such number.
func Of(name string, r result.Row) event.Metric {
	m, err := result.Metric(name)
	if err != nil || !r.Comparable() { // means are shown of the values
		return event.Metric{Value: math.NaN()}
	}
	v, ok := r.Values.Get(m.Name)
	if !ok {
		return event.Metric{Value: math.NaN()}
	}
	out := event.Metric{Name: m.Name, Unit: m.Unit, Value: v}
	switch {
	case r.Simulated():
		out.Origin = string(result.Simulated)
	case strings.HasPrefix(m.Name, "energy.") && r.Provenance == result.Modelled:
		out.Origin = string(result.Modelled)
	}
	return out
}
