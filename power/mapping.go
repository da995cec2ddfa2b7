package power

// ClockInfo is the mapping of the wall clock of a sensor's stamps to CLOCK_MONOTONIC
// over a series. Every poll of the sensor measured it anew.
type ClockInfo struct {
	// Mappings is how often the clocks were compared.
	Mappings int `json:"mappings"`
	// DriftPPM is the rate by which the wall clock ran faster.
	DriftPPM float64 `json:"drift_ppm"`
	// JitterUS is the standard deviation of the mappings around that drift: what it
	// adds to the uncertainty of a stamp. MaxUS is the largest deviation.
	JitterUS float64 `json:"jitter_us"`
	// MaxUS is the largest deviation, in microseconds.
	MaxUS float64 `json:"max_us"`
}
