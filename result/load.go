package result

import "github.com/llenergymeasure/llem/load/trace"

// Load is what a run tells about requests that arrive by themselves, or about a service level objective. Rates, counts
// and energies are of the window, in which the load is steady; unless said otherwise a request belongs to the window in
// which it was scheduled, and a token to the one in which it was produced.
type Load struct {
	// Kind is closed, constant, poisson, gamma, ramp, rates or trace.
	Kind string `json:"kind"`
	// StartMonoNS is when the load began, in nanoseconds of CLOCK_MONOTONIC, and EndMonoNS when the last answer had
	// come. The window lies between them: before it is the ramp, after it the drain.
	StartMonoNS int64 `json:"start_mono_ns"`
	EndMonoNS   int64 `json:"end_mono_ns"` // see StartMonoNS
	// HorizonMonoNS is when the last request was scheduled.
	HorizonMonoNS int64 `json:"horizon_mono_ns"`
	// RampS and DrainS are the times before and after the window, in seconds.
	RampS  float64 `json:"ramp_s"`
	DrainS float64 `json:"drain_s"` // see RampS
	// WindowMethod is how the window was chosen.
	WindowMethod string `json:"window_method"`

	// OfferedRPS is the rate of the scheduled requests, SentRPS of the sent and CompletedRPS of the completed ones, in
	// requests per second.
	OfferedRPS   float64 `json:"offered_rps"`
	SentRPS      float64 `json:"sent_rps"`      // see OfferedRPS
	CompletedRPS float64 `json:"completed_rps"` // see OfferedRPS
	// CompletedRPSPerGPU and OutputTokensPerSPerGPU are rates for each GPU that runs the model; null if none is known.
	CompletedRPSPerGPU     *float64 `json:"completed_rps_per_gpu"`
	OutputTokensPerSPerGPU *float64 `json:"output_tokens_per_s_per_gpu"` // see CompletedRPSPerGPU
	// OutputTokensPerSPerUser is the reciprocal of the median TPOT, at which one request gets its tokens.
	OutputTokensPerSPerUser *float64 `json:"output_tokens_per_s_per_user"`
	// GapCV is the coefficient of variation of the times between scheduled requests.
	GapCV *float64 `json:"gap_cv"`
	// Scheduled is the number of requests scheduled in the window. Failed of them failed, and Cut had no answer at the
	// end of the run.
	Scheduled int64 `json:"scheduled"`
	Failed    int64 `json:"failed"` // see Scheduled
	Cut       int64 `json:"cut"`    // see Scheduled
	// Capped is the number of requests that were due but waited for workload.concurrency.
	Capped int64 `json:"capped"`
	// SendLagMS is the time from schedule to sending, in milliseconds.
	SendLagMS *Distribution `json:"send_lag_ms"`
	// ServiceTTFTMS and ServiceE2EMS count from sending, in milliseconds; the latencies of the record from the start of
	// the engine's work or from the schedule.
	ServiceTTFTMS *Distribution `json:"service_ttft_ms"`
	ServiceE2EMS  *Distribution `json:"service_e2e_ms"` // see ServiceTTFTMS
	// EffectiveN is the number of independent requests that the response times are worth, by their autocorrelation.
	EffectiveN *float64 `json:"effective_n"`

	// InFlight is the mean number of requests between schedule and end, and MaxInFlight the maximum.
	InFlight    float64 `json:"in_flight"`
	MaxInFlight int     `json:"max_in_flight"` // see InFlight
	// BacklogSlope is the change of the requests in flight per second.
	BacklogSlope *Estimate `json:"backlog_slope"`
	// Saturated reports that the backlog grew: the latencies are null, because they describe the length of the run.
	Saturated bool `json:"saturated"`
	// LittlePct is the difference in percent of the mean in flight from rate × response time; null if one did not end.
	LittlePct *float64 `json:"little_pct"`
	// Halves compares the halves of the window.
	Halves *Halves `json:"halves"`

	// RampJ and DrainJ are the energies before and after the window, in joules.
	RampJ  *Quantity `json:"ramp_j"`
	DrainJ *Quantity `json:"drain_j"` // see RampJ
	// IdleS is the time of the window without a request in flight, in seconds, and IdleJ its energy.
	IdleS float64   `json:"idle_s"`
	IdleJ *Quantity `json:"idle_j"` // see IdleS
	// GoodTokens is the number of output tokens of good requests, WastedTokens of the others, in the window.
	GoodTokens   int64 `json:"good_tokens"`
	WastedTokens int64 `json:"wasted_tokens"` // see GoodTokens
	// PerGoodTokenJ is the energy of the window per output token of a good request, in joules. The figures of the load,
	// LongRunGoodTokenJ and the same over all output tokens, have an interval for other windows of the load, too.
	PerGoodTokenJ       *Quantity `json:"per_good_token_j"`
	LongRunGoodTokenJ   *Quantity `json:"long_run_good_token_j"`     // see PerGoodTokenJ
	LongRunOutputTokenJ *Quantity `json:"long_run_output_token_j"`   // see PerGoodTokenJ
	LongRunReason       string    `json:"long_run_reason,omitempty"` // why one of them is null
	// WastedJ is the share of the energy, by output tokens, of requests that were not good, in joules.
	WastedJ *Quantity `json:"wasted_j"`
	// EnergyReason is why an energy is null.
	EnergyReason string `json:"energy_reason,omitempty"`

	// Good is the number of scheduled requests that met the objective; without one, the number of completed requests.
	Good int64 `json:"good"`
	// Attainment is the fraction of the scheduled requests that were good.
	Attainment *Estimate `json:"attainment"`
	// GoodputRPS is good requests per second.
	GoodputRPS float64 `json:"goodput_rps"`
	// SLOMet is yes, no or unresolved: whether Attainment reaches the objective; empty without an objective.
	SLOMet string `json:"slo_met,omitempty"`
	// SLOReason is why SLOMet is unresolved, or no whatever the attainment is.
	SLOReason string `json:"slo_reason,omitempty"`
	// Trace is what a load of kind trace takes from its file; nil for others.
	Trace *trace.Summary `json:"trace,omitempty"`
	// Search is the search for the highest load within the objective; nil without one.
	Search *Search `json:"search,omitempty"`
}

