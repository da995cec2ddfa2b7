package power

// GPUFacts is what the environment snapshot keeps of a GPU. A field that the
// driver does not report is nil, and Missing says why under the field's JSON name.
type GPUFacts struct {
	Index             int     `json:"index"` // NVML's, the order of PCI buses
	UUID              *string `json:"uuid"`
	Name              *string `json:"name"`
	BusID             *string `json:"bus_id"`
	Architecture      *string `json:"architecture"`
	ComputeCapability *string `json:"compute_capability"` // "9.0"
	DriverVersion     *string `json:"driver_version"`
	CUDADriverVersion *string `json:"cuda_driver_version"` // "13.0"
	VBIOS             *string `json:"vbios"`

	MemoryTotalBytes *int64 `json:"memory_total_bytes"`
	MemoryUsedBytes  *int64 `json:"memory_used_bytes"`

	PCIeGen      *int64 `json:"pcie_gen"`
	PCIeGenMax   *int64 `json:"pcie_gen_max"`
	PCIeWidth    *int64 `json:"pcie_width"`
	PCIeWidthMax *int64 `json:"pcie_width_max"`

	MIG         *bool   `json:"mig"`
	ECC         *bool   `json:"ecc"`
	Persistence *bool   `json:"persistence"`
	ComputeMode *string `json:"compute_mode"`

	PowerLimitW        *float64 `json:"power_limit_w"` // the enforced one
	PowerLimitDefaultW *float64 `json:"power_limit_default_w"`
	PowerLimitMinW     *float64 `json:"power_limit_min_w"`
	PowerLimitMaxW     *float64 `json:"power_limit_max_w"`

	SMClockMHz     *int64 `json:"sm_clock_mhz"`
	SMClockMaxMHz  *int64 `json:"sm_clock_max_mhz"`
	MemClockMHz    *int64 `json:"mem_clock_mhz"`
	MemClockMaxMHz *int64 `json:"mem_clock_max_mhz"`

	TemperatureC *int64 `json:"temperature_c"`
	SlowdownC    *int64 `json:"slowdown_c"` // where the hardware starts to throttle
	FanPct       *int64 `json:"fan_pct"`

	// Processes are those with a compute context; nil when they are not known,
	// empty when there is none.
	Processes []GPUProcess `json:"processes"`

	Missing map[string]string `json:"missing,omitempty"`
}

// GPUProcess is a process that holds memory of a GPU.
type GPUProcess struct {
	PID int `json:"pid"`
	// UsedBytes is nil where the driver hides it (containers, some drivers).
	UsedBytes *int64 `json:"used_bytes"`
}
