package host

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/note"
)

const (
	// noisyLoad is the load per usable hardware thread above which other work is assumed to disturb a
	// measurement.
	noisyLoad = 0.5
	// swapNoise is the swap that an idle Linux machine may use, in bytes.
	swapNoise = 64 << 20
)

// Warnings returns what readers of the results should know about the machine before the run, in a fixed
// order. It never warns of unknown facts.
func Warnings(s *Snapshot) note.List {
	var out note.List
	if load, ok := LoadPerCore(s); ok && load > noisyLoad {
		out.Warnf(codes.NoisyHost,
			"the machine was busy with other work (a load of %.2f for %s usable hardware threads), which adds to the "+
				"power and takes processor time", *s.Load.Avg1m, number(*s.CPU.CoresUsable))
	}
	governor, ok := Governor(s)
	if _, slow := s.CPU.Governor["powersave"]; slow {
		effect := "keeps the processors at their lowest clock"
		if dynamicPowersave(deref(s.CPU.FrequencyDriver)) {
			effect = "lets the clocks follow the load, with " + preference(s)
		}
		out.Warnf(codes.GovernorPowersave, "the frequency governor powersave %s; set performance for repeatable runs",
			effect)
	}
	if ok && governor == "" {
		out.Warnf(codes.GovernorMixed, "the processors run under different frequency governors: %s",
			counts(s.CPU.Governor))
	}
	if quota := s.Cgroup.CPUQuotaCores; quota != nil &&
		(s.CPU.CPUsAllowed == nil || *quota < float64(*s.CPU.CPUsAllowed)) {
		out.Warnf(codes.CPUQuota, "the control group allows the time of %s hardware threads; more running threads "+
			"are stopped "+
			"for part of each period, which shows in latencies", number(*quota))
	}
	if n := s.Cgroup.CPUThrottledPeriods; n != nil && *n > 0 {
		out.Warnf(codes.CPUThrottled, "the control group's quota has already stopped its threads in %d periods", *n)
	}
	if used := s.Memory.SwapUsedBytes; used != nil && *used > swapNoise {
		out.Warnf(codes.SwapInUse, "%v of swap is in use; swapping in a model during a run costs time and energy",
			digits.Bytes(*used))
	}
	if vm := s.OS.Virtualisation.VM; vm != nil && *vm {
		out.Warnf(codes.VirtualMachine,
			"this is a virtual machine%s: processor and memory power sensors are usually missing, "+
				"and neighbours on the same hardware are not visible", in(s.OS.Virtualisation.Hypervisor))
	}
	for _, g := range s.GPUs {
		if n := len(g.Processes); n > 0 {
			out.Warnf(codes.GPUShared, "other processes (%d) are on GPU %d; their energy cannot be separated", n,
				g.Index)
		}
	}
	if len(s.Conflicts) > 0 {
		out.Warnf(codes.MixedSoftware, "the workers run on different software: %s", strings.Join(s.Conflicts, "; "))
	}
	return out
}

// Governor returns the frequency governor of all processors, "" if they differ; ok is false if it is unknown.
func Governor(s *Snapshot) (name string, ok bool) {
	if len(s.CPU.Governor) == 1 {
		name = slices.Collect(maps.Keys(s.CPU.Governor))[0]
	}
	return name, len(s.CPU.Governor) > 0
}

// LoadPerCore returns the load average of the last minute divided by the usable hardware threads; ok is false
// if either is unknown. The load covers the whole machine, so in a container it is an upper bound.
func LoadPerCore(s *Snapshot) (load float64, ok bool) {
	if s.Load.Avg1m == nil || s.CPU.CoresUsable == nil || *s.CPU.CoresUsable <= 0 {
		return 0, false
	}
	return *s.Load.Avg1m / *s.CPU.CoresUsable, true
}

// CPUThreads returns the number of threads for a processor-bound engine: one per physical core in the
// affinity mask, at most the whole hardware threads of the cgroup's quota, at least 1. If the physical cores
// are unknown, it counts hardware threads.
func CPUThreads(s *Snapshot) int {
	n := 1
	switch c := &s.CPU; {
	case c.CoresPhysicalUsable != nil:
		n = *c.CoresPhysicalUsable
	case c.CPUsAllowed != nil:
		n = *c.CPUsAllowed
	case c.CoresPhysical != nil:
		n = *c.CoresPhysical
	case c.CoresLogical != nil:
		n = *c.CoresLogical
	}
	if quota := s.Cgroup.CPUQuotaCores; quota != nil {
		n = int(min(float64(n), math.Floor(*quota)))
	}
	return max(1, n)
}

// dynamicPowersave reports whether powersave is the driver's default governor, which follows the load, and
// not the generic governor of that name.
func dynamicPowersave(driver string) bool {
	return driver == "intel_pstate" || strings.HasSuffix(driver, "-pstate-epp") ||
		strings.HasSuffix(driver, "_pstate_epp")
}

func preference(s *Snapshot) string {
	if len(s.CPU.EPP) == 0 {
		return "an unknown preference"
	}
	return "the preference " + counts(s.CPU.EPP)
}

// counts formats the only key, or every key with its count.
func counts(m map[string]int) string {
	keys := slices.Sorted(maps.Keys(m))
	if len(keys) == 1 {
		return keys[0]
	}
	for i, k := range keys {
		keys[i] = fmt.Sprintf("%s (%d)", k, m[k])
	}
	return strings.Join(keys, ", ")
}

func in(hypervisor *string) string {
	if hypervisor == nil {
		return ""
	}
	return " (" + *hypervisor + ")"
}

// number formats a count that may be a fraction.
func number(f float64) string {
	if f == math.Trunc(f) {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.2f", f)
}
