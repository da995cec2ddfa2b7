// Package codes is the table of the codes of doubts and of the classes of failures: each is defined once,
// with its consequence and its meaning. docs/codes.md is generated from the table (go test ./internal/codes
// -update). Results and scripts contain them as strings.
package codes

import (
	"slices"
	"sync"

	"github.com/llenergymeasure/llem/note"
)

// Consequence is the consequence of a note or a failure.
type Consequence string

// Consequences.
const (
	// Told: no consequence; the numbers are valid.
	Told Consequence = "told"
	// Care: the affected numbers need care in interpretation.
	Care Consequence = "care"
	// Flagged: a number may be off by more than its interval.
	Flagged Consequence = "flagged"
	// Missing: a number is null or was not determined.
	Missing Consequence = "missing"
	// Excluded: the run is excluded from means, comparisons, fronts and estimates.
	Excluded Consequence = "excluded"
	// Withheld: the number would measure a different quantity. It is null, and the run is excluded.
	Withheld Consequence = "withheld"
	// Refused: the affected study or run is not started.
	Refused Consequence = "refused"
	// Failed: the run has no result.
	Failed Consequence = "failed"
	// Unmade: the run counts as not executed, and is executed when the study is resumed.
	Unmade Consequence = "unmade"
)

// Effect is the effect of a doubt on the printed numbers of a run. A doubt that can turn a number into a
// different quantity refuses it; one that can change it by more than its interval flags it; all others are
// cautions.
type Effect string

// Effects.
const (
	// Refuses: the number is null with the reason, and the run is not compared.
	Refuses Effect = "refuse"
	// Flags: the number is printed, and every line of the run is marked, including the line to paste.
	Flags Effect = "flag"
	// Cautions: the doubt is printed beneath.
	Cautions Effect = "caution"
	// NoEffect: not a doubt about a number.
	NoEffect Effect = ""
)

// Effect returns the effect on the numbers of a run.
func (c Consequence) Effect() Effect {
	switch c {
	case Withheld:
		return Refuses
	case Flagged, Excluded:
		return Flags
	case Care, Missing:
		return Cautions
	}
	return NoEffect
}

// Word returns what a doubt is called where it is printed: refused, flag, caution, or note if it has no effect on a
// number.
func (e Effect) Word() string {
	switch e {
	case Refuses:
		return "refused"
	case NoEffect:
		return "note"
	}
	return string(e)
}

// WordOf returns what a doubt is called where it is printed; a code of another version is a caution.
func WordOf(code note.Code) string {
	if entry, known := Lookup(code); known {
		return entry.Consequence.Effect().Word()
	}
	return Cautions.Word()
}

// Excludes reports whether a run with such a doubt is excluded from means, comparisons, fronts and estimates.
func (c Consequence) Excludes() bool { return c == Excluded || c == Withheld }

// Entry is a line of the table of codes.
type Entry struct {
	// Code of the notes.
	Code note.Code
	// Consequence is the consequence of such a note.
	Consequence Consequence
	// Meaning is one sentence.
	Meaning string
}

// Codes of notes about the machine, known before a run.
const (
	NoisyHost         note.Code = "noisy_host"
	HostBusy          note.Code = "host_busy"
	HostShared        note.Code = "host_shared"
	GovernorPowersave note.Code = "governor_powersave"
	GovernorMixed     note.Code = "governor_mixed"
	CPUQuota          note.Code = "cpu_quota"
	CPUThrottled      note.Code = "cpu_throttled"
	SwapInUse         note.Code = "swap_in_use"
	VirtualMachine    note.Code = "virtual_machine"
	MixedSoftware     note.Code = "mixed_software"
	NotAtRest         note.Code = "not_at_rest"
)

