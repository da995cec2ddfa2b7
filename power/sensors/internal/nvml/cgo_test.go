//go:build cgo

package nvml

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"

	"github.com/llenergymeasure/llem/internal/tick"
)

// mockLibrary exports every symbol except nvmlDeviceGetMigMode.
func mockLibrary() *goNVML {
	return &goNVML{driver: "580.1", cuda: 13000, api: &mock.Interface{ExtensionsFunc: func() nvml.ExtendedInterface {
		return &mock.ExtendedInterface{LookupSymbolFunc: func(name string) error {
			if name == "nvmlDeviceGetMigMode" {
				return errors.New("absent")
			}
			return nil
		}}
	}}}
}

func number[T any](v T) func() (T, nvml.Return) {
	return func() (T, nvml.Return) { return v, nvml.SUCCESS }
}

func pair[A, B any](a A, b B) func() (A, B, nvml.Return) {
	return func() (A, B, nvml.Return) { return a, b, nvml.SUCCESS }
}

func TestFactsKeepsReasonsForWhatIsMissing(t *testing.T) {
	clockMHz := func(c nvml.ClockType) (uint32, nvml.Return) { return 1000 + uint32(c), nvml.SUCCESS }
	dev := &mock.Device{
		GetUUIDFunc: number("GPU-1"), GetNameFunc: number("NVIDIA H200"), GetVbiosVersionFunc: number("96.00"),
		GetPciInfoFunc:               number(nvml.PciInfo{BusId: [32]int8{'0', ':', '1'}}),
		GetArchitectureFunc:          number(nvml.DeviceArchitecture(nvml.DEVICE_ARCH_HOPPER)),
		GetCudaComputeCapabilityFunc: pair(9, 0), GetEccModeFunc: pair(nvml.FEATURE_ENABLED, nvml.FEATURE_ENABLED),
		GetCurrPcieLinkGenerationFunc: number(5), GetMaxPcieLinkGenerationFunc: number(5),
		GetCurrPcieLinkWidthFunc: number(16), GetMaxPcieLinkWidthFunc: number(16),
		GetPersistenceModeFunc: number(nvml.FEATURE_DISABLED), GetComputeModeFunc: number(nvml.COMPUTEMODE_DEFAULT),
		GetEnforcedPowerLimitFunc:              number(uint32(700000)),
		GetPowerManagementDefaultLimitFunc:     number(uint32(700000)),
		GetPowerManagementLimitConstraintsFunc: pair(uint32(200000), uint32(700000)),
		GetClockInfoFunc:                       clockMHz,
		GetMaxClockInfoFunc:                    clockMHz,
		GetApplicationsClockFunc:               clockMHz,
		GetDefaultApplicationsClockFunc:        clockMHz,
		GetTemperatureFunc: func(nvml.TemperatureSensors) (uint32, nvml.Return) {
			return 30,
				nvml.SUCCESS
		},
		GetTemperatureThresholdFunc: func(nvml.TemperatureThresholds) (uint32, nvml.Return) {
			return 92,
				nvml.SUCCESS
		},
		GetFanSpeedFunc:   func() (uint32, nvml.Return) { return 0, nvml.ERROR_NOT_SUPPORTED },
		GetMemoryInfoFunc: number(nvml.Memory{Total: 1 << 37, Used: 1 << 30}),
		GetComputeRunningProcessesFunc: number([]nvml.ProcessInfo{{Pid: 7, UsedGpuMemory: 1<<64 - 1},
			{Pid: 8, UsedGpuMemory: 99}}),
		GetCurrentClocksThrottleReasonsFunc: number(uint64(4)),
		GetUtilizationRatesFunc:             number(nvml.Utilization{Gpu: 55}),
		GetTotalEnergyConsumptionFunc:       number(uint64(123)),
		GetPowerUsageFunc:                   func() (uint32, nvml.Return) { return 0, nvml.ERROR_GPU_IS_LOST },
		GetSamplesFunc: func(kind nvml.SamplingType, after uint64) (nvml.ValueType, []nvml.Sample, nvml.Return) {
			return nvml.VALUE_TYPE_UNSIGNED_INT,
				[]nvml.Sample{{TimeStamp: after + 1, SampleValue: [8]byte{0x10, 0x27}}}, nvml.SUCCESS
		},
		GetFieldValuesFunc: func(f []nvml.FieldValue) nvml.Return {
			f[0].NvmlReturn = uint32(nvml.ERROR_NOT_SUPPORTED) // the call succeeds, the field does not
			return nvml.SUCCESS
		},
	}
	d := &goDevice{lib: mockLibrary(), dev: dev}
	f := d.Facts()
	if *f.Name != "NVIDIA H200" || *f.BusID != "0:1" || *f.ComputeCapability != "9.0" || *f.Architecture != "Hopper" ||
		*f.CUDADriverVersion != "13.0" || *f.PowerLimitMinW != 200 || !*f.ECC || *f.Persistence ||
		*f.SMClockMHz != 1001 {
		t.Errorf("facts %+v", f)
	}
	if f.FanPct != nil || !strings.Contains(f.Missing["fan_pct"], "nvml code 3") || f.MIG != nil ||
		f.Missing["mig"] == "" || len(f.Missing) != 2 {
		t.Errorf("missing %v", f.Missing)
	}
	if len(f.Processes) != 2 || f.Processes[0].UsedBytes != nil || *f.Processes[1].UsedBytes != 99 {
		t.Errorf("processes %+v", f.Processes)
	}

	if s, err := d.Samples(41); err != nil || len(s) != 1 || s[0] != (nvmlSample{42, 10000}) {
		t.Errorf("Samples = %v, %v", s, err)
	}
	if _, err := d.Instant(); nvmlCode(err) != nvmlNotSupported {
		t.Errorf("Instant: %v, want the field's own return code", err)
	}
	if _, err := d.Average(); nvmlCode(err) != 15 {
		t.Errorf("Average: %v", err)
	}
	if x := d.Telemetry(); *x.UtilizationPct != 55 || *x.Throttle != 4 || *x.TemperatureC != 30 {
		t.Errorf("telemetry %+v", x)
	}
	if id, err := d.Identity(); err != nil || id.Architecture != 9 || id.Major != 9 || id.MIG {
		t.Errorf("Identity = %+v, %v", id, err)
	}
}

