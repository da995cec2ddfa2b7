package atload

import "github.com/llenergymeasure/llem/load"

// Longer is what makes a load of a kind run for longer: a trace has no duration, and a closed loop no arrivals.
func Longer(kind string) string {
	switch kind {
	case load.Trace:
		return "take a longer part of the trace (workload.load.span)"
	case load.Rates:
		return "lengthen the pieces of workload.load.rates"
	case load.Closed, "":
		return "let the workload repeat for longer (energy.min_window)"
	}
	return "let the load run for longer (workload.load.duration_s)"
}
