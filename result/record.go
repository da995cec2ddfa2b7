package result

import (
	"time"

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
	SchemaVersion int `json:"schema_version"`
	// Program is the version of llem that made the numbers: its commit, where known.
	Program    string           `json:"llem_version,omitempty"`
	ID         string           `json:"id"`
	Cycle      int              `json:"cycle"`
	Status     Status           `json:"status"`
	Failure    *note.Failure    `json:"failure"`
	Synthetic  bool             `json:"synthetic"`
	Config     study.Experiment `json:"config"`
	Backend    Backend          `json:"backend"`
	Window     *Window          `json:"window"`
	Tokens     *Tokens          `json:"tokens"`
	Latency    *Latency         `json:"latency"`
	Throughput *Throughput      `json:"throughput"`
	Energy     Energy           `json:"energy"`
	Compute    *Compute         `json:"compute"`
	Memory     Memory           `json:"memory"`
	// WorkloadHash is equal for runs that computed the same token ids.
	WorkloadHash string            `json:"workload_hash,omitempty"`
	Timing       Timing            `json:"timing"`
	Harness      *Harness          `json:"harness"`
	Warnings     note.List         `json:"warnings"`
	Files        map[string]string `json:"files"`
}

// Backend is the engine as it ran.
type Backend struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Tier    string `json:"tier"`
	// Runner is process or container.
	Runner string `json:"runner"`
	// Image is that of the container: its name, the digest of its configuration, and the
	// one under which a registry has it, empty for an image that was built here.
	Image       string `json:"image,omitempty"`
	ImageID     string `json:"image_id,omitempty"`
	ImageDigest string `json:"image_digest,omitempty"`

	Device string `json:"device,omitempty"`
	// DType and Attention are what the engine used, beside what was asked in
	// config.
	DType     string            `json:"dtype,omitempty"`
	Attention string            `json:"attention,omitempty"`
	Threads   int               `json:"threads,omitempty"`
	Settings  map[string]string `json:"settings,omitempty"` // other knobs, as the engine used them
	GPUs      []string          `json:"gpu_uuids,omitempty"`
	StepClock string            `json:"step_clock,omitempty"`
	Versions  map[string]string `json:"versions,omitempty"`
	// EngineRun counts the runs on one engine: 1 had it started for itself, a later one
	// took over the engine of the run before, with its model loaded.
	EngineRun int `json:"engine_run,omitempty"`
}

// Window is the measured time, on both clocks.
type Window struct {
	Start       time.Time `json:"start"`
	End         time.Time `json:"end"`
	StartMonoNS int64     `json:"start_mono_ns"`
	EndMonoNS   int64     `json:"end_mono_ns"`
	DurationS   float64   `json:"duration_s"`
	// Repeats is how often the workload ran in the window.
	Repeats int `json:"repeats"`
	// Round is how many requests the engine was given at once, the next ones when these
	// had ended; absent where it was given all at once. Earlier versions did so with all
	// repeats, which ran together on engines that batch by themselves.
	Round int `json:"round,omitempty"`
}

// Tokens counts the work of the window.
type Tokens struct {
	Prompt         int64 `json:"prompt"`
	PromptComputed int64 `json:"prompt_computed"`
	Output         int64 `json:"output"`
	RequestsOK     int64 `json:"requests_ok"`
	RequestsFailed int64 `json:"requests_failed"`
	// Given and Asked are the prompt tokens handed to the engine and the output
	// tokens asked of it.
	Given int64 `json:"prompt_given"`
	Asked int64 `json:"output_asked"`
}

// Latency holds the distributions over requests (TTFT, TPOT, end to end) and over
// tokens (ITL), in milliseconds.
type Latency struct {
	TTFT *Distribution `json:"ttft_ms"`
	ITL  *Distribution `json:"itl_ms"`
	TPOT *Distribution `json:"tpot_ms"`
	E2E  *Distribution `json:"e2e_ms"`
}

// Distribution summarises values. SD is null for a single value.
type Distribution struct {
	N    int      `json:"n"`
	Mean float64  `json:"mean"`
	SD   *float64 `json:"sd"`
	Min  float64  `json:"min"`
	P50  float64  `json:"p50"`
	P90  float64  `json:"p90"`
	P95  float64  `json:"p95"`
	P99  float64  `json:"p99"`
	Max  float64  `json:"max"`
}

