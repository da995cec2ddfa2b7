package result

import (
	"time"

	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/study"
)

// SchemaVersion is the version of result.json.
const SchemaVersion = 1

// Status of a run.
type Status string

// Statuses.
const (
	OK          Status = "ok"
	Failed      Status = "failed"
	Interrupted Status = "interrupted"
)

// Record is one run of one experiment: the content of result.json.
type Record struct {
	// SchemaVersion is the version of this format.
	SchemaVersion int `json:"schema_version"`
	// Program is the version of llem that computed the numbers: its commit, if known.
	Program string `json:"llem_version,omitempty"`
	// ID of the experiment.
	ID string `json:"id"`
	// Cycle counts the runs of the experiment, from 1.
	Cycle int `json:"cycle"`
	// Status is the outcome.
	Status Status `json:"status"`
	// Failure is why the run has no result; nil if it has one.
	Failure *note.Failure `json:"failure"`
	// Synthetic reports random weights.
	Synthetic bool `json:"synthetic"`
	// Config is the requested experiment.
	Config study.Experiment `json:"config"`
	// Backend is the engine as it ran.
	Backend Backend `json:"backend"`
	// Window is the measured time; nil if nothing was measured.
	Window *Window `json:"window"`
	// Tokens is the work of the window.
	Tokens *Tokens `json:"tokens"`
	// Latency of requests and tokens, in milliseconds.
	Latency *Latency `json:"latency"`
	// Throughput over the window.
	Throughput *Throughput `json:"throughput"`
	// Energy of the window.
	Energy Energy `json:"energy"`
	// Load is what the run tells about arrivals and objectives; nil for a workload without them.
	Load *Load `json:"load,omitempty"`
	// Compute is derived from the model's shape; nil if the shape is unknown.
	Compute *Compute `json:"compute"`
	// Memory of the engine, in bytes.
	Memory Memory `json:"memory"`
	// Worker is the worker that executed the run, one of several processes; empty in a study of one process.
	Worker string `json:"worker,omitempty"`
	// WorkloadHash is equal for runs that computed the same token ids.
	WorkloadHash string `json:"workload_hash,omitempty"`
	// Warmup describes the warm-up; nil if there was none.
	Warmup *Warmup `json:"warmup,omitempty"`
	// Timing is the time spent outside the window, in seconds.
	Timing Timing `json:"timing"`
	// Harness is the cost of measuring.
	Harness *Harness `json:"harness"`
	// GPU is the state of the GPUs in the window; nil if it was not sampled.
	GPU *GPUState `json:"gpu,omitempty"`
	// Warnings are reasons to doubt the result.
	Warnings note.List `json:"warnings"`
	// Files are the names of the other files of the run, by their content.
	Files map[string]string `json:"files"`
}

// Backend is the engine as it ran.
type Backend struct {
	// Name of the engine in study files.
	Name string `json:"name"`
	// Version of the engine.
	Version string `json:"version"`
	// Tier is how well the engine's steps are known.
	Tier string `json:"tier"`
	// Runner is process or container.
	Runner string `json:"runner"`
	// Image is the name of the container's image.
	Image string `json:"image,omitempty"`
	// ImageID is the digest of the image's configuration.
	ImageID string `json:"image_id,omitempty"`
	// ImageDigest is the digest under which a registry has the image; empty for an image that was built
	// locally.
	ImageDigest string `json:"image_digest,omitempty"`

	// Device is the device that ran the model: cuda, rocm, cpu.
	Device string `json:"device,omitempty"`
	// DType is the number format that the engine used; Config has the requested one.
	DType string `json:"dtype,omitempty"`
	// Attention is the implementation of attention.
	Attention string `json:"attention,omitempty"`
	// Threads is the number of the engine's processor threads.
	Threads int `json:"threads,omitempty"`
	// Effective is what the engine reports to have used, by the keys of a study.
	Effective map[string]string `json:"effective,omitempty"`
	// Overridden are the keys whose effective value differs from the requested one.
	Overridden []string          `json:"overridden,omitempty"`
	Unread     []string          `json:"not_read_back,omitempty"` // requested keys whose effective value is unknown
	Settings   map[string]string `json:"settings,omitempty"`      // other settings, as the engine used them
	// GPUs are the UUIDs of the GPUs that held the model.
	GPUs []string `json:"gpu_uuids,omitempty"`
	// StepClock is how the limits of steps were measured.
	StepClock string `json:"step_clock,omitempty"`
	// Versions of the engine's libraries.
	Versions map[string]string `json:"versions,omitempty"`
	// EngineRun counts the runs of one session of the engine: 1 for the run that started it; later runs reuse
	// it with its model loaded.
	EngineRun int `json:"engine_run,omitempty"`
}