// Codes of notes about the GPUs of a run and their users.
const (
	GPUForeignWork     note.Code = "gpu_foreign_work"
	GPUSharedAllowed   note.Code = "gpu_shared_allowed"
	GPUShared          note.Code = "gpu_shared"
	GPUProcessesHidden note.Code = "gpu_processes_hidden"
	GPUUnknown         note.Code = "gpu_unknown"
	GPUBusy            note.Code = "gpu_busy"
	Throttled          note.Code = "throttled"
	PowerCapped        note.Code = "power_capped"
	ClocksMoved        note.Code = "clocks_moved"
	ClocksHeld         note.Code = "clocks_held"
	TemperatureDrift   note.Code = "temperature_drift"
)

// Codes of notes about a meter of the whole machine.
const (
	NodeFrozen      note.Code = "node_frozen"
	NodeShortWindow note.Code = "node_short_window"
)

// Codes of notes about the sensors and the energy.
const (
	SensorMissing    note.Code = "sensor_missing"
	NoSensor         note.Code = "no_sensor"
	Sensor           note.Code = "sensor"
	SensorError      note.Code = "sensor_error"
	SeriesGaps       note.Code = "series_gaps"
	SamplerMemory    note.Code = "sampler_memory"
	Agreement        note.Code = "agreement"
	UncheckedCounter note.Code = "unchecked_counter"
	NoBaseline       note.Code = "no_baseline"
	BaselineDrift    note.Code = "baseline_drift"
	BaselineCache    note.Code = "baseline_cache"
	NetNotPositive   note.Code = "net_not_positive"
	ShortWindow      note.Code = "short_window"
	MinWindow        note.Code = "min_window"
	WindowRepeated   note.Code = "window_repeated"
	Unattributed     note.Code = "unattributed"
)

// Codes of notes about the work of a run.
const (
	UnequalWork       note.Code = "unequal_work"
	RequestsFailed    note.Code = "requests_failed"
	CommandFailed     note.Code = "command_failed"
	NoWarmUp          note.Code = "no_warmup"
	WarmUpLimit       note.Code = "warmup_limit"
	FirstUse          note.Code = "first_use"
	DatasetSkipped    note.Code = "dataset_skipped"
	DatasetFields     note.Code = "dataset_fields"
	ChatTemplate      note.Code = "chat_template"
	Synthetic         note.Code = "synthetic"
	Simulated         note.Code = "simulated"
	Engine            note.Code = "engine"
	EngineRestarted   note.Code = "engine_restarted"
	SettingOverridden note.Code = "setting_overridden"
	Reconnects        note.Code = "reconnects"
	SharedStamps      note.Code = "shared_stamps"
	FLOPsUnknown      note.Code = "flops_unknown"
	FLOPsApproximate  note.Code = "flops_approximate"
	PartCounted       note.Code = "part_counted"
	TokenOutside      note.Code = "token_outside"
)

// Codes of notes about a load.
const (
	SendLag      note.Code = "send_lag"
	LoadCapped   note.Code = "load_capped"
	Saturated    note.Code = "saturated"
	LoadUnsteady note.Code = "load_unsteady"
	LoadFew      note.Code = "load_few"
	LoadLost     note.Code = "load_lost"
	LoadStalled  note.Code = "load_stalled"
)

// Codes of notes about a configuration or a study over its runs.
const (
	PrecisionNotReached   note.Code = "precision_not_reached"
	PrecisionUnknown      note.Code = "precision_unknown"
	WorkloadsDiffer       note.Code = "workloads_differ"
	OutputsDiffer         note.Code = "outputs_differ"
	MachinesDiffer        note.Code = "machines_differ"
	MemoryMethodsDiffer   note.Code = "memory_methods_differ"
	ProvenancesDiffer     note.Code = "provenances_differ"
	RunsDiffer            note.Code = "runs_differ"
	LatinSquareUnbalanced note.Code = "latin_square_unbalanced"
	JournalGone           note.Code = "journal_gone"
	RunGone               note.Code = "run_gone"
	RunTwice              note.Code = "run_twice"
	MachineMixed          note.Code = "machine_mixed"
	NodesSpread           note.Code = "nodes_spread"
	NodesApart            note.Code = "nodes_apart"
	NodesUneven           note.Code = "nodes_uneven"
	CanarySpread          note.Code = "canary_spread"
	CanaryOutlier         note.Code = "canary_outlier"
	CanaryFailed          note.Code = "canary_failed"
	ShardOnly             note.Code = "shard_only"
	ShardsMissing         note.Code = "shards_missing"
	FilesUnchecked        note.Code = "files_unchecked"
)

