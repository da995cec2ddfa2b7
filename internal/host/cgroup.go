package host

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
)

// noLimitV1 is the smallest value that version 1 shows where no memory limit
// is set; the exact one depends on the page size.
const noLimitV1 = 1 << 60

// parseCPUMax reads version 2's cpu.max, "200000 100000" or "max 100000", into
// hardware threads; 0 means no limit.
func parseCPUMax(text string) (cores float64, err error) {
	f := strings.Fields(text)
	if len(f) == 0 || len(f) > 2 {
		return 0, errFormat
	}
	if f[0] == "max" {
		return 0, nil
	}
	period := int64(100_000) // µs, the kernel's default
	if len(f) == 2 {
		if period, err = strconv.ParseInt(f[1], 10, 64); err != nil {
			return 0, errFormat
		}
	}
	quota, err := strconv.ParseInt(f[0], 10, 64)
	if err != nil || quota <= 0 || period <= 0 {
		return 0, errFormat
	}
	return float64(quota) / float64(period), nil
}

// parseMemoryMax reads memory.max or memory.limit_in_bytes; 0 means no limit.
func parseMemoryMax(text string) (int64, error) {
	text = strings.TrimSpace(text)
	if text == "max" || text == "-1" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	switch {
	case err != nil:
		return 0, errFormat
	case n >= noLimitV1 || n > math.MaxInt64:
		return 0, nil
	}
	return int64(n), nil
}

// cgroup reads the limits that the process runs under.
func (r *reader) cgroup() Cgroup {
	var c Cgroup
	fields := []string{"version", "cpu_quota_cores", "memory_limit_bytes", "cpuset",
		"cpu_throttled_periods", "cpu_throttled_us"}
	text, err := r.text(fileCgroup)
	if err != nil {
		for _, f := range fields {
			r.missErr("cgroup."+f, fileCgroup, err)
		}
		return c
	}
	entries := parseCgroup(text)
	mountText, _ := r.text(fileMountinfo)
	mounts := parseCgroupMounts(mountText)

	cpu, hasCPU := r.group("cpu", entries, mounts)
	memory, hasMemory := r.group("memory", entries, mounts)
	cpuset, hasCpuset := r.group("cpuset", entries, mounts)

	const hidden = "the cgroup file system is not visible"
	switch {
	case hasCPU:
		c.Version = version(cpu)
	case hasMemory:
		c.Version = version(memory)
	case hasCpuset:
		c.Version = version(cpuset)
	default:
		r.miss("cgroup.version", hidden)
	}
	if hasCPU {
		c.CPUQuotaCores = r.cpuQuota(cpu)
		r.throttling(cpu, &c)
	} else {
		r.miss("cgroup.cpu_quota_cores", hidden)
		r.miss("cgroup.cpu_throttled_periods", hidden)
		r.miss("cgroup.cpu_throttled_us", hidden)
	}
	if hasMemory {
		c.MemoryLimitBytes = r.memoryLimit(memory)
	} else {
		r.miss("cgroup.memory_limit_bytes", hidden)
	}
	if hasCpuset {
		c.Cpuset = r.cpuset(cpuset)
	} else {
		r.miss("cgroup.cpuset", hidden)
	}
	return c
}

func version(g group) *int {
	if g.v2 {
		return new(2)
	}
	return new(1)
}

// group finds the process's group for a controller and makes sure that its
// files can be seen at all: only then does a missing limit mean none.
func (r *reader) group(controller string, entries []cgroupEntry, mounts []cgroupMount) (group, bool) {
	g, ok := groupOf(controller, entries, mounts)
	if !ok {
		return g, false
	}
	for _, dir := range g.dirs {
		if r.exists(path.Join(dir, "cgroup.procs")) {
			return g, true
		}
	}
	return g, false
}

// tightest walks up the groups and returns the smallest limit that read gives; nil if there is none. It
// returns the first failure other than a missing file, because the file may contain a limit.
func tightest[T int64 | float64](dirs []string, read func(dir string) (T, error)) (*T, error) {
	var found *T
	for _, dir := range dirs {
		v, err := read(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		case v > 0 && (found == nil || v < *found):
			found = &v
		}
	}
	return found, nil
}

// cpuQuota returns the CPU quota in hardware threads, nil if there is none.
func (r *reader) cpuQuota(g group) *float64 {
	file := "cpu.cfs_quota_us"
	if g.v2 {
		file = "cpu.max"
	}
	quota, err := tightest(g.dirs, func(dir string) (float64, error) {
		text, err := r.text(path.Join(dir, file))
		switch {
		case err != nil:
			return 0, err
		case g.v2:
			return parseCPUMax(text)
		case text == "-1":
			return 0, nil
		}
		period, err := r.text(path.Join(dir, "cpu.cfs_period_us"))
		if err != nil {
			return 0, fmt.Errorf("reading the period: %w", errFormat)
		}
		return parseCPUMax(text + " " + period)
	})
	if err != nil {
		r.miss("cgroup.cpu_quota_cores", reason("a group's "+file, err))
	}
	return quota
}

// memoryLimit returns the memory limit in bytes, nil if there is none.
func (r *reader) memoryLimit(g group) *int64 {
	file := "memory.limit_in_bytes"
	if g.v2 {
		file = "memory.max"
	}
	limit, err := tightest(g.dirs, func(dir string) (int64, error) {
		text, err := r.text(path.Join(dir, file))
		if err != nil {
			return 0, err
		}
		return parseMemoryMax(text)
	})
	if err != nil {
		r.miss("cgroup.memory_limit_bytes", reason("a group's "+file, err))
	}
	return limit
}

// cpuset returns the processors of the nearest group that lists them.
func (r *reader) cpuset(g group) *string {
	files := []string{"cpuset.effective_cpus", "cpuset.cpus"}
	if g.v2 {
		files = []string{"cpuset.cpus.effective", "cpuset.cpus"}
	}
	for _, dir := range g.dirs {
		for _, file := range files {
			text, err := r.text(path.Join(dir, file))
			if err != nil {
				continue
			}
			if _, ok := parseCPUList(text); ok && len(text) <= 4*maxText {
				return &text
			}
		}
	}
	r.miss("cgroup.cpuset", "no visible group names its processors")
	return nil
}

// throttling sets how often the quota stopped the process or its neighbours in the group: the worst group on
// the way up.
func (r *reader) throttling(g group, c *Cgroup) {
	for _, dir := range g.dirs {
		text, err := r.text(path.Join(dir, "cpu.stat"))
		if err != nil {
			continue
		}
		var periods, us int64 = -1, -1
		for line := range strings.SplitSeq(text, "\n") {
			key, value, _ := strings.Cut(line, " ")
			n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			if err != nil || n < 0 {
				continue
			}
			switch key {
			case "nr_throttled":
				periods = n
			case "throttled_usec":
				us = n
			case "throttled_time": // version 1, ns
				us = n / 1000
			}
		}
		if periods >= 0 && (c.CPUThrottledPeriods == nil || periods > *c.CPUThrottledPeriods) {
			c.CPUThrottledPeriods, c.CPUThrottledUS = &periods, nil
			if us >= 0 {
				c.CPUThrottledUS = &us
			}
		}
	}
	const none = "no visible group keeps count of it"
	if c.CPUThrottledPeriods == nil {
		r.miss("cgroup.cpu_throttled_periods", none)
	}
	if c.CPUThrottledUS == nil {
		r.miss("cgroup.cpu_throttled_us", none)
	}
}
