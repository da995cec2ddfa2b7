package note

// Code tells one kind of note from another. Codes are part of the format of results: scripts
// select on them, and they do not change.
type Code string

// Consequence is what follows from a note or a failure.
type Consequence string

// Consequences.
const (
	// Told: nothing follows; the numbers stand.
	Told Consequence = "told"
	// Care: the numbers it is about are to be read with care.
	Care Consequence = "care"
	// Missing: a number is null or was not determined.
	Missing Consequence = "missing"
	// Excluded: the run is kept out of means, comparisons, fronts and estimates.
	Excluded Consequence = "excluded"
	// Refused: what it is about is not started.
	Refused Consequence = "refused"
	// Failed: the run has no result.
	Failed Consequence = "failed"
	// Unmade: the run counts as not made, and is made when the study is resumed.
	Unmade Consequence = "unmade"
)

// Entry is a line of the table of codes.
type Entry struct {
	// Code of the notes.
	Code Code
	// Consequence is what follows from such a note.
	Consequence Consequence
	// Meaning is one sentence.
	Meaning string
}

// Codes of notes about the machine, known before a run.
const (
	NoisyHost         Code = "noisy_host"
	GovernorPowersave Code = "governor_powersave"
	GovernorMixed     Code = "governor_mixed"
	CPUQuota          Code = "cpu_quota"
	CPUThrottled      Code = "cpu_throttled"
	SwapInUse         Code = "swap_in_use"
	VirtualMachine    Code = "virtual_machine"
	MixedSoftware     Code = "mixed_software"
	NotAtRest         Code = "not_at_rest"
)

// Codes of notes about the GPUs of a run and who uses them.
const (
	GPUShared          Code = "gpu_shared"
	GPUProcessesHidden Code = "gpu_processes_hidden"
	GPUUnknown         Code = "gpu_unknown"
	GPUBusy            Code = "gpu_busy"
	Throttled          Code = "throttled"
)

// Codes of notes about the sensors and the energy.
const (
	SensorMissing    Code = "sensor_missing"
	NoSensor         Code = "no_sensor"
	Sensor           Code = "sensor"
	SensorError      Code = "sensor_error"
	SeriesGaps       Code = "series_gaps"
	SamplerMemory    Code = "sampler_memory"
	Agreement        Code = "agreement"
	UncheckedCounter Code = "unchecked_counter"
	NoBaseline       Code = "no_baseline"
	BaselineDrift    Code = "baseline_drift"
	BaselineCache    Code = "baseline_cache"
	NetNotPositive   Code = "net_not_positive"
	ShortWindow      Code = "short_window"
	MinWindow        Code = "min_window"
	WindowRepeated   Code = "window_repeated"
	Unattributed     Code = "unattributed"
)

// Codes of notes about the work of a run.
const (
	UnequalWork      Code = "unequal_work"
	RequestsFailed   Code = "requests_failed"
	NoWarmUp         Code = "no_warmup"
	DatasetSkipped   Code = "dataset_skipped"
	Synthetic        Code = "synthetic"
	Simulated        Code = "simulated"
	Engine           Code = "engine"
	EngineRestarted  Code = "engine_restarted"
	Reconnects       Code = "reconnects"
	SharedStamps     Code = "shared_stamps"
	FLOPsUnknown     Code = "flops_unknown"
	FLOPsApproximate Code = "flops_approximate"
	PartCounted      Code = "part_counted"
)

// Codes of notes about a configuration or a study over its runs.
const (
	PrecisionNotReached   Code = "precision_not_reached"
	PrecisionUnknown      Code = "precision_unknown"
	WorkloadsDiffer       Code = "workloads_differ"
	MachinesDiffer        Code = "machines_differ"
	MemoryMethodsDiffer   Code = "memory_methods_differ"
	LatinSquareUnbalanced Code = "latin_square_unbalanced"
)