// Codes of notes about a statistic.
const (
	TooFewValues   note.Code = "too_few_values"
	AllEqual       note.Code = "all_equal"
	Outliers       note.Code = "outliers"
	Drift          note.Code = "drift"
	FewToBootstrap note.Code = "few_for_bootstrap"
	PercentileCI   note.Code = "percentile_instead_of_bca"
	DegenerateBCa  note.Code = "degenerate_bootstrap"
	OutOfReach     note.Code = "significance_out_of_reach"
	NoRatio        note.Code = "no_ratio"
	ApproximateP   note.Code = "approximate_p"
)

// Codes of problems of a study, or a part of it, before it starts.
const (
	Mistake           note.Code = "mistake"
	InvalidPoint      note.Code = "invalid_point"
	EngineMissing     note.Code = "engine_missing"
	FolderUnwritable  note.Code = "folder_unwritable"
	ModelUnreachable  note.Code = "model_unreachable"
	NoWeights         note.Code = "no_weights"
	ContextExceeded   note.Code = "context_exceeded"
	PromptsShort      note.Code = "prompts_short"
	DeviceUnsupported note.Code = "device_unsupported"
	DeviceIndirect    note.Code = "device_indirect"
	DeviceIgnored     note.Code = "device_ignored"
	ScheduleTooLong   note.Code = "schedule_too_long"
	LoadTooShort      note.Code = "load_too_short"
)

// Codes of findings of a self-test.
const (
	TestSkipped    note.Code = "test_skipped"
	PartTime       note.Code = "part_time_counter"
	ReadDisturbs   note.Code = "read_disturbs"
	SlowRead       note.Code = "slow_read"
	RingShort      note.Code = "ring_short"
	ClockJitter    note.Code = "clock_jitter"
	PersistenceOff note.Code = "persistence_off"
	PowerLimit     note.Code = "power_limit"
	ECCOff         note.Code = "ecc_off"
	CardDiffers    note.Code = "card_differs"
	Resolution     note.Code = "resolution"
	ClientAudit    note.Code = "client_audit"
)

