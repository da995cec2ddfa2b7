//go:build cgo

package nvml

import (
	"fmt"
	"math"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
)

// ask makes one call for the snapshot, and returns the converted answer, or nil and records a reason.
func ask[T, U any](f *sensor.GPUFacts, field string, call func() (T, nvml.Return), convert func(T) U) *U {
	v, ret := call()
	if err := nvmlFailure("nvml", ret); err != nil {
		miss(f, field, err)
		return nil
	}
	return new(convert(v))
}

func same[T any](v T) T { return v }

func toInt[T int | uint32](v T) int64 { return int64(v) }

func toWatts(milliwatts uint32) float64 { return float64(milliwatts) / 1000 }

func enabled(s nvml.EnableState) bool { return s == nvml.FEATURE_ENABLED }

// with fixes the argument of a call.
func with[A, T any](call func(A) (T, nvml.Return), arg A) func() (T, nvml.Return) {
	return func() (T, nvml.Return) { return call(arg) }
}

func (d *goDevice) Facts() sensor.GPUFacts {
	f, dev := &sensor.GPUFacts{}, d.dev
	f.UUID = ask(f, "uuid", dev.GetUUID, same)
	f.Name = ask(f, "name", dev.GetName, same)
	f.BusID = ask(f, "bus_id", dev.GetPciInfo, busID)
	f.Architecture = ask(f, "architecture", d.architecture, architectureName)
	f.VBIOS = ask(f, "vbios", dev.GetVbiosVersion, same)
	if major, minor, ret := dev.GetCudaComputeCapability(); ret == nvml.SUCCESS {
		f.ComputeCapability = new(fmt.Sprintf("%d.%d", major, minor))
	} else {
		miss(f, "compute_capability", nvmlFailure("nvml", ret))
	}
	if d.lib.driver != "" {
		f.DriverVersion = &d.lib.driver
	}
	if v := d.lib.cuda; v != 0 {
		f.CUDADriverVersion = new(fmt.Sprintf("%d.%d", v/1000, v%1000/10))
	}

	f.PCIeGen = ask(f, "pcie_gen", dev.GetCurrPcieLinkGeneration, toInt)
	f.PCIeGenMax = ask(f, "pcie_gen_max", dev.GetMaxPcieLinkGeneration, toInt)
	f.PCIeWidth = ask(f, "pcie_width", dev.GetCurrPcieLinkWidth, toInt)
	f.PCIeWidthMax = ask(f, "pcie_width_max", dev.GetMaxPcieLinkWidth, toInt)

	f.MIG = ask(f, "mig", d.migMode, func(mode int) bool { return mode == nvml.DEVICE_MIG_ENABLE })
	f.Persistence = ask(f, "persistence", dev.GetPersistenceMode, enabled)
	f.ComputeMode = ask(f, "compute_mode", dev.GetComputeMode, computeMode)
	if ecc, _, ret := dev.GetEccMode(); ret == nvml.SUCCESS {
		f.ECC = new(enabled(ecc))
	} else {
		miss(f, "ecc", nvmlFailure("nvml", ret))
	}

	f.PowerLimitW = ask(f, "power_limit_w", dev.GetEnforcedPowerLimit, toWatts)
	f.PowerLimitDefaultW = ask(f, "power_limit_default_w", dev.GetPowerManagementDefaultLimit, toWatts)
	if low, high, ret := dev.GetPowerManagementLimitConstraints(); ret == nvml.SUCCESS {
		f.PowerLimitMinW, f.PowerLimitMaxW = new(toWatts(low)), new(toWatts(high))
	} else {
		miss(f, "power_limit_min_w", nvmlFailure("nvml", ret))
		miss(f, "power_limit_max_w", nvmlFailure("nvml", ret))
	}

	f.SMClockMHz = ask(f, "sm_clock_mhz", with(dev.GetClockInfo, nvml.CLOCK_SM), toInt)
	f.SMClockMaxMHz = ask(f, "sm_clock_max_mhz", with(dev.GetMaxClockInfo, nvml.CLOCK_SM), toInt)
	if d.lib.has("nvmlDeviceGetApplicationsClock") && d.lib.has("nvmlDeviceGetDefaultApplicationsClock") {
		f.SMClockSetMHz = ask(f, "sm_clock_applications_mhz", with(dev.GetApplicationsClock, nvml.CLOCK_SM), toInt)
		f.SMClockDefaultMHz = ask(f, "sm_clock_default_mhz", with(dev.GetDefaultApplicationsClock, nvml.CLOCK_SM),
			toInt)
	}
	f.MemClockMHz = ask(f, "mem_clock_mhz", with(dev.GetClockInfo, nvml.CLOCK_MEM), toInt)
	f.MemClockMaxMHz = ask(f, "mem_clock_max_mhz", with(dev.GetMaxClockInfo, nvml.CLOCK_MEM), toInt)
	f.TemperatureC = ask(f, "temperature_c", with(dev.GetTemperature, nvml.TEMPERATURE_GPU), toInt)
	f.SlowdownC = ask(f, "slowdown_c",
		with(dev.GetTemperatureThreshold, nvml.TEMPERATURE_THRESHOLD_SLOWDOWN), toInt)
	f.FanPct = ask(f, "fan_pct", dev.GetFanSpeed, toInt)

	if m, ret := dev.GetMemoryInfo(); ret == nvml.SUCCESS {
		f.MemoryTotalBytes, f.MemoryUsedBytes = new(int64(m.Total)), new(int64(m.Used))
	} else {
		miss(f, "memory_total_bytes", nvmlFailure("nvml", ret))
		miss(f, "memory_used_bytes", nvmlFailure("nvml", ret))
	}
	if list := ask(f, "processes", dev.GetComputeRunningProcesses, processes); list != nil {
		f.Processes = *list
	}
	return *f
}

func architectureName(a nvml.DeviceArchitecture) string {
	if name := nvmlArchitecture(uint32(a)); name != "" {
		return name
	}
	return fmt.Sprintf("unknown (%d)", uint32(a))
}

func busID(p nvml.PciInfo) string {
	b := make([]byte, 0, len(p.BusId))
	for _, c := range p.BusId {
		if c == 0 {
			break
		}
		b = append(b, byte(c))
	}
	return string(b)
}

func computeMode(m nvml.ComputeMode) string {
	switch m {
	case nvml.COMPUTEMODE_DEFAULT:
		return "default"
	case nvml.COMPUTEMODE_EXCLUSIVE_THREAD:
		return "exclusive-thread"
	case nvml.COMPUTEMODE_PROHIBITED:
		return "prohibited"
	case nvml.COMPUTEMODE_EXCLUSIVE_PROCESS:
		return "exclusive-process"
	}
	return fmt.Sprintf("unknown (%d)", int(m))
}

func processes(infos []nvml.ProcessInfo) []power.GPUProcess {
	list := make([]power.GPUProcess, 0, len(infos))
	for _, info := range infos {
		p := power.GPUProcess{PID: int(info.Pid)}
		// All bits set means "not available" (nvml.h, NVML_VALUE_NOT_AVAILABLE).
		if info.UsedGpuMemory != math.MaxUint64 {
			p.UsedBytes = new(int64(info.UsedGpuMemory))
		}
		list = append(list, p)
	}
	return list
}