// Window is the measured time, on both clocks.
type Window struct {
	// Start is the beginning by the wall clock.
	Start time.Time `json:"start"`
	// End is the end by the wall clock.
	End time.Time `json:"end"`
	// StartMonoNS is the beginning in nanoseconds of CLOCK_MONOTONIC.
	StartMonoNS int64 `json:"start_mono_ns"`
	// EndMonoNS is the end in nanoseconds of CLOCK_MONOTONIC.
	EndMonoNS int64 `json:"end_mono_ns"`
	// DurationS is the length in seconds.
	DurationS float64 `json:"duration_s"`
	// Repeats is the number of rounds of the workload in the window.
	Repeats int `json:"repeats"`
	// Round is the number of requests that were submitted together, each round after the previous one had
	// ended; absent if all were submitted together. Earlier versions submitted all rounds together, which
	// then overlapped on engines with continuous batching.
	Round int `json:"round,omitempty"`
	// PhasesTakeS is the length of a window that could be split by phase, in seconds; absent if this window
	// was expected to suffice, negative if no length helps.
	PhasesTakeS float64 `json:"phases_take_s,omitempty"`
}

// Tokens counts the work of the window.
type Tokens struct {
	// Prompt is the number of prompt tokens of finished requests.
	Prompt int64 `json:"prompt"`
	// PromptComputed is the number of prompt tokens that the engine processed; a cache saves some.
	PromptComputed int64 `json:"prompt_computed"`
	// Output is the number of generated tokens.
	Output int64 `json:"output"`
	// RequestsOK is the number of completed requests.
	RequestsOK int64 `json:"requests_ok"`
	// RequestsFailed is the number of failed requests.
	RequestsFailed int64 `json:"requests_failed"`
	// Given is the number of prompt tokens given to the engine.
	Given int64 `json:"prompt_given"`
	// Asked is the number of requested output tokens.
	Asked int64 `json:"output_asked"`
	// OutputHash is equal for runs that generated the same tokens; empty if they are unknown.
	OutputHash string `json:"output_hash,omitempty"`
}

// Latency has the distributions over requests (queue, TTFT, TPOT, end to end) and over tokens (ITL), in
// milliseconds. Service times count from the start of the engine's work on a request, response times from its
// arrival; the queue is the time in between.
type Latency struct {
	// TTFT is the service time to the first token, per request; nil if the starts of requests are unknown.
	TTFT *Distribution `json:"ttft_ms"`
	// ITL is the time between two tokens.
	ITL *Distribution `json:"itl_ms"`
	// TPOT is the mean time per output token after the first, per request.
	TPOT *Distribution `json:"tpot_ms"`
	// E2E is the service time to the last token, per request; nil if TTFT is.
	E2E *Distribution `json:"e2e_ms"`
	// Queue is the time from arrival to start, per request; nil if TTFT is.
	Queue *Distribution `json:"queue_ms"`
	// ResponseTTFT is the time from arrival to the first token, per request.
	ResponseTTFT *Distribution `json:"response_ttft_ms"`
	// ResponseE2E is the time from arrival to the last token, per request.
	ResponseE2E *Distribution `json:"response_e2e_ms"`
	// Reason is why the service times and the queue are nil, or the response times.
	Reason string `json:"reason,omitempty"`
	// Excluded is the number of requests that are excluded because they include the first use of a shape.
	Excluded int `json:"excluded"`
}