// Codes returns the table of codes.
func Codes() []Entry {
	return []Entry{
		{NoisyHost, Care, "The machine was busy before the run; other work adds power and takes processor time."},
		{HostBusy, Care, "Other processes took processor time in the window: latencies may be longer, and " +
			"throughput lower."},
		{HostShared, Flagged, "Other processes took processor time in the window, and the energy of the processors, " +
			"which is counted, includes theirs."},
		{GovernorPowersave, Care, "The frequency governor powersave controls the clocks of the processors."},
		{GovernorMixed, Care, "The processors run under different frequency governors."},
		{CPUQuota, Care, "The control group allows less processor time than the threads of the process could use."},
		{CPUThrottled, Care, "The control group's quota has already stopped its threads."},
		{SwapInUse, Care, "Swap is in use; swapping in a model during a run costs time and energy."},
		{VirtualMachine, Care, "This is a virtual machine: sensors may be missing and neighbours cannot be seen."},
		{MixedSoftware, Care, "The workers of the study use different software."},
		{NotAtRest, Care, "A GPU was still warmer or busier than allowed after the longest pause."},

		{GPUForeignWork, Withheld,
			"Other work ran on a GPU that is counted: its energy is a total of the board, not the " +
				"run's."},
		{GPUSharedAllowed, Flagged, "Other work ran on a GPU that is counted, and energy.allow_shared permits the " +
			"numbers."},
		{GPUShared, Flagged, "Other processes held the GPU; none was seen working in the window, but idle " +
			"power and net energy may include theirs."},
		{GPUProcessesHidden, Care, "The driver does not show the processes on the GPU, so others may have used it."},
		{GPUUnknown, Flagged, "The engine did not report which GPU it uses, so the energy of all of them is counted."},
		{GPUBusy, Refused, "Another measurement of this program holds the GPU."},
		{Throttled, Flagged, "Heat or the power supply throttled the clocks of the GPU."},
		{PowerCapped, Told, "The power limit reduced the clocks of the GPU, as is normal at full load."},
		{ClocksMoved, Care, "The clocks of a GPU were not locked and varied in the window, or between runs."},
		{ClocksHeld, Flagged, "The clocks of a GPU are set below the card's default."},
		{TemperatureDrift, Care, "The temperature of a GPU changed by more than 10 °C in the window, or between " +
			"runs, and with it the leakage power."},

		{NodeFrozen, Missing, "The meter of the machine did not change while the power did, so it is not used."},
		{NodeShortWindow, Flagged, "The window is shorter than the meter of the machine needs."},

		{SensorMissing, Missing, "A power sensor cannot be read."},
		{NoSensor, Missing, "No power sensor can be read, so energy is not measured."},
		{Sensor, Care, "A sensor covers less than its name suggests or something else, or is a model."},
		{SensorError, Care, "A sensor failed while it was sampled."},
		{SeriesGaps, Care, "The power series of a device has gaps in the window."},
		{SamplerMemory, Care, "The sampled series used much memory during the window."},
		{Agreement, Flagged, "How far a device's energy counter and its power series agree."},
		{UncheckedCounter, Flagged, "The energy counter could not be compared with a second source."},
		{NoBaseline, Missing, "There is no idle power from before the engine's start, so net energy is null."},
		{BaselineDrift, Care, "The idle power changed while it was measured."},
		{BaselineCache, Told, "The idle power could not be stored for later runs."},
		{NetNotPositive, Care, "The energy net of idle is not distinguishable from zero."},
		{ShortWindow, Care, "The window is so short that the timing of the sensor's readings dominates the " +
			"uncertainty."},
		{MinWindow, Care, "The window is shorter than energy.min_window requires."},
		{WindowRepeated, Told, "The workload was repeated in the window until it was long enough."},
		{Unattributed, Flagged, "A large part of the energy belongs to no phase."},

		{UnequalWork, Excluded, "The engine did not compute exactly the given and requested tokens."},
		{RequestsFailed, Excluded, "Requests failed, and the total includes their energy."},
		{LoadStalled, Excluded,
			"The engine stopped working under a load: it sent nothing more, with requests in flight."},
		{CommandFailed, Care, "A metered command ended with an exit code other than 0."},
		{NoWarmUp, Flagged, "There was no warm-up, so the first requests include one-time costs."},
		{WarmUpLimit, Care, "The warm-up did not cover all shapes of the window, or its times did not settle."},
		{FirstUse, Care, "Requests include the first use of a shape in the window."},
		{DatasetSkipped, Told, "Lines of the data set without a prompt were skipped."},
		{DatasetFields, Told, "Prompts were joined from several fields, or fields that may contain one were ignored."},
		{ChatTemplate, Told, "How many prompt tokens come from the chat template, and how many prompts it " +
			"made too long."},
		{Synthetic, Flagged, "The weights are random: the energy depends on the shape, not on a trained model."},
		{Simulated, Flagged, "The GPU is simulated: time, power and energy follow an artificial model."},
		{Engine, Told, "The engine reported how it runs the model."},
		{EngineRestarted, Told, "The engine was restarted because it could not apply the next run's settings."},
		{SettingOverridden, Flagged, "The engine used a different value of a setting than requested."},
		{Reconnects, Flagged, "Connections to the server were opened while requests waited for them."},
		{SharedStamps, Flagged, "Tokens arrived together, so the times between them are not known."},
		{FLOPsUnknown, Missing, "Parameters and FLOPs of the model are unknown."},
		{FLOPsApproximate, Care,
			"The model's family is unknown, so FLOPs are computed as for an ordinary transformer."},
		{PartCounted, Told, "The model has a vision tower; the note states what is counted."},
		{TokenOutside, Care, "The model's config.json names a first or last token outside its vocabulary."},

		{SendLag, Flagged, "Requests were sent later than scheduled, by so much that the latencies show it."},
		{LoadCapped, Flagged, "Requests that were due waited for workload.concurrency, so the load was less than " +
			"offered."},
		{Saturated, Missing, "The requests in flight increased all the time: the engine cannot serve the offered " +
			"load, and latencies are null."},
		{LoadUnsteady, Flagged, "The halves of the window differ in power or in tokens per second."},
		{LoadFew, Care, "The window has too few independent requests for what it tells."},
		{LoadLost, Care, "Requests of a load failed or were cut off; they are not good, and their energy is counted."},

		{PrecisionNotReached, Care, "The wanted precision was not reached within the allowed number of cycles."},
		{PrecisionUnknown, Missing, "The metric with a wanted precision was not measured."},
		{WorkloadsDiffer, Flagged, "Runs of one configuration did not compute the same token ids."},
		{OutputsDiffer, Care, "Runs of one configuration did not generate the same tokens."},
		{MachinesDiffer, Flagged, "Runs of one study were executed on different machines."},
		{MemoryMethodsDiffer, Care, "Memory peaks were measured by different methods and are not comparable."},
		{ProvenancesDiffer, Flagged,
			"The energy of some runs of a configuration is measured, of others it is not."},
		{RunsDiffer, Flagged,
			"Runs of one configuration had different devices, engine versions or number formats."},
		{LatinSquareUnbalanced, Care, "The cycles do not fill a latin square, so order effects are not balanced."},
		{JournalGone, Told, "The journal of a resumed study was missing and was rebuilt from its runs."},
		{RunGone, Told, "Runs of a resumed study were missing and are repeated."},
		{RunTwice, Told, "Two workers executed the same run: one result counts, the other is kept aside."},
		{NodesSpread, Told, "How much the machines of a study differ in the energy per token, or in speed."},
		{NodesApart, Flagged, "Configurations were measured on different machines only, so the machines may be " +
			"why they differ."},
		{NodesUneven, Care, "Configurations were measured on different shares of the machines of a study, which " +
			"shifts their means."},
		{CanarySpread, Told, "How far the canaries of a study's workers lie apart: the error of the cluster itself."},
		{CanaryOutlier, Care, "The canary of a worker lies far from the others: its machine may be in another state."},
		{CanaryFailed, Told, "The canary of a worker or a shard failed."},
		{MachineMixed, Excluded,
			"The worker joined with --allow-mixed and its machine differs from the study's first machine."},
		{ShardOnly, Care, "The folder has one shard of a study: its other runs are measured elsewhere."},
		{ShardsMissing, Care, "A study was merged before all of its runs were there."},
		{FilesUnchecked, Told,
			"An earlier version stored files of the study without checksums, so they cannot be verified."},

		{TooFewValues, Missing, "There are too few values for a confidence interval."},
		{AllEqual, Care, "All values are equal, so the confidence interval has no width."},
		{Outliers, Care, "Some values lie far from the others."},
		{Drift, Care, "The values increased or decreased over time."},
		{FewToBootstrap, Care, "A bootstrap interval of so few values is too narrow."},
		{PercentileCI, Care, "The percentile interval replaces the BCa interval."},
		{DegenerateBCa, Missing, "The statistic is the same in all resamples."},
		{OutOfReach, Care, "The test cannot become significant with so few values."},
		{NoRatio, Missing, "A ratio of means needs positive values."},
		{ApproximateP, Care, "A p-value uses a normal approximation for few values."},

		{Mistake, Refused, "The study, a setting, a model or a data set is wrong; nothing is started."},
		{InvalidPoint, Refused, "A point of the sweep cannot be run; the others can."},
		{EngineMissing, Refused, "An engine of the study cannot be started on this machine."},
		{FolderUnwritable, Refused, "Results cannot be written to the folder."},
		{ModelUnreachable, Refused, "The hub does not answer, or denies this user access to a model."},
		{NoWeights, Care, "The folder of a model has no weights: a plan does not need them, but a run does."},
		{ContextExceeded, Care, "The sequences are longer than the model supports."},
		{PromptsShort, Care, "No prompt of the data set is as long as workload.input_tokens."},
		{DeviceUnsupported, Refused, "The device does not support the configuration's number format."},
		{DeviceIndirect, Care, "The device emulates the configuration's number format, which is slower."},
		{DeviceIgnored, Told, "The engine computes on the processor, so the GPU that the plan is for has no effect."},
		{ScheduleTooLong, Refused, "Requests of a load would arrive for longer than the limit of the run or of the " +
			"study."},
		{LoadTooShort, Care, "A load is planned with too few requests for its objective or percentiles, or too short " +
			"for its energy."},

		{TestSkipped, Missing, "A part of the self-test was skipped."},
		{PartTime, Care, "How much of the time the energy counter measures, from pulses in step with it."},
		{ReadDisturbs, Care, "Reading the energy counter often changes it."},
		{SlowRead, Told, "Reading the energy counter takes long, so it is read rarely."},
		{RingShort, Care, "The driver's ring of samples overflows between two reads."},
		{ClockJitter, Care, "The wall clock jitters relative to the monotonic clock."},
		{PersistenceOff, Care, "Persistence mode is off, so the counter restarts when nothing uses the driver."},
		{PowerLimit, Flagged, "The power limit is below the default of the card."},
		{ECCOff, Told, "ECC is off: memory is faster and larger than with ECC."},
		{CardDiffers, Flagged, "A card draws more or less than others of its kind under the same load, by more than " +
			"the gain of a sensor explains."},
		{Resolution, Told, "Which windows and phases the device resolves."},
		{ClientAudit, Care, "How exact the client of server engines is on this machine."},
	}
}

