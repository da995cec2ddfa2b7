package host

import (
	"context"
	"path"
	"strings"
)

// frequency sets how the kernel controls the clocks. A policy is a group of processors that share one clock
// setting. The current clock is omitted, because reading it wakes the core and blocks for milliseconds.
func (r *reader) frequency(ctx context.Context, c *CPU) {
	dir := path.Join(dirCPU, "cpufreq")
	policies := r.numbered(dir, "policy")
	r.boost(c)
	if len(policies) == 0 {
		const none = "the kernel offers no frequency control (no /sys/devices/system/cpu/cpufreq/policy*)"
		for _, field := range []string{"max_mhz", "frequency_driver", "governor", "energy_performance_preference"} {
			r.miss("cpu."+field, none)
		}
		return
	}

	governors, prefs := map[string]int{}, map[string]int{}
	highest := int64(0)
	for _, p := range policies {
		if ctx.Err() != nil {
			return
		}
		n := r.policySize(p)
		if n == 0 {
			continue // all of its processors are offline
		}
		count := func(into map[string]int, file string) {
			if t, err := r.text(path.Join(p, file)); err == nil {
				if v, ok := token(t); ok {
					into[v] += n
				}
			}
		}
		count(governors, "scaling_governor")
		count(prefs, "energy_performance_preference")
		if khz, err := r.integer(path.Join(p, "cpuinfo_max_freq")); err == nil {
			highest = max(highest, khz)
		}
	}

	if highest > 0 {
		c.MaxMHz = new(float64(highest) / 1000)
	} else {
		r.miss("cpu.max_mhz", "no cpuinfo_max_freq could be read")
	}
	if len(governors) > 0 {
		c.Governor = governors
	} else {
		r.miss("cpu.governor", "no scaling_governor could be read")
	}
	if len(prefs) > 0 {
		c.EPP = prefs
	} else {
		r.miss("cpu.energy_performance_preference", "the frequency driver offers none")
	}
	c.FrequencyDriver = r.str("cpu.frequency_driver", path.Join(policies[0], "scaling_driver"))
}

// policySize counts the online processors of a policy, whose file separates
// them by spaces.
func (r *reader) policySize(policy string) int {
	t, err := r.text(path.Join(policy, "affected_cpus"))
	if err != nil {
		return 0
	}
	list, ok := parseCPUList(strings.Join(strings.Fields(t), ","))
	if !ok {
		return 0
	}
	return len(list)
}

// boost reports whether clocks above the nominal one are allowed: one switch for the generic driver, the
// inverse one for Intel's.
func (r *reader) boost(c *CPU) {
	if n, err := r.integer(path.Join(dirCPU, "intel_pstate/no_turbo")); err == nil {
		c.Boost = new(n == 0)
		return
	}
	if n, err := r.integer(path.Join(dirCPU, "cpufreq/boost")); err == nil {
		c.Boost = new(n != 0)
		return
	}
	r.miss("cpu.boost", "the kernel offers no boost switch")
}
