package result

import (
	"time"

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
	SchemaVersion int              `json:"schema_version"`
	ID            string           `json:"id"`
	Cycle         int              `json:"cycle"`
	Status        Status           `json:"status"`
	Failure       *Failure         `json:"failure"`
	Synthetic     bool             `json:"synthetic"`
	Config        study.Experiment `json:"config"`
	Backend       Backend          `json:"backend"`
	Window        *Window          `json:"window"`
	Tokens        *Tokens          `json:"tokens"`
	Latency       *Latency         `json:"latency"`
	Throughput    *Throughput      `json:"throughput"`
	Energy        Energy           `json:"energy"`
	Compute       *Compute         `json:"compute"`
	Memory        Memory           `json:"memory"`
	// WorkloadHash is equal for runs that computed the same token ids.
	WorkloadHash string            `json:"workload_hash,omitempty"`
	Timing       Timing            `json:"timing"`
	Harness      *Harness          `json:"harness"`
	Warnings     []Warning         `json:"warnings"`
	Files        map[string]string `json:"files"`
}

// Failure says why a run has no result.
type Failure struct {
	Class   string `json:"class"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
	LogTail string `json:"log_tail"`
}

// Backend is the engine as it ran.
type Backend struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Tier    string `json:"tier"`
	Runner  string `json:"runner"`
	Device  string `json:"device,omitempty"`
	// DType and Attention are what the engine used, beside what was asked in
	// config.
	DType     string            `json:"dtype,omitempty"`
	Attention string            `json:"attention,omitempty"`
	Threads   int               `json:"threads,omitempty"`
	GPUs      []string          `json:"gpu_uuids,omitempty"`
	StepClock string            `json:"step_clock,omitempty"`
	Versions  map[string]string `json:"versions,omitempty"`
}

// Window is the measured time, on both clocks.
type Window struct {
	Start       time.Time `json:"start"`
	End         time.Time `json:"end"`
	StartMonoNS int64     `json:"start_mono_ns"`
	EndMonoNS   int64     `json:"end_mono_ns"`
	DurationS   float64   `json:"duration_s"`
}

// Tokens counts the work of the window.
type Tokens struct {
	Prompt         int64 `json:"prompt"`
	PromptComputed int64 `json:"prompt_computed"`
	Output         int64 `json:"output"`
	RequestsOK     int64 `json:"requests_ok"`
	RequestsFailed int64 `json:"requests_failed"`
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
	Measured Provenance = "measured"
	Modelled Provenance = "modelled"
	None     Provenance = "none"
)

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
}

// Energy of the window. The values cover the devices that ran the model (Scope).
type Energy struct {
	Provenance Provenance `json:"provenance"`
	// Reason says why energy, or a part of it, is null.
	Reason  string   `json:"reason"`
	Scope   string   `json:"scope"` // gpu, cpu or ""
	Sources []string `json:"sources"`

	TotalJ        *Quantity  `json:"total_j"`
	NetJ          *Quantity  `json:"net_j"`
	MeanW         *Quantity  `json:"mean_w"`
	BaselineW     *Quantity  `json:"baseline_w"`
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
	Device    string      `json:"device"`
	Kind      string      `json:"kind"`
	Name      string      `json:"name"`
	Counted   bool        `json:"counted"`
	EnergyJ   *Quantity   `json:"energy_j"`
	BaselineW *float64    `json:"baseline_w"`
	Agreement *Agreement  `json:"agreement"`
	Series    *SeriesInfo `json:"series"`
	Reason    string      `json:"reason,omitempty"`
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
}

// Phases splits the energy of the window.
type Phases struct {
	Method  string `json:"method"`
	Prefill *Phase `json:"prefill"`
	Decode  *Phase `json:"decode"`
	Other   *Phase `json:"other"`
}

// Phase is the energy of one kind of engine step. Low and High bound what the
// sensor's averaging window may have moved between phases.
type Phase struct {
	EnergyJ   float64  `json:"energy_j"`
	LowJ      float64  `json:"low_j"`
	HighJ     float64  `json:"high_j"`
	DurationS float64  `json:"duration_s"`
	Tokens    int64    `json:"tokens"`
	JPerToken *float64 `json:"j_per_token"`
	MeanW     *float64 `json:"mean_w"`
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

// Memory of the engine.
type Memory struct {
	PeakBytes      *int64 `json:"peak_bytes"`
	PeakSource     string `json:"peak_source,omitempty"`
	EstimatedBytes *int64 `json:"estimated_bytes"`
}

// Timing is where the time of the run went outside the window, in seconds.
type Timing struct {
	BaselineS float64 `json:"baseline_s"`
	// The idle window inside power.parquet; 0 without a baseline.
	BaselineStartMonoNS int64   `json:"baseline_start_mono_ns"`
	BaselineEndMonoNS   int64   `json:"baseline_end_mono_ns"`
	LoadS               float64 `json:"load_s"`
	WarmupS             float64 `json:"warmup_s"`
	WindowS             float64 `json:"window_s"`
}

// Harness is what measuring itself cost during the window.
type Harness struct {
	SamplerCPUPct float64 `json:"sampler_cpu_pct"`
	SamplerPolls  int     `json:"sampler_polls"`
	ClockSlackNS  int64   `json:"clock_slack_ns"`
}

// Warning is a doubt about the result.
type Warning struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Warn appends a warning.
func (r *Record) Warn(code, message string) {
	r.Warnings = append(r.Warnings, Warning{code, message})
}