// Throughput over the window.
type Throughput struct {
	OutputTokensPerS float64 `json:"output_tokens_per_s"`
	TotalTokensPerS  float64 `json:"total_tokens_per_s"`
	RequestsPerS     float64 `json:"requests_per_s"`
}

// Provenance says what stands behind an energy number.
type Provenance string

// Provenances.
const (
	// Measured: by a sensor.
	Measured Provenance = "measured"
	// Modelled: from the utilisation of a processor, without a sensor.
	Modelled Provenance = "modelled"
	// Simulated: the device does not exist, whatever read its power.
	Simulated Provenance = "simulated"
	// None: there is no energy.
	None Provenance = "none"
)

// Of returns the provenance of energy that a backend used. Results of earlier versions have
// modelled or measured for the simulated engine.
func (p Provenance) Of(backend string) Provenance {
	if backend == study.Fake && (p == Measured || p == Modelled) {
		return Simulated
	}
	return p
}

// Quantity is a number with its doubts; null where it is not known.
type Quantity struct {
	Value float64 `json:"value"`
	// CI95 is the 95 % statistical interval of this one run: sensor timing and
	// quantisation. It says nothing about the spread between runs.
	CI95 [2]float64 `json:"ci95"`
	// Gain95 is the sensor's own gain uncertainty (95 %), in the unit of Value. It
	// cancels in ratios on one device.
	Gain95 float64 `json:"gain95"`
	Method string  `json:"method"`
	Source string  `json:"source"`
	// Budget says what the statistical interval is made of.
	Budget []BudgetTerm `json:"budget,omitempty"`
}

// BudgetTerm is one part of a statistical interval. Independent parts add in
// quadrature.
type BudgetTerm struct {
	Term   string  `json:"term"`
	Half95 float64 `json:"half95"`
}

// Energy of the window. The values cover the devices that ran the model (Scope).
type Energy struct {
	Provenance Provenance `json:"provenance"`
	// Reason says why energy, or a part of it, is null.
	Reason  string   `json:"reason"`
	Scope   string   `json:"scope"` // gpu, cpu or ""
	Sources []string `json:"sources"`

	// Missing lists the sensors that could not be read.
	Missing []power.Unavailable `json:"missing,omitempty"`

	TotalJ *Quantity `json:"total_j"`
	// NetJ is net of the bare idle power (BaselineW, before the engine was
	// started), NetResidentJ of the idle power with the model loaded (ResidentW).
	NetJ         *Quantity `json:"net_j"`
	NetResidentJ *Quantity `json:"net_resident_j"`
	MeanW        *Quantity `json:"mean_w"`
	BaselineW    *Quantity `json:"baseline_w"`
	ResidentW    *Quantity `json:"resident_w"`
	// MinWindow is how long a window must be for a wanted precision of total_j.
	MinWindow *MinWindow `json:"min_window"`

	UnattributedJ *Quantity  `json:"unattributed_j"`
	Agreement     *Agreement `json:"agreement"`
	Devices       []Device   `json:"devices"`
	Phases        *Phases    `json:"phases"`
	// PhasesReason says why phases is null.
	PhasesReason string `json:"phases_reason,omitempty"`

	PerOutputTokenJ   *Quantity `json:"per_output_token_j"`
	PerTotalTokenJ    *Quantity `json:"per_total_token_j"`
	PerRequestJ       *Quantity `json:"per_request_j"`
	WhPer1000Requests *Quantity `json:"wh_per_1000_requests"`
	TokensPerJ        *Quantity `json:"tokens_per_j"`
	CO2eG             *Quantity `json:"co2e_g"`
	Cost              *Quantity `json:"cost"`
}

// MinWindow is the length of a window from which the timing of the sensor's
// readings makes the total uncertain by at most ±1 % and ±5 % (95 %).
type MinWindow struct {
	For1PctS float64 `json:"for_1_pct_s"`
	For5PctS float64 `json:"for_5_pct_s"`
}

// Agreement compares two ways of measuring the same window.
type Agreement struct {
	CounterJ      *float64 `json:"counter_j"`
	IntegralJ     *float64 `json:"integral_j"`
	DifferencePct *float64 `json:"difference_pct"`
	Verdict       string   `json:"verdict"` // ok, warn, fail, single_source, same_source
}

