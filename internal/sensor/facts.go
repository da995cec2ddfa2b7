package sensor

import "github.com/llenergymeasure/llem/power"

// GPUFacts is the part of the environment snapshot about a GPU. A field that the driver does not report is
// nil, and Missing has the reason under the field's JSON name.
type GPUFacts struct {
	Index int `json:"index"` // NVML's index, in the order of PCI buses
	// UUID is the driver's name of the GPU, "GPU-…".
	UUID *string `json:"uuid"`
	// Name is the product name.
	Name *string `json:"name"`
	// BusID is the PCI address.
	BusID *string `json:"bus_id"`
	// Architecture is NVIDIA's name of the generation, such as "Hopper".
	Architecture      *string `json:"architecture"`
	ComputeCapability *string `json:"compute_capability"` // "9.0"
	// DriverVersion is the version of the kernel driver.
	DriverVersion     *string `json:"driver_version"`
	CUDADriverVersion *string `json:"cuda_driver_version"` // "13.0"
	// VBIOS is the version of the card's firmware.
	VBIOS *string `json:"vbios"`

	// MemoryTotalBytes is the card's memory.
	MemoryTotalBytes *int64 `json:"memory_total_bytes"`
	// MemoryUsedBytes is the memory in use, by all processes.
	MemoryUsedBytes *int64 `json:"memory_used_bytes"`

	// PCIeGen is the current generation of the link.
	PCIeGen *int64 `json:"pcie_gen"`
	// PCIeGenMax is the highest generation that card and slot support.
	PCIeGenMax *int64 `json:"pcie_gen_max"`
	// PCIeWidth is the current number of lanes.
	PCIeWidth *int64 `json:"pcie_width"`
	// PCIeWidthMax is the largest number of lanes that card and slot support.
	PCIeWidthMax *int64 `json:"pcie_width_max"`

	// MIG reports whether the card is divided into slices.
	MIG *bool `json:"mig"`
	// ECC reports whether the memory corrects errors.
	ECC *bool `json:"ecc"`
	// Persistence reports whether the driver stays loaded while nothing uses the card.
	Persistence *bool `json:"persistence"`
	// ComputeMode is the access mode: default, exclusive-process, prohibited.
	ComputeMode *string `json:"compute_mode"`

	PowerLimitW *float64 `json:"power_limit_w"` // the enforced one
	// PowerLimitDefaultW is the factory limit, in watts.
	PowerLimitDefaultW *float64 `json:"power_limit_default_w"`
	// PowerLimitMinW is the lowest limit that can be set, in watts.
	PowerLimitMinW *float64 `json:"power_limit_min_w"`
	// PowerLimitMaxW is the highest limit that can be set, in watts.
	PowerLimitMaxW *float64 `json:"power_limit_max_w"`

	// SMClockMHz is the current clock of the multiprocessors.
	SMClockMHz *int64 `json:"sm_clock_mhz"`
	// SMClockMaxMHz is their maximum clock.
	SMClockMaxMHz *int64 `json:"sm_clock_max_mhz"`
	// SMClockSetMHz is the applications clock.
	SMClockSetMHz *int64 `json:"sm_clock_applications_mhz"`
	// SMClockDefaultMHz is the factory applications clock.
	SMClockDefaultMHz *int64 `json:"sm_clock_default_mhz"`
	// MemClockMHz is the current clock of the memory.
	MemClockMHz *int64 `json:"mem_clock_mhz"`
	// MemClockMaxMHz is its maximum clock.
	MemClockMaxMHz *int64 `json:"mem_clock_max_mhz"`

	// TemperatureC is the temperature of the GPU in degrees Celsius.
	TemperatureC *int64 `json:"temperature_c"`
	SlowdownC    *int64 `json:"slowdown_c"` // where the hardware starts to throttle
	// FanPct is the speed of the fan, in percent of its maximum.
	FanPct *int64 `json:"fan_pct"`

	// Processes are the processes with a compute context; nil if unknown, empty if there are none.
	Processes []power.GPUProcess `json:"processes"`

	// Missing is the reason for each field that is nil, by its JSON name.
	Missing map[string]string `json:"missing,omitempty"`
}