// Estimate is a number with its 95 % interval.
type Estimate struct {
	// Value of the estimate.
	Value float64 `json:"value"`
	// CI95 is its 95 % interval.
	CI95 [2]float64 `json:"ci95"`
}

// Halves compares the two halves of a window.
type Halves struct {
	// PowerPct and RatePct compare mean power and output tokens per second of the second half, in percent.
	PowerPct *float64 `json:"power_pct"`
	RatePct  *float64 `json:"rate_pct"` // see PowerPct
	// Stationary reports that neither difference exceeds what chance explains.
	Stationary bool `json:"stationary"`
}

// Search is the search for the highest load within an objective.
type Search struct {
	// Over is rate or concurrency.
	Over string `json:"over"`
	// Load is the load of this run, in requests per second or in flight.
	Load float64 `json:"load"`
	// Lower is the highest load that met the objective, and Upper the lowest one that did not; null if there is none.
	Lower *float64 `json:"lower"`
	Upper *float64 `json:"upper"` // see Lower
	// Resolved reports that the bounds are within the tolerance; Reason is why they are not.
	Resolved bool   `json:"resolved"`
	Reason   string `json:"reason,omitempty"` // see Resolved
	// Probes are the loads that were tried, in order. The sustained runs follow them.
	Probes []Probe `json:"probes"`
}

// Probe is one load of a search.
type Probe struct {
	// Role is probe or sustained.
	Role string `json:"role"`
	// Load in requests per second or in flight.
	Load float64 `json:"load"`
	// StartMonoNS is when the load began, in nanoseconds of CLOCK_MONOTONIC, WindowMonoNS the limits of its window, and
	// EndMonoNS when the last answer had come.
	StartMonoNS  int64    `json:"start_mono_ns"`
	WindowMonoNS [2]int64 `json:"window_mono_ns"` // see StartMonoNS
	EndMonoNS    int64    `json:"end_mono_ns"`    // see StartMonoNS
	// HorizonMonoNS is when the last request was scheduled.
	HorizonMonoNS int64 `json:"horizon_mono_ns"`
	// Scheduled is the number of requests of the window, and Good how many were good.
	Scheduled int64 `json:"scheduled"`
	Good      int64 `json:"good"` // see Scheduled
	// Attainment is the fraction of good requests.
	Attainment *Estimate `json:"attainment"`
	// Verdict is yes, no or unresolved: whether the load met the objective.
	Verdict string `json:"verdict"`
	// TotalJ is the energy of the window, and PerGoodTokenJ per output token of a good request, in joules.
	TotalJ        *Quantity `json:"total_j"`
	PerGoodTokenJ *Quantity `json:"per_good_token_j"` // see TotalJ
}
