package join

import (
	"fmt"
	"slices"
	"strings"
)

// noSensor explains why a scope has no energy, with the next step.
func (j *join) noSensor(scope string) string {
	if j.record.Config.Energy.Sources == "none" {
		return "energy.sources is none"
	}
	s := "no " + strings.ToUpper(scope) + " power sensor can be read on this machine" + j.missing(scope)
	if scope == "cpu" { // GPU power has no model
		s += "; for a rough estimate add --estimate"
	}
	return s
}

// cpuSources are the families of sensors that measure processors.
var cpuSources = []string{"rapl", "perf", "grace"}

// missing lists the sensors of a scope that could not be opened, with the next step.
func (j *join) missing(scope string) string {
	var b strings.Builder
	for _, u := range j.Missing {
		forCPU := slices.ContainsFunc(cpuSources, func(s string) bool { return strings.HasPrefix(u.Source, s) })
		if forCPU != (scope == "cpu") {
			continue // a sensor of something that did not run the model
		}
		fmt.Fprintf(&b, "; %s: %s", u.Source, u.Message)
		if u.Next != "" {
			fmt.Fprintf(&b, " (try: %s)", u.Next)
		}
	}
	return b.String()
}