// Device is the energy of one metered device over the window. Counted says that
// it is part of total_j.
type Device struct {
	Device   string `json:"device"`
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	UUID     string `json:"uuid,omitempty"`
	Modelled bool   `json:"modelled,omitempty"`
	// Scope is gpu or module where the sensor says which; OverNetwork marks a
	// remote source.
	Scope       string    `json:"scope,omitempty"`
	OverNetwork bool      `json:"over_network,omitempty"`
	Counted     bool      `json:"counted"`
	EnergyJ     *Quantity `json:"energy_j"`
	// BaselineW and ResidentW are the values of Bare and Resident.
	BaselineW *float64    `json:"baseline_w"`
	ResidentW *float64    `json:"resident_w"`
	Bare      *Idle       `json:"bare_idle,omitempty"`
	Resident  *Idle       `json:"resident_idle,omitempty"`
	Agreement *Agreement  `json:"agreement"`
	Series    *SeriesInfo `json:"series"`
	// Profile is what the self-test knew about the series' sensor.
	Profile *power.SourceProfile `json:"profile,omitempty"`
	// SwingPct is what it knew of the counter, see power.Profile.
	SwingPct *float64 `json:"swing_pct,omitempty"`
	Reason   string   `json:"reason,omitempty"`
}

// Idle is the power of an idle device.
type Idle struct {
	W      float64 `json:"w"`
	Half95 float64 `json:"half95"`
	// DriftW is the change of power over the stretch, DriftHalf95 its interval.
	DriftW      float64 `json:"drift_w"`
	DriftHalf95 float64 `json:"drift_half95"`
	Source      string  `json:"source"`
	// AgeS is set for a value of an earlier run: how long before this one it was
	// measured.
	AgeS   float64 `json:"age_s,omitempty"`
	Reason string  `json:"reason,omitempty"` // why there is no value
}

// SeriesInfo describes the power series of a device inside the window.
type SeriesInfo struct {
	Source       string  `json:"source"`
	Samples      int     `json:"samples"`
	SamplesPerS  float64 `json:"samples_per_s"`
	WindowMS     float64 `json:"window_ms"`
	LargestGapMS float64 `json:"largest_gap_ms"`
	Gaps         int     `json:"gaps"`
	CoveragePct  float64 `json:"coverage_pct"`
	// Clock says how well the stamps of the sensor's wall clock map to
	// CLOCK_MONOTONIC; null for a source without stamps of its own.
	Clock *power.ClockInfo `json:"clock"`
}

// Phases splits the energy of the window. Phases, idle time (other) and
// unattributed_j add up to total_j.
type Phases struct {
	Method  string `json:"method"`
	Prefill *Phase `json:"prefill"`
	Decode  *Phase `json:"decode"`
	Other   *Phase `json:"other"`
	// SharedJ is what mixed steps spent on both phases together; each has half.
	SharedJ float64 `json:"shared_j"`
	// Fits say how the split was found, one per device.
	Fits []PhaseFit `json:"fits"`
}

// PhaseFit is the regression behind the split on one device.
type PhaseFit struct {
	Device string `json:"device"`
	// Condition is the condition number of the terms that the split needs.
	Condition float64 `json:"condition_number"`
	Samples   int     `json:"samples"`
	// ResidualW is the standard deviation of what the model does not explain.
	ResidualW float64 `json:"residual_w"`
	// The sensor averages over WindowMS what a low-pass filter with the time
	// constant FilterMS shows, LagMS later. All as fitted.
	FilterMS   float64 `json:"filter_ms"`
	FilterSDMS float64 `json:"filter_sd_ms"`
	WindowMS   float64 `json:"window_ms"`
	WindowSDMS float64 `json:"window_sd_ms"`
	LagMS      float64 `json:"lag_ms"`
	LagSDMS    float64 `json:"lag_sd_ms"`
	Terms      []Term  `json:"terms"`
}

// Term of the power model.
type Term struct {
	Name string  `json:"name"`
	W    float64 `json:"w"`
	SDW  float64 `json:"sd_w"`
}