// Warmup describes the discarded work before the window. [Timing] has its duration.
type Warmup struct {
	// Cover is all or sizes: which shapes were to be warmed up.
	Cover string `json:"cover"`
	// Runs is how often a part of the workload ran with all of its output tokens.
	Runs int `json:"runs"`
	// Shapes is the number of distinct shapes of the window: numbers of sequences and lengths of prompts that
	// are computed together.
	Shapes int `json:"shapes"`
	// Warmed is the number of shapes that were run.
	Warmed int `json:"warmed"`
	// Buckets is how shapes were grouped, each represented by one: exact means no grouping; empty with cover
	// sizes.
	Buckets string `json:"buckets,omitempty"`
	// Rounds is how often these shapes were run with a few output tokens.
	Rounds int `json:"rounds"`
	// Outcome is steady (a round took as long as the previous one), unsteady (no round did), limit
	// (warmup.max_seconds was reached before), or empty with cover sizes.
	Outcome string `json:"outcome,omitempty"`
}

// Throughput over the window.
type Throughput struct {
	// OutputTokensPerS is generated tokens per second.
	OutputTokensPerS float64 `json:"output_tokens_per_s"`
	// TotalTokensPerS is prompt and generated tokens per second.
	TotalTokensPerS float64 `json:"total_tokens_per_s"`
	// RequestsPerS is completed requests per second.
	RequestsPerS float64 `json:"requests_per_s"`
}

// Provenance is the origin of an energy number.
type Provenance string

// Provenances.
const (
	// Measured: by a sensor.
	Measured Provenance = "measured"
	// Modelled: from the utilisation of a processor, without a sensor.
	Modelled Provenance = "modelled"
	// Simulated: the device is simulated.
	Simulated Provenance = "simulated"
	// None: there is no energy.
	None Provenance = "none"
)

// simulatedBackend is the name in results of the simulated engine.
const simulatedBackend = "fake"

// Of returns the provenance of energy that a backend used. It corrects results of earlier versions, which
// have modelled or measured for the simulated engine.
func (p Provenance) Of(backend string) Provenance {
	if backend == simulatedBackend && (p == Measured || p == Modelled) {
		return Simulated
	}
	return p
}

// Quantity is a number with its uncertainty; null if unknown.
type Quantity struct {
	// Value in the unit of the key that holds the quantity.
	Value float64 `json:"value"`
	// CI95 is the 95 % statistical interval of this run: sensor timing and quantisation. It does not include
	// the spread between runs.
	CI95 [2]float64 `json:"ci95"`
	// Gain95 is the uncertainty of the sensor's gain (95 %), in the unit of Value. It cancels in ratios on
	// one device.
	Gain95 float64 `json:"gain95"`
	// Method is how the value was determined.
	Method string `json:"method"`
	// Source names the call that returned it, such as nvml.energy.
	Source string `json:"source"`
	// Budget lists the parts of the statistical interval.
	Budget []BudgetTerm `json:"budget,omitempty"`
}

// Over returns the quantity per unit of n units; nil for nil.
func (q *Quantity) Over(n float64) *Quantity {
	if q == nil {
		return nil
	}
	out := *q
	out.Value, out.CI95, out.Gain95 = q.Value/n, [2]float64{q.CI95[0] / n, q.CI95[1] / n}, q.Gain95/n
	out.Budget = nil
	for _, b := range q.Budget {
		out.Budget = append(out.Budget, BudgetTerm{Term: b.Term, Half95: b.Half95 / n})
	}
	return &out
}

// BudgetTerm is one part of a statistical interval. Independent parts add in
// quadrature.
type BudgetTerm struct {
	// Term names the part.
	Term string `json:"term"`
	// Half95 is half the width of its 95 % interval, in the unit of the quantity.
	Half95 float64 `json:"half95"`
}

