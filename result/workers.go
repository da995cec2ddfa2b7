package result

// TimeUse is what became of the time of one worker or of all, in seconds. The parts add up to PresentS.
type TimeUse struct {
	// PresentS is the time in which the worker was present, at most until the end of the study's last run.
	PresentS float64 `json:"present_s"`
	// WindowS is the time in windows, in which energy is counted.
	WindowS float64 `json:"window_s"`
	// IdlePowerS is the time in which the power of the idle machine was measured.
	IdlePowerS float64 `json:"idle_power_s"`
	// LoadS is the time to start engines and load models.
	LoadS float64 `json:"load_s"`
	// WarmupS is the time of warm-ups and of windows that were repeated.
	WarmupS float64 `json:"warmup_s"`
	// RestS is the time of the pauses between runs.
	RestS float64 `json:"rest_s"`
	// ClaimS is the time to find and claim runs.
	ClaimS float64 `json:"claim_s"`
	// WaitS is the time of waiting for a run while others held all of them.
	WaitS float64 `json:"wait_s"`
	// EndS is the time after the worker's last run until the end of the study's last run.
	EndS float64 `json:"end_s"`
	// OtherS is the rest of the time: preparing, writing, the canary, and runs that do not count.
	OtherS float64 `json:"other_s"`
}

// MeasuredS is the time with a measurement: windows and idle power.
func (u TimeUse) MeasuredS() float64 { return u.WindowS + u.IdlePowerS }

// WorkerUse is the use of one worker.
type WorkerUse struct {
	// Worker is its name.
	Worker string `json:"worker"`
	// Runs is how many runs it has finished.
	Runs int `json:"runs"`
	// TimeUse is what became of its time.
	TimeUse
}

// Workers is the use of all workers of a study.
type Workers struct {
	// Runs is how many runs they have finished.
	Runs int `json:"runs"`
	// WallS is the time in which at least one of them was present, in seconds.
	WallS float64 `json:"wall_s"`
	// RunsPerHour is their quotient.
	RunsPerHour float64 `json:"runs_per_hour"`
	// MeasuredS is the mean time with a measurement (windows and idle power) of a worker, in s.
	MeasuredS float64 `json:"measured_s_per_worker"`
	// Unmeasured is the share of the workers' time without a measurement, from 0 to 1.
	Unmeasured float64 `json:"unmeasured_share"`
	// Total is the use of all workers.
	Total TimeUse `json:"total"`
	// Each is the use of each, by its name.
	Each []WorkerUse `json:"each"`
}