// Phase is the energy of one kind of engine step. Energy is null where it cannot
// be defended; Reason says why. Low and High bound it over all ways of sharing out
// what mixed steps spend on both phases, the statistical interval included.
type Phase struct {
	EnergyJ   *float64    `json:"energy_j"`
	CI95      *[2]float64 `json:"ci95"`
	Gain95    *float64    `json:"gain95"`
	LowJ      *float64    `json:"low_j"`
	HighJ     *float64    `json:"high_j"`
	DurationS float64     `json:"duration_s"`
	Tokens    int64       `json:"tokens"`
	JPerToken *float64    `json:"j_per_token"`
	// The interval and the gain of JPerToken are those of EnergyJ, per token.
	JPerTokenCI95   *[2]float64 `json:"j_per_token_ci95"`
	JPerTokenGain95 *float64    `json:"j_per_token_gain95"`
	MeanW           *float64    `json:"mean_w"`
	// Method and Source are set where EnergyJ is.
	Method string `json:"method,omitempty"`
	Source string `json:"source,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Compute is what the architecture asks for, from its shape.
type Compute struct {
	Parameters   int64    `json:"parameters"`
	NonEmbedding int64    `json:"parameters_non_embedding"`
	Active       int64    `json:"parameters_active"`
	FLOPs        float64  `json:"flops"`
	FLOPsPrefill float64  `json:"flops_prefill"`
	FLOPsDecode  float64  `json:"flops_decode"`
	FLOPsPerS    float64  `json:"flops_per_s"`
	FLOPsPerJ    *float64 `json:"flops_per_j"`
}

// Memory of the engine. PeakBytes is the engine's own figure where it has one, else that
// of its processes; ProcessPeakBytes is always the latter.
type Memory struct {
	PeakBytes  *int64       `json:"peak_bytes"`
	Method     MemoryMethod `json:"method,omitempty"`
	PeakSource string       `json:"peak_source,omitempty"`
	// Reason says why ProcessPeakBytes is null, and PeakBytes where it is null, too.
	Reason           string       `json:"reason,omitempty"`
	ProcessPeakBytes *int64       `json:"process_peak_bytes"`
	ProcessMethod    MemoryMethod `json:"process_method,omitempty"`
	ProcessSource    string       `json:"process_source,omitempty"`
	EstimatedBytes   *int64       `json:"estimated_bytes"`
}

// Timing is where the time of the run went outside the window, in seconds.
type Timing struct {
	// GapS is the pause before the run, TookS the time since the end of the one before, or
	// since the study was started or gone on with: those of all runs are the study's.
	GapS      float64 `json:"gap_s"`
	TookS     float64 `json:"took_s,omitempty"`
	BaselineS float64 `json:"baseline_s"`
	// The idle window inside power.parquet; 0 without a baseline.
	BaselineStartMonoNS int64 `json:"baseline_start_mono_ns"`
	BaselineEndMonoNS   int64 `json:"baseline_end_mono_ns"`
	// The idle window with the model loaded.
	ResidentStartMonoNS int64   `json:"resident_start_mono_ns"`
	ResidentEndMonoNS   int64   `json:"resident_end_mono_ns"`
	LoadS               float64 `json:"load_s"`
	WarmupS             float64 `json:"warmup_s"`
	WindowS             float64 `json:"window_s"`
	// DiscardedWindowS is the length of a window that was too short and was measured
	// again.
	DiscardedWindowS float64 `json:"discarded_window_s"`
}

// Harness is what measuring itself cost during the window, and what went wrong
// while sampling.
type Harness struct {
	// CPUS is processor time of this program in the window, sampling included;
	// the engine is another process.
	CPUS          float64 `json:"cpu_s"`
	SamplerCPUPct float64 `json:"sampler_cpu_pct"` // of one core
	SamplerPolls  int     `json:"sampler_polls"`
	// SamplerBytes is the memory that the sampled series took during the window.
	SamplerBytes int64 `json:"sampler_bytes"`
	// PeakBytes is the program's peak memory so far.
	PeakBytes int64 `json:"peak_bytes"`
	// EnergyJ is the program's part of the processor's energy above idle, by its
	// share of all processor time: an estimate. Null where the processor is not
	// metered.
	EnergyJ      *float64 `json:"energy_j"`
	HostCPUS     *float64 `json:"host_cpu_s"` // processor time of all processes
	ClockSlackNS int64    `json:"clock_slack_ns"`
	Gaps         []Gap    `json:"gaps"`
	Errors       []string `json:"errors"`
}

// Gap is a stretch for which a series has no samples.
type Gap struct {
	Device  string `json:"device"`
	Source  string `json:"source"`
	StartNS int64  `json:"start_ns"`
	EndNS   int64  `json:"end_ns"`
	Reason  string `json:"reason"`
}

// Warn raises a doubt about the result.
func (r *Record) Warn(code note.Code, message string) { r.Warnings.Warn(code, message) }