// Energy of the window. The values cover the devices that ran the model (Scope).
type Energy struct {
	// Provenance is the origin of the numbers.
	Provenance Provenance `json:"provenance"`
	// Reason is why energy, or a part of it, is null.
	Reason string `json:"reason"`
	Scope  string `json:"scope"` // gpu, cpu or ""
	// Sources are the calls that were read.
	Sources []string `json:"sources"`

	// Missing lists the sensors that could not be read.
	Missing []power.Unavailable `json:"missing,omitempty"`

	// TotalJ is the energy of the window, in joules.
	TotalJ *Quantity `json:"total_j"`
	// NetJ is TotalJ minus the bare idle power before the engine was started (BaselineW), in joules.
	NetJ *Quantity `json:"net_j"`
	// NetResidentJ is TotalJ minus the idle power with the model loaded (ResidentW), in joules.
	NetResidentJ *Quantity `json:"net_resident_j"`
	// MeanW is the mean power of the window, in watts.
	MeanW *Quantity `json:"mean_w"`
	// BaselineW is the bare idle power, in watts.
	BaselineW *Quantity `json:"baseline_w"`
	// ResidentW is the idle power with the model loaded, in watts.
	ResidentW *Quantity `json:"resident_w"`
	// MinWindow is the window length needed for a given precision of total_j.
	MinWindow *MinWindow `json:"min_window"`

	// UnattributedJ is the energy that belongs to no phase, in joules.
	UnattributedJ *Quantity `json:"unattributed_j"`
	// Agreement compares counter and series over the counted devices.
	Agreement *Agreement `json:"agreement"`
	// Devices are all metered devices, counted or not.
	Devices []Device `json:"devices"`
	// Phases splits the energy by prefill and decode.
	Phases *Phases `json:"phases"`
	// PhasesReason is why phases is null.
	PhasesReason string `json:"phases_reason,omitempty"`

	// NodeJ is the energy of the whole machine by its own meter, including the devices; null without such a
	// meter, or with NodeReason.
	NodeJ *Quantity `json:"node_j,omitempty"`
	// NodeW is its mean power, in watts.
	NodeW *Quantity `json:"node_w,omitempty"`
	// NodePerOutputTokenJ is the energy of the whole machine per generated token, in joules.
	NodePerOutputTokenJ *Quantity `json:"node_per_output_token_j,omitempty"`
	// NodeOverheadJ is NodeJ minus TotalJ: the rest of the machine, including the losses of its power supply.
	NodeOverheadJ *Quantity `json:"node_overhead_j,omitempty"`
	// NodeMinWindowS is the window length that the meter needs, in seconds.
	NodeMinWindowS *float64 `json:"node_min_window_s,omitempty"`
	// NodeReason is why NodeJ is null although a meter was read.
	NodeReason string `json:"node_reason,omitempty"`

	// PerOutputTokenJ is joules per generated token.
	PerOutputTokenJ *Quantity `json:"per_output_token_j"`
	// NetPerOutputTokenJ is NetJ per generated token.
	NetPerOutputTokenJ         *Quantity `json:"net_per_output_token_j,omitempty"`
	NetResidentPerOutputTokenJ *Quantity `json:"net_resident_per_output_token_j,omitempty"` // net of resident idle
	NetPerTotalTokenJ          *Quantity `json:"net_per_total_token_j,omitempty"`           // per token of all
	// NetPerRequestJ is NetJ per completed request.
	NetPerRequestJ *Quantity `json:"net_per_request_j,omitempty"`
	// PerTotalTokenJ is joules per prompt or generated token.
	PerTotalTokenJ *Quantity `json:"per_total_token_j"`
	// PerRequestJ is joules per completed request.
	PerRequestJ *Quantity `json:"per_request_j"`
	// WhPer1000Requests is watt hours per 1000 requests.
	WhPer1000Requests *Quantity `json:"wh_per_1000_requests"`
	// TokensPerJ is generated tokens per joule.
	TokensPerJ *Quantity `json:"tokens_per_j"`
	// CO2eG is grams of CO2 equivalent, by the study's carbon intensity and PUE.
	CO2eG *Quantity `json:"co2e_g"`
	// Cost is in the currency of the study's price, with its PUE.
	Cost *Quantity `json:"cost"`
}

