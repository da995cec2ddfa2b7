package host

import (
	"math"
	"strconv"
	"strings"
)

const (
	fileMeminfo = "proc/meminfo"
	fileLoadavg = "proc/loadavg"
	fileTHP     = "sys/kernel/mm/transparent_hugepage/enabled"
)

// parseMeminfo parses "Key:  123 kB" lines to bytes; counts have no unit and are unchanged.
func parseMeminfo(text string) map[string]int64 {
	out := map[string]int64{}
	for line := range strings.SplitSeq(text, "\n") {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		number, unit, _ := strings.Cut(strings.TrimSpace(value), " ")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n < 0 {
			continue
		}
		switch strings.TrimSpace(unit) {
		case "":
		case "kB":
			if n > math.MaxInt64/1024 {
				continue
			}
			n *= 1024
		default:
			continue
		}
		out[strings.TrimSpace(key)] = n
	}
	return out
}

// memory reads RAM, swap and huge pages, and repeats the cgroup's limit.
func (r *reader) memory(group Cgroup) Memory {
	var m Memory
	text, err := r.text(fileMeminfo)
	info := parseMeminfo(text)
	get := func(field, key string) *int64 {
		if n, ok := info[key]; ok {
			return &n
		}
		if err != nil {
			r.missErr("memory."+field, fileMeminfo, err)
		} else {
			r.miss("memory."+field, "/proc/meminfo has no usable "+key+" line")
		}
		return nil
	}
	m.RAMTotalBytes = get("ram_total_bytes", "MemTotal")
	m.RAMAvailableBytes = get("ram_available_bytes", "MemAvailable")
	m.SwapTotalBytes = get("swap_total_bytes", "SwapTotal")
	if free := get("swap_used_bytes", "SwapFree"); free != nil {
		if m.SwapTotalBytes != nil {
			m.SwapUsedBytes = new(max(0, *m.SwapTotalBytes-*free))
		} else {
			r.miss("memory.swap_used_bytes", "the size of the swap is unknown")
		}
	}
	m.HugePages.Total = get("hugepages.total", "HugePages_Total")
	m.HugePages.Free = get("hugepages.free", "HugePages_Free")
	m.HugePages.SizeBytes = get("hugepages.size_bytes", "Hugepagesize")
	m.HugePages.Transparent = r.transparent()

	m.CgroupLimitBytes = group.MemoryLimitBytes
	if why, ok := r.unknown["cgroup.memory_limit_bytes"]; ok {
		r.miss("memory.cgroup_limit_bytes", why)
	}
	return m
}

// transparent returns the selected word of "always [madvise] never".
func (r *reader) transparent() *string {
	const field = "memory.hugepages.transparent"
	text, err := r.text(fileTHP)
	if err != nil {
		r.missErr(field, fileTHP, err)
		return nil
	}
	for word := range strings.FieldsSeq(text) {
		if len(word) > 2 && word[0] == '[' && word[len(word)-1] == ']' {
			if t, ok := token(word[1 : len(word)-1]); ok {
				return &t
			}
		}
	}
	r.missErr(field, fileTHP, errFormat)
	return nil
}

// parseLoadavg reads "0.52 0.58 0.59 3/602 1234": three averages of runnable
// and uninterruptible threads, then those runnable now of all threads.
func parseLoadavg(text string) (avg [3]float64, running int, ok bool) {
	f := strings.Fields(text)
	if len(f) < 4 {
		return avg, 0, false
	}
	for i := range avg {
		v, err := strconv.ParseFloat(f[i], 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
			return avg, 0, false
		}
		avg[i] = v
	}
	now, _, _ := strings.Cut(f[3], "/")
	running, err := strconv.Atoi(now)
	if err != nil || running < 0 {
		return avg, 0, false
	}
	return avg, running, true
}

// load reads how busy the machine is.
func (r *reader) load() Load {
	text, err := r.text(fileLoadavg)
	if err == nil {
		if avg, running, ok := parseLoadavg(text); ok {
			return Load{Avg1m: &avg[0], Avg5m: &avg[1], Avg15m: &avg[2], Processes: &running}
		}
		err = errFormat
	}
	for _, field := range []string{"loadavg_1m", "loadavg_5m", "loadavg_15m", "running_processes"} {
		r.missErr("load."+field, fileLoadavg, err)
	}
	return Load{}
}
