package sensor

// Sources of power and energy of NVML, best first.
const (
	// SourceSamples is the driver's ring of timestamped samples.
	SourceSamples = "nvml.samples"
	// SourceInstant is the field POWER_INSTANT, polled.
	SourceInstant = "nvml.instant"
	// SourceAverage is nvmlDeviceGetPowerUsage, polled: an average over the past second on Ampere and newer.
	SourceAverage = "nvml.average"
	// SourceEnergy is the energy counter.
	SourceEnergy = "nvml.energy"
)

// Sources of power and energy of the kernel's hardware monitor.
const (
	// SourceAMDAverage is the power of an AMD GPU, averaged by its firmware over an undocumented time.
	SourceAMDAverage = "amdgpu.average"
	// SourceAMDInput is the instantaneous power of an AMD GPU.
	SourceAMDInput = "amdgpu.input"
	// SourceI915 is the energy counter of an Intel card under the driver i915.
	SourceI915 = "i915.energy"
	// SourceXe is the energy counter of an Intel card under the driver xe.
	SourceXe = "xe.energy"
	// SourceXePackage is the counter of an Intel GPU, which excludes the rest of the card.
	SourceXePackage = "xe.package"
	// SourceGrace is the average power of a part of a Grace module, over the time that the firmware reports.
	SourceGrace = "grace.average"
)

// Sources of power and energy of processors, and of a meter without sensors.
const (
	// SourceRAPL is the series and the counter of CPU packages and their memory.
	SourceRAPL = "rapl"
	// SourcePerf is the same sensor, read through the kernel's performance events.
	SourcePerf = "perf"
	// SourceModel is the series of the CPU power model.
	SourceModel = "model.cpu"
	// SourceFake is the series and the counter of powerfake.Fake.
	SourceFake = "fake"
)