// MinWindow has the window lengths from which the timing of the sensor's readings makes the total uncertain
// by at most ±1 % and ±5 % (95 %).
type MinWindow struct {
	// For1PctS is in seconds.
	For1PctS float64 `json:"for_1_pct_s"`
	// For5PctS is in seconds.
	For5PctS float64 `json:"for_5_pct_s"`
}

// Agreement compares two ways of measuring the same window.
type Agreement struct {
	// CounterJ is joules by the energy counter.
	CounterJ *float64 `json:"counter_j"`
	// IntegralJ is joules by the integral of the power series.
	IntegralJ *float64 `json:"integral_j"`
	// DifferencePct is the difference of the integral from the counter, in percent.
	DifferencePct *float64 `json:"difference_pct"`
	Verdict       string   `json:"verdict"` // ok, warn, fail, single_source, same_source
}

// Device is the energy of one metered device over the window. Counted reports whether it is part of total_j.
type Device struct {
	// Device is its ID: gpu0, package-0.
	Device string `json:"device"`
	// Kind is gpu, cpu, dram, module or remote.
	Kind string `json:"kind"`
	// Name is the product name.
	Name string `json:"name"`
	// UUID of a GPU.
	UUID string `json:"uuid,omitempty"`
	// Modelled reports whether the numbers come from a formula instead of a sensor.
	Modelled bool `json:"modelled,omitempty"`
	// Scope is gpu or module if the sensor reports which.
	Scope string `json:"scope,omitempty"`
	// OverNetwork reports whether the sensor was read over the network.
	OverNetwork bool `json:"over_network,omitempty"`
	// Counted reports whether the device is part of total_j.
	Counted bool `json:"counted"`
	// EnergyJ is its energy over the window, in joules.
	EnergyJ *Quantity `json:"energy_j"`
	// BaselineW and ResidentW are the values of Bare and Resident.
	BaselineW *float64 `json:"baseline_w"`
	// ResidentW is in watts, like BaselineW.
	ResidentW *float64 `json:"resident_w"`
	// Bare is the idle power before the engine was started.
	Bare *Idle `json:"bare_idle,omitempty"`
	// Resident is the idle power with the model loaded.
	Resident *Idle `json:"resident_idle,omitempty"`
	// IdleLimitW exceeds the power of any idle card of the model, in watts; 0 if unknown.
	IdleLimitW float64 `json:"idle_limit_w,omitempty"`
	// Others are processes on the device that do not belong to the run.
	Others []Tenant `json:"others,omitempty"`
	// WorkHidden reports whether the driver hides which processes work on the device.
	WorkHidden bool `json:"work_hidden,omitempty"`
	// Agreement compares its counter and its series.
	Agreement *Agreement `json:"agreement"`
	// Series describes its power series.
	Series *SeriesInfo `json:"series"`
	// Profile is the self-test's profile of the series' sensor.
	Profile *power.SourceProfile `json:"profile,omitempty"`
	// SwingPct is the self-test's result for the counter, see power.Profile.
	SwingPct *float64 `json:"swing_pct,omitempty"`
	// Reason is why EnergyJ is null.
	Reason string `json:"reason,omitempty"`
}

// Tenant is a process on a GPU that does not belong to the run.
type Tenant struct {
	// PID is the process id; inside a container it may be the host's.
	PID int `json:"pid"`
	// FromS is when the process was first seen, in seconds from the window's start.
	FromS float64 `json:"from_s"`
	// ToS is when it was last seen; negative for a process that had gone before the window.
	ToS float64 `json:"to_s"`
	// BusyPct is the largest percentage of time during which its kernels ran; null if the driver does not
	// report it.
	BusyPct *float64 `json:"busy_pct"`
	// BusyS is when it was last seen working, in seconds from the window's start; null means never.
	BusyS *float64 `json:"busy_s"`
	// Doubtful reports whether it may be the engine, whose process ids are in another namespace.
	Doubtful bool `json:"doubtful,omitempty"`
}

