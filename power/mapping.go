package power

// ClockInfo describes how the wall clock of a sensor's stamps maps to CLOCK_MONOTONIC over a series. Each
// poll of the sensor measures the mapping again.
type ClockInfo struct {
	// Mappings is the number of comparisons of the two clocks.
	Mappings int `json:"mappings"`
	// DriftPPM is the rate by which the wall clock ran fast, in parts per million.
	DriftPPM float64 `json:"drift_ppm"`
	// JitterUS is the standard deviation of the mappings around the drift, in microseconds. It adds to the
	// uncertainty of a stamp.
	JitterUS float64 `json:"jitter_us"`
	// MaxUS is the largest deviation, in microseconds.
	MaxUS float64 `json:"max_us"`
}
