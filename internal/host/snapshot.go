package host

// Snapshot is the content of env.json. A nil field is a fact that could not be read; Unknown has the reason.
type Snapshot struct {
	SchemaVersion int       `json:"schema_version"`
	CollectedAt   string    `json:"collected_at"` // RFC 3339, UTC
	Build         BuildInfo `json:"llem"`
	// Node identifies the machine until its next boot, without naming it; only in the folder of a study.
	Node   string `json:"node,omitempty"`
	OS     OS     `json:"os"`
	CPU    CPU    `json:"cpu"`
	Memory Memory `json:"memory"`
	Cgroup Cgroup `json:"cgroup"`
	Load   Load   `json:"load"`
	GPUs   []GPU  `json:"gpus"` // null: not examined; empty: none
	CUDA   CUDA   `json:"cuda"`
	Python Python `json:"python"`
	Slurm  *Slurm `json:"slurm"` // null outside of a Slurm job

	// Unknown maps the dotted JSON path of a null field to the reason.
	Unknown map[string]string `json:"unknown"`
	// Conflicts lists facts on which two workers disagreed; the first report counts.
	Conflicts []string `json:"conflicts,omitempty"`

	packages []string // see [Options.Packages]
}

// OS is the operating system as the process sees it: inside a container, name
// and version are the image's, the kernel is the machine's.
type OS struct {
	Name           *string        `json:"name"`               // NAME of os-release, or the Go name of the system
	Version        *string        `json:"version"`            // VERSION_ID of os-release
	Kernel         *string        `json:"kernel"`             // release, as `uname -r`
	Arch           *string        `json:"arch"`               // as `uname -m`
	Hostname       *string        `json:"hostname,omitempty"` // only on request
	Virtualisation Virtualisation `json:"virtualisation"`
}

// Virtualisation describes the layers between the process and the hardware.
type Virtualisation struct {
	VM         *bool   `json:"vm"`
	Hypervisor *string `json:"hypervisor"` // kvm, ec2, vmware, xen, hyperv, …; "none" on bare metal
	DMIVendor  *string `json:"dmi_vendor"`
	DMIProduct *string `json:"dmi_product"`
	WSL        *bool   `json:"wsl"`
	Container  *string `json:"container"` // docker, podman, kubernetes, lxc, apptainer, …; "none"
}

// CPU describes the processors and the part of them that the process may use.
type CPU struct {
	Model          *string `json:"model"` // several kinds are joined by " + "
	Vendor         *string `json:"vendor"`
	Sockets        *int    `json:"sockets"`
	CoresPhysical  *int    `json:"cores_physical"`
	CoresLogical   *int    `json:"cores_logical"` // online hardware threads
	ThreadsPerCore *int    `json:"threads_per_core"`

	// CPUsAllowed counts the online hardware threads in the affinity mask.
	CPUsAllowed *int `json:"cpus_allowed"`
	// CoresUsable is the smaller of CPUsAllowed and the cgroup's CPU quota, in
	// hardware threads; a quota may be a fraction.
	CoresUsable *float64 `json:"cores_usable"`
	// CoresPhysicalUsable counts the physical cores behind CPUsAllowed; the
	// quota is not applied.
	CoresPhysicalUsable *int `json:"cores_physical_usable"`

	NUMANodes           *int `json:"numa_nodes"`             // nodes with processors
	NUMANodesMemoryOnly *int `json:"numa_nodes_memory_only"` // e.g. GPU memory shown as a node

	MaxMHz          *float64       `json:"max_mhz"` // highest that any core may reach
	FrequencyDriver *string        `json:"frequency_driver"`
	Governor        map[string]int `json:"governor"`                      // governor -> hardware threads under it
	EPP             map[string]int `json:"energy_performance_preference"` // preference -> hardware threads under it
	Boost           *bool          `json:"boost"`
	Flags           []string       `json:"flags_of_interest"` // sorted; empty: none of them
	Microcode       *string        `json:"microcode"`
}

// Memory is the machine's RAM and swap, in bytes.
type Memory struct {
	RAMTotalBytes     *int64    `json:"ram_total_bytes"`
	RAMAvailableBytes *int64    `json:"ram_available_bytes"`
	SwapTotalBytes    *int64    `json:"swap_total_bytes"`
	SwapUsedBytes     *int64    `json:"swap_used_bytes"`
	CgroupLimitBytes  *int64    `json:"cgroup_limit_bytes"` // null without a reason: no limit
	HugePages         HugePages `json:"hugepages"`
}

// HugePages is the state of preallocated and transparent huge pages.
type HugePages struct {
	Total       *int64  `json:"total"`
	Free        *int64  `json:"free"`
	SizeBytes   *int64  `json:"size_bytes"`
	Transparent *string `json:"transparent"` // always, madvise, never
}

// Cgroup is the control group's effect on the process: for each limit the
// tightest on the way from its own group up to the highest visible one.
type Cgroup struct {
	Version             *int     `json:"version"`            // 1 or 2
	CPUQuotaCores       *float64 `json:"cpu_quota_cores"`    // null without a reason: no limit
	MemoryLimitBytes    *int64   `json:"memory_limit_bytes"` // null without a reason: no limit
	Cpuset              *string  `json:"cpuset"`             // list form, e.g. 0-15,32
	CPUThrottledPeriods *int64   `json:"cpu_throttled_periods"`
	CPUThrottledUS      *int64   `json:"cpu_throttled_us"` // summed over the group's threads, since its creation
}

// Load is how busy the machine was when the snapshot was taken; the averages
// are of the whole machine, also inside a container.
type Load struct {
	Avg1m     *float64 `json:"loadavg_1m"`
	Avg5m     *float64 `json:"loadavg_5m"`
	Avg15m    *float64 `json:"loadavg_15m"`
	Processes *int     `json:"running_processes"` // runnable threads, this one included
}

// CUDA is the GPU software stack. Driver facts come from the driver; runtime
// and cuDNN from a worker or, failing that, from the toolkit's version file.
type CUDA struct {
	DriverVersion     *string `json:"driver_version"`      // of the kernel driver, e.g. 570.124.06
	DriverCUDAVersion *string `json:"driver_cuda_version"` // newest CUDA that the driver supports
	RuntimeVersion    *string `json:"runtime_version"`
	CuDNNVersion      *string `json:"cudnn_version"`
	Source            *string `json:"source"` // the source of RuntimeVersion: torch, version_file, …
}

// Python is the interpreter that ran the workers.
type Python struct {
	Version    *string           `json:"version"`
	Executable *string           `json:"executable"` // file name without its folder
	Packages   map[string]string `json:"packages"`   // package -> version, only packages that matter for a result
}

// Slurm is the batch job, without names.
type Slurm struct {
	JobID       string `json:"job_id"`
	ArrayTaskID string `json:"array_task_id,omitempty"`
	Partition   string `json:"partition,omitempty"`
	Nodes       *int   `json:"nodes,omitempty"`
	Tasks       *int   `json:"tasks,omitempty"`
	CPUsPerTask *int   `json:"cpus_per_task,omitempty"`
	CPUsOnNode  *int   `json:"cpus_on_node,omitempty"`
	GPUsOnNode  *int   `json:"gpus_on_node,omitempty"`
	MemPerNode  *int64 `json:"mem_per_node_bytes,omitempty"`
}