// Idle is the power of an idle device.
type Idle struct {
	// W is the power in watts.
	W float64 `json:"w"`
	// Half95 is half the width of its 95 % interval, in watts.
	Half95 float64 `json:"half95"`
	// DriftW is the change of power over the interval, in watts.
	DriftW float64 `json:"drift_w"`
	// DriftHalf95 is half the width of its 95 % interval, in watts.
	DriftHalf95 float64 `json:"drift_half95"`
	// Source names the call that returned it.
	Source string `json:"source"`
	// AgeS is the age of a value from an earlier run, in seconds before this run.
	AgeS   float64 `json:"age_s,omitempty"`
	Reason string  `json:"reason,omitempty"` // why there is no value
}

// SeriesInfo describes the power series of a device inside the window.
type SeriesInfo struct {
	// Source names the call that returned the samples.
	Source string `json:"source"`
	// Samples is the number of samples in the window.
	Samples int `json:"samples"`
	// SamplesPerS is the number of samples per second.
	SamplesPerS float64 `json:"samples_per_s"`
	// WindowMS is the sensor's averaging time, in milliseconds.
	WindowMS float64 `json:"window_ms"`
	// LargestGapMS is the longest time between two samples, in milliseconds.
	LargestGapMS float64 `json:"largest_gap_ms"`
	// Gaps is the number of intervals without power.
	Gaps int `json:"gaps"`
	// CoveragePct is the percentage of the window with known power.
	CoveragePct float64 `json:"coverage_pct"`
	// Clock is how well the stamps of the sensor's wall clock map to CLOCK_MONOTONIC; null for a source
	// without its own stamps.
	Clock *power.ClockInfo `json:"clock"`
}

// Phases splits the energy of the window. Phases, idle time (other) and
// unattributed_j add up to total_j.
type Phases struct {
	// Method is how the energy was split.
	Method string `json:"method"`
	// Prefill is the energy of steps over prompt tokens.
	Prefill *Phase `json:"prefill"`
	// Decode is the energy of steps that generate tokens.
	Decode *Phase `json:"decode"`
	// Other is the energy of the time without steps.
	Other *Phase `json:"other"`
	// SharedJ is the energy of mixed steps that both phases share; each has half.
	SharedJ float64 `json:"shared_j"`
	// Fits are the regressions, one per device.
	Fits []PhaseFit `json:"fits"`
}

// PhaseFit is the regression of the split on one device.
type PhaseFit struct {
	// Device is the ID of the metered device.
	Device string `json:"device"`
	// Condition is the condition number of the needed terms.
	Condition float64 `json:"condition_number"`
	// Samples is the number of fitted power samples.
	Samples int `json:"samples"`
	// ResidualW is the standard deviation of the residuals, in watts.
	ResidualW float64 `json:"residual_w"`
	// FilterMS is the fitted time constant of the sensor's low-pass filter, in milliseconds.
	FilterMS float64 `json:"filter_ms"`
	// FilterSDMS is the standard error of FilterMS, in milliseconds.
	FilterSDMS float64 `json:"filter_sd_ms"`
	// WindowMS is the fitted averaging window after the filter, in milliseconds.
	WindowMS float64 `json:"window_ms"`
	// WindowSDMS is its standard error, in milliseconds.
	WindowSDMS float64 `json:"window_sd_ms"`
	// LagMS is the fitted delay after the window, in milliseconds.
	LagMS float64 `json:"lag_ms"`
	// LagSDMS is its standard error, in milliseconds.
	LagSDMS float64 `json:"lag_sd_ms"`
	// Terms are the terms of the fitted model.
	Terms []Term `json:"terms"`
}

// Term is a term of the power model.
type Term struct {
	// Name is the kind of work.
	Name string `json:"name"`
	// W is the fitted power, in watts.
	W float64 `json:"w"`
	// SDW is its standard error, in watts.
	SDW float64 `json:"sd_w"`
}

