package host

import (
	"maps"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// GPU has the facts about one GPU, set by the code that reads its driver. A nil field is unknown; Unknown has
// the reason under the JSON name. [Collect] adds reasons that the caller did not give.
type GPU struct {
	Index  int     `json:"index"`
	UUID   *string `json:"uuid"`
	Name   *string `json:"name"`
	Vendor *string `json:"vendor"` // nvidia, amd, intel

	VRAMTotalBytes    *int64  `json:"vram_total_bytes"`
	ComputeCapability *string `json:"compute_capability"` // e.g. 9.0
	Architecture      *string `json:"architecture"`       // e.g. hopper
	DriverVersion     *string `json:"driver_version"`
	CUDADriverVersion *string `json:"cuda_driver_version"` // newest CUDA that the driver supports
	VBIOS             *string `json:"vbios"`

	PCIeGenCurrent   *int    `json:"pcie_gen_current"`
	PCIeGenMax       *int    `json:"pcie_gen_max"`
	PCIeWidthCurrent *int    `json:"pcie_width_current"` // lanes
	PCIeWidthMax     *int    `json:"pcie_width_max"`     // lanes
	PCIBusID         *string `json:"pci_bus_id"`         // domain:bus:device.function
	NUMANode         *int    `json:"numa_node"`          // read from /sys if the caller leaves it nil

	MIGMode         *string `json:"mig_mode"`         // enabled, disabled
	ECCMode         *string `json:"ecc_mode"`         // enabled, disabled
	PersistenceMode *string `json:"persistence_mode"` // enabled, disabled
	ComputeMode     *string `json:"compute_mode"`     // default, exclusive_process, prohibited

	PowerLimitW        *float64 `json:"power_limit_w"`
	PowerLimitDefaultW *float64 `json:"power_limit_default_w"`
	PowerLimitMinW     *float64 `json:"power_limit_min_w"`
	PowerLimitMaxW     *float64 `json:"power_limit_max_w"`

	SMClockMHz              *int `json:"sm_clock_mhz"`
	MemClockMHz             *int `json:"mem_clock_mhz"`
	SMClockMaxMHz           *int `json:"sm_clock_max_mhz"`
	MemClockMaxMHz          *int `json:"mem_clock_max_mhz"`
	SMClockApplicationsMHz  *int `json:"sm_clock_applications_mhz"`
	MemClockApplicationsMHz *int `json:"mem_clock_applications_mhz"`
	SMClockDefaultMHz       *int `json:"sm_clock_default_mhz"` // the clock to which applications clocks are reset

	TemperatureC         *float64 `json:"temperature_c"`
	TemperatureSlowdownC *float64 `json:"temperature_slowdown_c"`
	FanSpeedPct          *float64 `json:"fan_speed_pct"` // null on passively cooled boards

	// Processes are the other processes on the GPU; null if they could not be
	// listed, empty if there is none.
	Processes []GPUProcess `json:"processes"`

	Unknown map[string]string `json:"unknown"`
}

// GPUProcess is another process on a GPU. Its name is omitted on purpose.
type GPUProcess struct {
	PID       int    `json:"pid"`
	UsedBytes *int64 `json:"used_bytes"` // null inside containers and under some drivers
	Kind      string `json:"kind"`       // compute, graphics, mps
}

var (
	pciBusID = regexp.MustCompile(`^([0-9a-f]{4,8}):([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])$`)
	// absPath matches an absolute path of two or more names outside the kernel's file systems; the preceding
	// text does not end in a path character.
	absPath = regexp.MustCompile(`(^|[\s"'=:(,/])(/[^\s"':,()/]+(?:/[^\s"':,()/]+)+/?)`)
)

// gpus completes copies of the caller's facts: the NUMA node, a reason for each null, no private path in a
// reason.
func (r *reader) gpus(in []GPU) []GPU {
	if in == nil {
		r.miss("gpus", "the GPUs were not examined")
		return nil
	}
	out := slices.Clone(in)
	for i := range out {
		g := &out[i]
		reasons := maps.Clone(g.Unknown)
		if reasons == nil {
			reasons = map[string]string{}
		}
		for field, why := range reasons {
			reasons[field] = hidePaths(why)
		}
		g.Unknown = reasons
		if g.NUMANode == nil {
			r.gpuNode(g)
		}
		g.explain()
	}
	return out
}

// gpuNode finds the GPU's NUMA node by its bus address. Drivers write the PCI
// domain with eight digits, the kernel with four.
func (r *reader) gpuNode(g *GPU) {
	m := pciBusID.FindStringSubmatch(strings.ToLower(deref(g.PCIBusID)))
	if m == nil {
		return
	}
	domain := m[1]
	for len(domain) > 4 && domain[0] == '0' {
		domain = domain[1:]
	}
	name := path.Join("sys/bus/pci/devices", domain+":"+m[2], "numa_node")
	n, err := r.integer(name)
	switch {
	case err != nil:
		g.Unknown["numa_node"] = reason("/"+name, err)
	case n < 0:
		g.Unknown["numa_node"] = "the firmware does not assign the GPU to a node"
	default:
		g.NUMANode = new(int(n))
		delete(g.Unknown, "numa_node")
	}
}

// explain adds a reason for every null that has none.
func (g *GPU) explain() {
	v := reflect.ValueOf(*g)
	for i := range v.NumField() {
		f := v.Field(i)
		if (f.Kind() != reflect.Pointer && f.Kind() != reflect.Slice) || !f.IsNil() {
			continue
		}
		name := v.Type().Field(i).Tag.Get("json")
		if g.Unknown[name] == "" {
			g.Unknown[name] = "not reported"
		}
	}
}

// hidePaths removes paths from a text, except paths in the kernel's file systems, which identify no one.
func hidePaths(s string) string {
	return absPath.ReplaceAllStringFunc(clean(s), func(m string) string {
		at := strings.IndexByte(m, '/')
		for _, ok := range []string{"/proc/", "/sys/", "/dev/"} {
			if strings.HasPrefix(m[at:], ok) {
				return m
			}
		}
		return m[:at] + "(path)"
	})
}
