//go:build cgo

package nvml

import (
	"fmt"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/llenergymeasure/llem/power"
)

// loadNVML prepares the driver's library; Open loads it.
func loadNVML(path string) (nvmlLibrary, error) {
	if path == "" {
		return &goNVML{api: nvml.New()}, nil
	}
	return &goNVML{api: nvml.New(nvml.WithLibraryPath(path))}, nil
}

// goNVML is nvmlLibrary over the bindings, which load the library at run time.
type goNVML struct {
	api    nvml.Interface
	driver string
	cuda   int
}

// nvmlFailure converts a return code to an error; success is nil.
func nvmlFailure(call string, ret nvml.Return) error {
	if ret == nvml.SUCCESS {
		return nil
	}
	return nvmlError{call: call, code: int(ret), text: strings.TrimSpace(ret.Error())}
}

func (g *goNVML) Open() error {
	if ret := g.api.Init(); ret != nvml.SUCCESS {
		return nvmlFailure("nvmlInit", ret)
	}
	return nil
}

func (g *goNVML) Close() error { return nvmlFailure("nvmlShutdown", g.api.Shutdown()) }

func (g *goNVML) Devices() ([]nvmlListed, error) {
	n, ret := g.api.DeviceGetCount()
	if err := nvmlFailure("nvmlDeviceGetCount", ret); err != nil {
		return nil, err
	}
	// Without these two, only the snapshot misses a value.
	g.driver, _ = g.api.SystemGetDriverVersion()
	g.cuda, _ = g.api.SystemGetCudaDriverVersion()
	devices := make([]nvmlListed, 0, n)
	for i := range n {
		// The count includes GPUs that this process may not use, or that are lost.
		handle, ret := g.api.DeviceGetHandleByIndex(i)
		if err := nvmlFailure(fmt.Sprintf("nvmlDeviceGetHandleByIndex(%d)", i), ret); err != nil {
			devices = append(devices, nvmlListed{err: err})
			continue
		}
		devices = append(devices, nvmlListed{dev: &goDevice{lib: g, dev: handle}})
	}
	return devices, nil
}

// has reports whether the loaded library exports a function. Calling a missing function would end the
// process, so anything newer than driver 418 must be checked.
func (g *goNVML) has(symbol string) bool { return g.api.Extensions().LookupSymbol(symbol) == nil }

// goDevice is nvmlDevice over the bindings.
type goDevice struct {
	lib *goNVML
	dev nvml.Device
}

func (d *goDevice) Identity() (nvmlIdentity, error) {
	var id nvmlIdentity
	var ret nvml.Return
	if id.UUID, ret = d.dev.GetUUID(); ret != nvml.SUCCESS {
		return id, nvmlFailure("nvmlDeviceGetUUID", ret)
	}
	if id.Name, ret = d.dev.GetName(); ret != nvml.SUCCESS {
		return id, nvmlFailure("nvmlDeviceGetName", ret)
	}
	if arch, ret := d.architecture(); ret == nvml.SUCCESS {
		id.Architecture = uint32(arch)
	}
	if major, minor, ret := d.dev.GetCudaComputeCapability(); ret == nvml.SUCCESS {
		id.Major, id.Minor = major, minor
	}
	if mode, ret := d.migMode(); ret == nvml.SUCCESS {
		id.MIG = mode == nvml.DEVICE_MIG_ENABLE
	}
	return id, nil
}

func (d *goDevice) Energy() (uint64, error) {
	mj, ret := d.dev.GetTotalEnergyConsumption()
	return mj, nvmlFailure("nvmlDeviceGetTotalEnergyConsumption", ret)
}

func (d *goDevice) Samples(after uint64) ([]nvmlSample, error) {
	return d.ring(nvml.TOTAL_POWER_SAMPLES, after)
}

// ring reads one of the driver's rings of samples.
func (d *goDevice) ring(which nvml.SamplingType, after uint64) ([]nvmlSample, error) {
	kind, raw, ret := d.dev.GetSamples(which, after)
	if err := nvmlFailure("nvmlDeviceGetSamples", ret); err != nil {
		return nil, err
	}
	samples := make([]nvmlSample, len(raw))
	for i, s := range raw {
		mw, err := decodeNVMLValue(uint32(kind), s.SampleValue)
		if err != nil {
			return nil, err
		}
		samples[i] = nvmlSample{StampUS: s.TimeStamp, Milliwatts: mw}
	}
	return samples, nil
}

func (d *goDevice) Instant() (nvmlSample, error) {
	return d.field("POWER_INSTANT", nvml.FI_DEV_POWER_INSTANT, nvmlScopeGPU)
}