// Phase is the energy of one kind of engine step. The energy is null if it cannot be determined, with Reason.
// Low and High bound it over all ways to divide the shared energy of mixed steps, including the statistical
// interval.
type Phase struct {
	// EnergyJ is the energy in joules.
	EnergyJ *float64 `json:"energy_j"`
	// CI95 is its 95 % statistical interval, in joules.
	CI95 *[2]float64 `json:"ci95"`
	// Gain95 is the uncertainty of the sensor's gain (95 %), in joules.
	Gain95 *float64 `json:"gain95"`
	// LowJ is the lower bound, in joules.
	LowJ *float64 `json:"low_j"`
	// HighJ is the upper bound, in joules.
	HighJ *float64 `json:"high_j"`
	// DurationS is the total time of steps of the phase, in seconds.
	DurationS float64 `json:"duration_s"`
	// Tokens is the number of tokens that the phase computed.
	Tokens int64 `json:"tokens"`
	// JPerToken is joules per token of the phase.
	JPerToken *float64 `json:"j_per_token"`
	// JPerTokenCI95 is CI95 per token of the phase.
	JPerTokenCI95 *[2]float64 `json:"j_per_token_ci95"`
	// JPerTokenGain95 is Gain95 per token, in joules.
	JPerTokenGain95 *float64 `json:"j_per_token_gain95"`
	// MeanW is the mean power of the phase, in watts.
	MeanW *float64 `json:"mean_w"`
	// Method is set if EnergyJ is.
	Method string `json:"method,omitempty"`
	// Source names the call that returned the power.
	Source string `json:"source,omitempty"`
	// Reason is why EnergyJ is null.
	Reason string `json:"reason,omitempty"`
}

// Compute is what the architecture requires, from its shape.
type Compute struct {
	// Parameters is the number of the model's parameters.
	Parameters int64 `json:"parameters"`
	// NonEmbedding is the number without embeddings.
	NonEmbedding int64 `json:"parameters_non_embedding"`
	// Active is the number of parameters that one token uses.
	Active int64 `json:"parameters_active"`
	// FLOPs is the number of floating-point operations of the window.
	FLOPs float64 `json:"flops"`
	// FLOPsPrefill is the part for prompt tokens.
	FLOPsPrefill float64 `json:"flops_prefill"`
	// FLOPsDecode is the part for generated tokens.
	FLOPsDecode float64 `json:"flops_decode"`
	// FLOPsPerS is operations per second.
	FLOPsPerS float64 `json:"flops_per_s"`
	// FLOPsPerJ is operations per joule.
	FLOPsPerJ *float64 `json:"flops_per_j"`
}

// Memory of the engine. PeakBytes is the engine's own number if it reports one, otherwise its processes';
// ProcessPeakBytes is always the latter.
type Memory struct {
	// PeakBytes is the peak during the window, in bytes.
	PeakBytes *int64 `json:"peak_bytes"`
	// Method is what PeakBytes counts.
	Method MemoryMethod `json:"method,omitempty"`
	// PeakSource names the call that returned it.
	PeakSource string `json:"peak_source,omitempty"`
	// Reason is why ProcessPeakBytes is null, and also PeakBytes if that is null.
	Reason string `json:"reason,omitempty"`
	// ProcessPeakBytes is the peak of the engine's processes, in bytes.
	ProcessPeakBytes *int64 `json:"process_peak_bytes"`
	// ProcessMethod is what ProcessPeakBytes counts.
	ProcessMethod MemoryMethod `json:"process_method,omitempty"`
	// ProcessSource names the call that returned it.
	ProcessSource string `json:"process_source,omitempty"`
	// EstimatedBytes is the estimate from before the run, in bytes.
	EstimatedBytes *int64 `json:"estimated_bytes"`
}