// places are the lines of the table by code. They are computed once, because rows of a study use them for
// every run.
var places = sync.OnceValue(func() map[note.Code]place {
	out := map[note.Code]place{}
	for i, e := range Codes() {
		out[e.Code] = place{e, i}
	}
	return out
})

// place is a line of the table and its index.
type place struct {
	Entry
	at int
}

// Lookup returns the line of a code.
func Lookup(code note.Code) (Entry, bool) {
	p, ok := places()[code]
	return p.Entry, ok
}

// weight orders flags: codes that refuse a number, codes that exclude the run, then the others, each in the
// order of the table.
func (p place) weight() int {
	n := slices.Index([]Consequence{Withheld, Excluded, Flagged}, p.Consequence)
	return n*len(places()) + p.at
}

// FlagsOf returns the distinct codes that mark every line of their run, most severe first.
func FlagsOf(list []note.Code) []note.Code {
	var out []place
	for _, code := range list {
		p, ok := places()[code]
		if effect := p.Consequence.Effect(); ok && (effect == Refuses || effect == Flags) && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b place) int { return a.weight() - b.weight() })
	var flags []note.Code
	for _, p := range out {
		flags = append(flags, p.Code)
	}
	return flags
}

// ExcludedBy returns the first code that excludes its run from means and comparisons, preferring codes that
// refuse a number; empty if there is none.
func ExcludedBy(list []note.Code) note.Code {
	for _, code := range FlagsOf(list) {
		if e, _ := Lookup(code); e.Consequence.Excludes() {
			return code
		}
	}
	return ""
}

// WithheldBy returns the first code that refuses a number; empty if there is none.
func WithheldBy(list []note.Code) note.Code {
	code := ExcludedBy(list)
	if e, _ := Lookup(code); e.Consequence == Withheld {
		return code
	}
	return ""
}