// field reads one field in the field's unit.
func (d *goDevice) field(name string, id uint32, scope nvmlScope) (nvmlSample, error) {
	fields := []nvml.FieldValue{{FieldId: id, ScopeId: uint32(scope)}}
	if err := nvmlFailure("nvmlDeviceGetFieldValues", d.dev.GetFieldValues(fields)); err != nil {
		return nvmlSample{}, err
	}
	f := fields[0]
	if err := nvmlFailure("field "+name, nvml.Return(f.NvmlReturn)); err != nil {
		return nvmlSample{}, err
	}
	v, err := decodeNVMLValue(f.ValueType, f.Value)
	return nvmlSample{StampUS: uint64(max(f.Timestamp, 0)), Milliwatts: v}, err
}

func (d *goDevice) Average() (uint32, error) {
	mw, ret := d.dev.GetPowerUsage()
	return mw, nvmlFailure("nvmlDeviceGetPowerUsage", ret)
}

func (d *goDevice) Scoped(scope nvmlScope) nvmlSensors { return goScope{d, scope} }

// goScope has the sensors of one scope.
type goScope struct {
	dev   *goDevice
	scope nvmlScope
}

func (s goScope) Energy() (uint64, error) {
	v, err := s.dev.field("ENERGY", nvml.FI_DEV_ENERGY, s.scope)
	return uint64(max(v.Milliwatts, 0)), err
}

func (s goScope) Samples(after uint64) ([]nvmlSample, error) {
	if s.scope == nvmlScopeModule {
		return s.dev.ring(nvml.MODULE_POWER_SAMPLES, after)
	}
	return s.dev.ring(nvml.TOTAL_POWER_SAMPLES, after)
}

func (s goScope) Instant() (nvmlSample, error) {
	return s.dev.field("POWER_INSTANT", nvml.FI_DEV_POWER_INSTANT, s.scope)
}

func (s goScope) Average() (uint32, error) {
	v, err := s.dev.field("POWER_AVERAGE", nvml.FI_DEV_POWER_AVERAGE, s.scope)
	return uint32(max(v.Milliwatts, 0)), err
}

func (d *goDevice) Telemetry() power.Telemetry {
	var t power.Telemetry
	if c, ret := d.dev.GetTemperature(nvml.TEMPERATURE_GPU); ret == nvml.SUCCESS {
		t.TemperatureC = new(float64(c))
	}
	if mhz, ret := d.dev.GetClockInfo(nvml.CLOCK_SM); ret == nvml.SUCCESS {
		t.SMClockMHz = new(float64(mhz))
	}
	if mhz, ret := d.dev.GetClockInfo(nvml.CLOCK_MEM); ret == nvml.SUCCESS {
		t.MemClockMHz = new(float64(mhz))
	}
	if u, ret := d.dev.GetUtilizationRates(); ret == nvml.SUCCESS {
		t.UtilizationPct = new(float64(u.Gpu))
	}
	if m, ret := d.dev.GetMemoryInfo(); ret == nvml.SUCCESS {
		t.MemoryUsedBytes = new(int64(m.Used))
	}
	// This is the old name of the clocks event reasons, which every driver exports.
	if reasons, ret := d.dev.GetCurrentClocksThrottleReasons(); ret == nvml.SUCCESS {
		t.Throttle = new(int64(reasons))
	}
	return t
}

func (d *goDevice) MemoryUsed() (int64, error) {
	m, ret := d.dev.GetMemoryInfo()
	return int64(m.Used), nvmlFailure("nvmlDeviceGetMemoryInfo", ret)
}

func (d *goDevice) Processes() ([]power.GPUProcess, error) {
	infos, ret := d.dev.GetComputeRunningProcesses()
	return processes(infos), nvmlFailure("nvmlDeviceGetComputeRunningProcesses", ret)
}

func (d *goDevice) Busy(after uint64) (map[int]float64, error) {
	const call = "nvmlDeviceGetProcessUtilization"
	if !d.lib.has(call) {
		return nil, nvmlFailure(call, nvml.ERROR_FUNCTION_NOT_FOUND)
	}
	list, ret := d.dev.GetProcessUtilization(after)
	busy := map[int]float64{}
	switch ret {
	case nvml.ERROR_NOT_FOUND: // no process has worked
		return busy, nil
	case nvml.SUCCESS, nvml.ERROR_INSUFFICIENT_SIZE: // the size of an empty list
	default:
		return nil, nvmlFailure(call, ret)
	}
	for _, s := range list {
		if s.SmUtil <= 100 && s.TimeStamp > after {
			busy[int(s.Pid)] = max(busy[int(s.Pid)], float64(s.SmUtil))
		}
	}
	return busy, nil
}

func (d *goDevice) architecture() (nvml.DeviceArchitecture, nvml.Return) {
	if !d.lib.has("nvmlDeviceGetArchitecture") {
		return 0, nvml.ERROR_FUNCTION_NOT_FOUND
	}
	return d.dev.GetArchitecture()
}

func (d *goDevice) migMode() (int, nvml.Return) {
	if !d.lib.has("nvmlDeviceGetMigMode") {
		return 0, nvml.ERROR_FUNCTION_NOT_FOUND
	}
	mode, _, ret := d.dev.GetMigMode()
	return mode, ret
}