// Timing is the time of the run outside the window, in seconds.
type Timing struct {
	// GapS is the pause before the run.
	GapS float64 `json:"gap_s"`
	// TookS is the time since the end of the previous run, or since the study was started or resumed; the sum
	// over all runs is the study's time.
	TookS float64 `json:"took_s,omitempty"`
	// BaselineS is the duration of measuring the idle machine.
	BaselineS float64 `json:"baseline_s"`
	// BaselineStartMonoNS is the start of the idle interval in power.parquet, in nanoseconds of
	// CLOCK_MONOTONIC; 0 without a baseline.
	BaselineStartMonoNS int64 `json:"baseline_start_mono_ns"`
	// BaselineEndMonoNS is its end.
	BaselineEndMonoNS int64 `json:"baseline_end_mono_ns"`
	// ResidentStartMonoNS is the start of the idle interval with the model loaded.
	ResidentStartMonoNS int64 `json:"resident_start_mono_ns"`
	// ResidentEndMonoNS is its end.
	ResidentEndMonoNS int64 `json:"resident_end_mono_ns"`
	// LoadS is the time to start the engine and load the model.
	LoadS float64 `json:"load_s"`
	// WarmupS is the duration of the warm-up.
	WarmupS float64 `json:"warmup_s"`
	// WindowS is the length of the window.
	WindowS float64 `json:"window_s"`
	// DiscardedWindowS is the length of a window that was too short and was measured
	// again.
	DiscardedWindowS float64 `json:"discarded_window_s"`
}

// GPUState is the mean state of the counted GPUs in the window.
type GPUState struct {
	// TemperatureC is the temperature of the hottest GPU, in degrees Celsius.
	TemperatureC *float64 `json:"temperature_c"`
	// ClockMHz is the clock of the slowest GPU under load.
	ClockMHz *float64 `json:"clock_mhz"`
}

// Harness is the cost of measuring during the window, and the errors of sampling.
type Harness struct {
	// CPUS is the processor time of this program in the window, including sampling, in seconds; the engine is
	// another process.
	CPUS          float64 `json:"cpu_s"`
	SamplerCPUPct float64 `json:"sampler_cpu_pct"` // in percent of one core
	// SamplerPolls is the number of polls of all meters.
	SamplerPolls int `json:"sampler_polls"`
	// SamplerBytes is the memory that the sampled series took during the window.
	SamplerBytes int64 `json:"sampler_bytes"`
	// PeakBytes is the program's peak memory so far.
	PeakBytes int64 `json:"peak_bytes"`
	// EnergyJ estimates the program's part of the processor's energy above idle, by its share of all
	// processor time; null if the processor is not metered.
	EnergyJ  *float64 `json:"energy_j"`
	HostCPUS *float64 `json:"host_cpu_s"` // processor time of all processes
	// OtherCPUS is the processor time of other processes than this program and the engine, in seconds; null
	// if the engine's processes cannot be seen.
	OtherCPUS *float64 `json:"other_cpu_s,omitempty"`
	// HostCores is the number of processors of the machine.
	HostCores int `json:"host_cores,omitempty"`
	// ClockSlackNS is the uncertainty of reading the wall clock and CLOCK_MONOTONIC together, in nanoseconds.
	ClockSlackNS int64 `json:"clock_slack_ns"`
	// Client is how exact the client of a server engine was; nil for other engines.
	Client *load.Client `json:"client,omitempty"`
	// Gaps are intervals without samples.
	Gaps []Gap `json:"gaps"`
	// Errors are the distinct errors of sampling.
	Errors []string `json:"errors"`
}

// Gap is an interval without samples of a series.
type Gap struct {
	// Device is the ID of the metered device.
	Device string `json:"device"`
	// Source names the series.
	Source string `json:"source"`
	// StartNS is the beginning, in nanoseconds of CLOCK_MONOTONIC.
	StartNS int64 `json:"start_ns"`
	// EndNS is the end, in nanoseconds of CLOCK_MONOTONIC.
	EndNS int64 `json:"end_ns"`
	// Reason is why there are no samples.
	Reason string `json:"reason"`
}

// Warn raises a doubt about the result.
func (r *Record) Warn(code note.Code, message string) { r.Warnings.Warn(code, message) }