// TestScopedCalls: every call passes its scope, and energy is field 191.
func TestScopedCalls(t *testing.T) {
	answers := map[[2]uint32]uint64{{191, 0}: 4000, {191, 1}: 7000, {186, 0}: 400, {186, 1}: 700, {185, 0}: 401,
		{185, 1}: 701}
	dev := &mock.Device{
		GetFieldValuesFunc: func(f []nvml.FieldValue) nvml.Return {
			v, ok := answers[[2]uint32{f[0].FieldId, f[0].ScopeId}]
			if !ok {
				f[0].NvmlReturn = uint32(nvml.ERROR_NOT_SUPPORTED)
			}
			f[0].ValueType = uint32(nvml.VALUE_TYPE_UNSIGNED_LONG_LONG)
			binary.NativeEndian.PutUint64(f[0].Value[:], v)
			return nvml.SUCCESS
		},
		GetSamplesFunc: func(kind nvml.SamplingType, _ uint64) (nvml.ValueType, []nvml.Sample, nvml.Return) {
			return nvml.VALUE_TYPE_UNSIGNED_INT, []nvml.Sample{{TimeStamp: uint64(kind)}}, nvml.SUCCESS
		},
	}
	d := &goDevice{lib: mockLibrary(), dev: dev}
	for scope, want := range map[nvmlScope]struct {
		energy  uint64
		instant float64
		average uint32
		ring    uint64
	}{nvmlScopeGPU: {4000, 400, 401, 0}, nvmlScopeModule: {7000, 700, 701, 7}} {
		s := d.Scoped(scope)
		energy, err1 := s.Energy()
		instant, err2 := s.Instant()
		average, err3 := s.Average()
		ring, err4 := s.Samples(0)
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			t.Fatal(err)
		}
		if energy != want.energy || instant.Milliwatts != want.instant || average != want.average ||
			ring[0].StampUS != want.ring {
			t.Errorf("scope %d: %d mJ, %v mW, %d mW, ring %d; want %+v", scope, energy, instant.Milliwatts, average,
				ring[0].StampUS, want)
		}
	}
	if _, err := d.Scoped(2).Energy(); nvmlCode(err) != nvmlNotSupported {
		t.Errorf("a scope that the driver does not know: %v", err)
	}
}

// BenchmarkNVMLCalls measures the wall time and processor time of each call on a real GPU.
func BenchmarkNVMLCalls(b *testing.B) {
	m, err := Open(b.Context(), Options{})
	if err != nil {
		b.Skip(err)
	}
	b.Cleanup(func() {
		if err := m.Close(); err != nil {
			b.Error(err)
		}
	})
	d, ok := m.gpus[0].dev.(*goDevice)
	if !ok {
		b.Fatalf("device is a %T", m.gpus[0].dev)
	}
	second := func() uint64 { return uint64(time.Now().Add(-time.Second).UnixMicro()) }
	for _, c := range []struct {
		name string
		call func()
	}{
		{"Energy", func() { _, _ = d.Energy() }},
		{"SamplesOneSecond", func() { _, _ = d.Samples(second()) }},
		{"SamplesAll", func() { _, _ = d.Samples(0) }},
		{"Instant", func() { _, _ = d.Instant() }},
		{"Average", func() { _, _ = d.Average() }},
		{"Telemetry", func() { d.Telemetry() }},
		{"Temperature", func() { _, _ = d.dev.GetTemperature(nvml.TEMPERATURE_GPU) }},
		{"Clock", func() { _, _ = d.dev.GetClockInfo(nvml.CLOCK_SM) }},
		{"Utilization", func() { _, _ = d.dev.GetUtilizationRates() }},
		{"Memory", func() { _, _ = d.dev.GetMemoryInfo() }},
		{"Throttle", func() { _, _ = d.dev.GetCurrentClocksThrottleReasons() }},
		{"Processes", func() { _, _ = d.Processes() }},
		{"Facts", func() { d.Facts() }},
	} {
		b.Run(c.name, func(b *testing.B) {
			cpu := tick.OnThread(func() {
				for b.Loop() {
					c.call()
				}
			})
			b.ReportMetric(float64(cpu.Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}