// Codes of notes about a statistic.
const (
	TooFewValues   Code = "too_few_values"
	AllEqual       Code = "all_equal"
	Outliers       Code = "outliers"
	Drift          Code = "drift"
	FewToBootstrap Code = "few_for_bootstrap"
	PercentileCI   Code = "percentile_instead_of_bca"
	DegenerateBCa  Code = "degenerate_bootstrap"
	OutOfReach     Code = "significance_out_of_reach"
	NoRatio        Code = "no_ratio"
	ApproximateP   Code = "approximate_p"
)

// Codes of what stands against a study, or a part of it, before it starts.
const (
	Mistake           Code = "mistake"
	InvalidPoint      Code = "invalid_point"
	EngineMissing     Code = "engine_missing"
	FolderUnwritable  Code = "folder_unwritable"
	ModelUnreachable  Code = "model_unreachable"
	ContextExceeded   Code = "context_exceeded"
	PromptsShort      Code = "prompts_short"
	DeviceUnsupported Code = "device_unsupported"
	DeviceIndirect    Code = "device_indirect"
)

// Codes of what a self-test found.
const (
	TestSkipped    Code = "test_skipped"
	PartTime       Code = "part_time_counter"
	ReadDisturbs   Code = "read_disturbs"
	SlowRead       Code = "slow_read"
	RingShort      Code = "ring_short"
	ClockJitter    Code = "clock_jitter"
	PersistenceOff Code = "persistence_off"
	PowerLimit     Code = "power_limit"
	ECCOff         Code = "ecc_off"
	Resolution     Code = "resolution"
)

