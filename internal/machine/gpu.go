package machine

import (
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/sensor"
)

// gpuOf converts the driver's facts about a GPU to the format of the snapshot. What the driver does not
// report stays unknown, with the reason.
func gpuOf(f sensor.GPUFacts) host.GPU {
	vendor := "nvidia"
	g := host.GPU{
		Index: f.Index, UUID: f.UUID, Name: f.Name, Vendor: &vendor, VRAMTotalBytes: f.MemoryTotalBytes,
		ComputeCapability: f.ComputeCapability, Architecture: f.Architecture,
		DriverVersion: f.DriverVersion, CUDADriverVersion: f.CUDADriverVersion, VBIOS: f.VBIOS,
		PCIeGenCurrent: intOf(f.PCIeGen), PCIeGenMax: intOf(f.PCIeGenMax),
		PCIeWidthCurrent: intOf(f.PCIeWidth), PCIeWidthMax: intOf(f.PCIeWidthMax), PCIBusID: f.BusID,
		MIGMode: enabled(f.MIG), ECCMode: enabled(f.ECC), PersistenceMode: enabled(f.Persistence),
		ComputeMode: f.ComputeMode,
		PowerLimitW: f.PowerLimitW, PowerLimitDefaultW: f.PowerLimitDefaultW,
		PowerLimitMinW: f.PowerLimitMinW, PowerLimitMaxW: f.PowerLimitMaxW,
		SMClockMHz: intOf(f.SMClockMHz), SMClockMaxMHz: intOf(f.SMClockMaxMHz),
		SMClockApplicationsMHz: intOf(f.SMClockSetMHz), SMClockDefaultMHz: intOf(f.SMClockDefaultMHz),
		MemClockMHz: intOf(f.MemClockMHz), MemClockMaxMHz: intOf(f.MemClockMaxMHz),
		TemperatureC: floatOf(f.TemperatureC), TemperatureSlowdownC: floatOf(f.SlowdownC),
		FanSpeedPct: floatOf(f.FanPct),
		Unknown:     f.Missing,
	}
	if f.Processes != nil {
		g.Processes = []host.GPUProcess{}
		for _, p := range f.Processes {
			g.Processes = append(g.Processes, host.GPUProcess{PID: p.PID, UsedBytes: p.UsedBytes})
		}
	}
	return g
}

func intOf(v *int64) *int {
	if v == nil {
		return nil
	}
	n := int(*v)
	return &n
}

func floatOf(v *int64) *float64 {
	if v == nil {
		return nil
	}
	n := float64(*v)
	return &n
}

func enabled(v *bool) *string {
	if v == nil {
		return nil
	}
	s := "disabled"
	if *v {
		s = "enabled"
	}
	return &s
}
