package host

import (
	"context"
	"path"
	"runtime"
	"strconv"
	"strings"
)

const (
	fileCPUInfo = "proc/cpuinfo"
	fileStatus  = "proc/self/status"
	dirCPU      = "sys/devices/system/cpu"
	dirNode     = "sys/devices/system/node"
)

// cpu reads the processors. It stops early, with missing facts, when ctx ends.
func (r *reader) cpu(ctx context.Context, group Cgroup) CPU {
	var c CPU
	b, err := r.bytes(fileCPUInfo, maxCPUInfo)
	info := parseCPUInfo(string(b))
	r.cpuFlags, r.cpuHypervisor = info.flags, info.hypervisor

	// These facts are only in cpuinfo.
	say := func(field, value, line string) *string {
		switch {
		case value != "":
			return &value
		case err != nil:
			r.missErr("cpu."+field, fileCPUInfo, err)
		default:
			r.miss("cpu."+field, "/proc/cpuinfo has no "+line+" line")
		}
		return nil
	}
	c.Model = say("model", clean(strings.Join(info.models, " + ")), "model")
	c.Vendor = say("vendor", info.vendor, "vendor")
	c.Microcode = say("microcode", info.microcode, "microcode")
	if info.flags != nil {
		c.Flags = flagsOfInterest(info.flags)
	} else {
		say("flags_of_interest", "", "flags")
	}

	online, onlineErr := r.cpuList(path.Join(dirCPU, "online"))
	if onlineErr != nil || len(online) == 0 {
		online = info.cpus
	}
	switch {
	case len(online) > 0:
		c.CoresLogical = new(len(online))
	case r.live:
		c.CoresLogical = new(runtime.NumCPU())
	default:
		r.miss("cpu.cores_logical", "neither /sys/devices/system/cpu/online nor /proc/cpuinfo lists a processor")
	}

	cores := r.topology(ctx, &c, online, info)
	r.usable(&c, online, cores, group)
	r.numa(&c)
	r.frequency(ctx, &c)
	return c
}

// topology sets sockets, physical cores and threads per core, and returns the processors of each physical
// core; nil if unknown.
func (r *reader) topology(ctx context.Context, c *CPU, online []int, info cpuInfo) [][]int {
	var cores [][]int
	sockets := map[string]bool{}
	seen := map[int]bool{}
	for _, n := range online {
		if seen[n] {
			continue // the first thread of the core counted for it
		}
		if ctx.Err() != nil {
			return nil
		}
		dir := path.Join(dirCPU, "cpu"+strconv.Itoa(n), "topology")
		threads, err := r.cpuList(path.Join(dir, "core_cpus_list"))
		if err != nil {
			threads, err = r.cpuList(path.Join(dir, "thread_siblings_list"))
		}
		if err != nil {
			cores, sockets = nil, nil
			break
		}
		threads = intersect(threads, online)
		if len(threads) == 0 {
			threads = []int{n}
		}
		for _, t := range threads {
			seen[t] = true
		}
		cores = append(cores, threads)
		if id, err := r.integer(path.Join(dir, "physical_package_id")); err == nil && id >= 0 {
			sockets[strconv.FormatInt(id, 10)] = true
		}
	}
	if cores == nil {
		cores = info.cores
	}

	const nobody = "neither /sys/devices/system/cpu/cpu*/topology nor /proc/cpuinfo lists it"
	if n := max(len(sockets), btoi(len(sockets) == 0)*info.packages); n > 0 {
		c.Sockets = &n
	} else {
		r.miss("cpu.sockets", nobody)
	}
	if len(cores) == 0 {
		r.miss("cpu.cores_physical", nobody)
		r.miss("cpu.threads_per_core", nobody)
		return nil
	}
	most := 0
	for _, threads := range cores {
		most = max(most, len(threads))
	}
	c.CoresPhysical, c.ThreadsPerCore = new(len(cores)), &most
	return cores
}

// usable sets which processors the process may use: affinity first, then the quota.
func (r *reader) usable(c *CPU, online []int, cores [][]int, group Cgroup) {
	allowed, why := r.allowed(online, group)
	switch {
	case len(allowed) > 0:
		c.CPUsAllowed = new(len(allowed))
	case r.live && c.CoresLogical != nil:
		// Go reads the affinity when the program starts.
		c.CPUsAllowed = new(runtime.NumCPU())
	default:
		r.miss("cpu.cpus_allowed", why)
		r.miss("cpu.cores_usable", why)
		r.miss("cpu.cores_physical_usable", why)
		return
	}

	usable := float64(*c.CPUsAllowed)
	if group.CPUQuotaCores != nil {
		usable = min(usable, *group.CPUQuotaCores)
	}
	c.CoresUsable = &usable

	if cores == nil || len(allowed) == 0 {
		r.miss("cpu.cores_physical_usable", "the physical cores are unknown")
		return
	}
	n := 0
	for _, threads := range cores {
		n += btoi(len(intersect(threads, allowed)) > 0)
	}
	c.CoresPhysicalUsable = &n
}

// allowed returns the online processors in the affinity mask, or why they are unknown. It reads the mask from
// the process's status file, which has the result of sched_getaffinity without that call's limit of 1024
// processors, and which works on a copied tree.
func (r *reader) allowed(online []int, group Cgroup) (list []int, why string) {
	text, err := r.text(fileStatus)
	if err == nil {
		for line := range strings.SplitSeq(text, "\n") {
			if v, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
				if list, ok = parseCPUList(v); !ok {
					err = errFormat
				}
			}
		}
	}
	if len(list) == 0 && group.Cpuset != nil {
		list, _ = parseCPUList(*group.Cpuset)
	}
	switch {
	case err != nil && len(list) == 0:
		return nil, reason("/"+fileStatus, err)
	case len(list) == 0:
		return nil, "/proc/self/status has no Cpus_allowed_list line"
	}
	if len(online) > 0 {
		list = intersect(list, online)
	}
	if len(list) == 0 {
		return nil, "no processor is both online and in the affinity mask"
	}
	return list, ""
}

// numa counts the nodes with and without processors.
func (r *reader) numa(c *CPU) {
	name := path.Join(dirNode, "online")
	online, err := r.cpuList(name)
	if err != nil {
		r.missErr("cpu.numa_nodes", name, err)
		r.missErr("cpu.numa_nodes_memory_only", name, err)
		return
	}
	name = path.Join(dirNode, "has_cpu")
	withCPU, err := r.cpuList(name)
	if err != nil {
		if len(online) == 1 { // the only node has the processors
			c.NUMANodes, c.NUMANodesMemoryOnly = new(1), new(0)
			return
		}
		r.missErr("cpu.numa_nodes", name, err)
		r.missErr("cpu.numa_nodes_memory_only", name, err)
		return
	}
	withCPU = intersect(withCPU, online)
	c.NUMANodes = new(len(withCPU))
	c.NUMANodesMemoryOnly = new(len(online) - len(withCPU))
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