// Codes returns the table of codes.
func Codes() []Entry {
	return []Entry{
		{NoisyHost, Care, "The machine was busy before the run; other work adds power and takes processor time."},
		{GovernorPowersave, Care, "The frequency governor powersave decides on the clocks of the processors."},
		{GovernorMixed, Care, "The processors run under different frequency governors."},
		{CPUQuota, Care, "The control group allows less processor time than the process has threads for."},
		{CPUThrottled, Care, "The control group's quota has already stopped its threads."},
		{SwapInUse, Care, "Swap is in use; a model that is swapped in during a run costs time and energy."},
		{VirtualMachine, Care, "This is a virtual machine: sensors may be missing and neighbours cannot be seen."},
		{MixedSoftware, Care, "The workers of the study run on different software."},
		{NotAtRest, Care, "A GPU was still warmer or busier than wanted when the longest pause was over."},

		{GPUShared, Care, "Other processes were on the GPU; their energy cannot be told apart."},
		{GPUProcessesHidden, Care, "The driver does not show the processes on the GPU, so others may have been there."},
		{GPUUnknown, Care, "The engine did not report which GPU it uses, so the energy of all of them is counted."},
		{GPUBusy, Refused, "Another measurement of this program holds the GPU."},
		{Throttled, Care, "The clocks of the GPU were held back."},

		{SensorMissing, Missing, "A power sensor cannot be read here."},
		{NoSensor, Missing, "No power sensor can be read here, so energy is not measured."},
		{Sensor, Care, "A sensor covers less, or another thing, than its name suggests, or is a model."},
		{SensorError, Care, "A sensor failed while it was sampled."},
		{SeriesGaps, Care, "The power series of a device has gaps in the window."},
		{SamplerMemory, Care, "The sampled series took much memory during the window."},
		{Agreement, Care, "How far a device's energy counter and its power series agree."},
		{UncheckedCounter, Care, "The energy counter could not be checked against a second source."},
		{NoBaseline, Missing, "There is no idle power from before the engine's start, so net energy is null."},
		{BaselineDrift, Care, "The idle power moved while it was measured."},
		{BaselineCache, Told, "The idle power could not be remembered for later runs."},
		{NetNotPositive, Care, "The energy net of idle is not distinguishable from zero."},
		{ShortWindow, Care, "The window is so short that the timing of the sensor's readings dominates the energy."},
		{MinWindow, Care, "The window is shorter than energy.min_window asks for."},
		{WindowRepeated, Told, "The workload was repeated in the window until it was long enough."},
		{Unattributed, Care, "A large part of the energy belongs to no phase."},

		{UnequalWork, Excluded, "The engine did not compute the tokens that it was given and asked for."},
		{RequestsFailed, Excluded, "Requests failed, and the energy that they took is in the total."},
		{NoWarmUp, Care, "There was no warm-up, so the first requests include one-time costs."},
		{DatasetSkipped, Told, "Lines of the data set hold no prompt and were skipped."},
		{Synthetic, Told, "The weights are random: the energy is that of the shape, not of a trained model."},
		{Simulated, Care, "The GPU does not exist; time, power and energy follow a made-up model."},
		{Engine, Told, "The engine reported something about how it runs the model."},
		{EngineRestarted, Told, "The engine was started again, since it could not take over the next run's settings."},
		{Reconnects, Care, "Connections to the server had to be made within the window."},
		{SharedStamps, Care, "Tokens arrived together, so the times between them are not known."},
		{FLOPsUnknown, Missing, "Parameters and FLOPs of the model are unknown."},
		{FLOPsApproximate, Care, "The model's family is not known, so FLOPs are those of an ordinary transformer."},
		{PartCounted, Told, "The model has a vision tower; the note says what is counted."},

		{PrecisionNotReached, Care, "The wanted precision was not reached after the most cycles allowed."},
		{PrecisionUnknown, Missing, "The metric whose precision was wanted was not measured."},
		{WorkloadsDiffer, Care, "Runs of one configuration did not compute the same token ids."},
		{MachinesDiffer, Care, "Runs of one study were made on different machines."},
		{MemoryMethodsDiffer, Care, "Peaks of memory were taken by different methods and are not comparable."},
		{LatinSquareUnbalanced, Care, "The cycles do not fill a latin square, so order effects are not balanced."},

		{TooFewValues, Missing, "There are too few values for an interval."},
		{AllEqual, Care, "All values are the same, so the interval has no width."},
		{Outliers, Care, "Some values lie far from the others."},
		{Drift, Care, "The values rose or fell over time."},
		{FewToBootstrap, Care, "A bootstrap interval of so few values is too narrow."},
		{PercentileCI, Care, "The percentile interval stands in for the BCa interval."},
		{DegenerateBCa, Missing, "The statistic is the same in all resamples."},
		{OutOfReach, Care, "The test cannot become significant with so few values."},
		{NoRatio, Missing, "A ratio of means needs positive values."},
		{ApproximateP, Care, "A p-value rests on a normal approximation for few values."},

		{Mistake, Refused, "The study, a setting, a model or a data set is wrong; nothing is started."},
		{InvalidPoint, Refused, "A point of the sweep cannot be run; the others can."},
		{EngineMissing, Refused, "An engine of the study cannot be started here."},
		{FolderUnwritable, Refused, "Results cannot be written to the folder."},
		{ModelUnreachable, Refused, "The hub does not answer for a model, or does not give it to this user."},
		{ContextExceeded, Care, "The sequences are longer than the model was made for."},
		{PromptsShort, Care, "No prompt of the data set is as long as workload.input_tokens."},
		{DeviceUnsupported, Refused, "The device does not compute in what the configuration asks for."},
		{DeviceIndirect, Care, "The device computes what the configuration asks for in another, slower way."},

		{TestSkipped, Missing, "A part of the self-test was not made."},
		{PartTime, Care, "How much of the time the energy counter sees, by pulses in step with it."},
		{ReadDisturbs, Care, "Reading the energy counter often changes it."},
		{SlowRead, Told, "A read of the energy counter takes long, so it is read rarely."},
		{RingShort, Care, "The driver's ring of samples is read less often than it overflows."},
		{ClockJitter, Care, "The wall clock jitters against the monotonic clock."},
		{PersistenceOff, Care, "Persistence mode is off, so the counter restarts when nothing uses the driver."},
		{PowerLimit, Care, "The power limit is below the default of the card."},
		{ECCOff, Told, "ECC is off: memory is faster and larger than with it."},
		{Resolution, Told, "Which windows and phases the device resolves."},
	}
}

// Lookup returns the line of a code.
func Lookup(code Code) (Entry, bool) {
	for _, e := range Codes() {
		if e.Code == code {
			return e, true
		}
	}
	return Entry{}, false
}
