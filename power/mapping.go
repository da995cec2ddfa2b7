package power

import "math"

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

// ClockOf describes how the stamps of a series were mapped. Only the ring's samples
// bring stamps of their own; all entries of one poll share one mapping. Nil for
// other sources and without samples. Two mappings tell no drift from jitter: all of
// their difference is jitter then.
func ClockOf(samples []Sample) *ClockInfo {
	var at, offset []float64
	for _, s := range samples {
		if s.Source != SourceSamples {
			return nil
		}
		// Relative to the first, so that nothing is lost to rounding.
		x, y := float64(s.MonoNS-samples[0].MonoNS), float64((s.UnixNS-s.MonoNS)-(samples[0].UnixNS-samples[0].MonoNS))
		if n := len(offset); n == 0 || y != offset[n-1] {
			at, offset = append(at, x), append(offset, y)
		}
	}
	n := float64(len(at))
	switch len(at) {
	case 0:
		return nil
	case 1:
		return &ClockInfo{Mappings: 1}
	case 2:
		half := math.Abs(offset[1]) / 2e3
		return &ClockInfo{Mappings: 2, JitterUS: half, MaxUS: half}
	}
	var mx, my, sxx, sxy float64
	for i := range at {
		mx, my = mx+at[i]/n, my+offset[i]/n
	}
	for i := range at {
		sxx, sxy = sxx+(at[i]-mx)*(at[i]-mx), sxy+(at[i]-mx)*(offset[i]-my)
	}
	slope, squares, worst := sxy/sxx, 0.0, 0.0
	for i := range at {
		r := offset[i] - my - slope*(at[i]-mx)
		squares, worst = squares+r*r, max(worst, math.Abs(r))
	}
	return &ClockInfo{Mappings: len(at), DriftPPM: slope * 1e6, JitterUS: math.Sqrt(squares/(n-2)) / 1e3,
		MaxUS: worst / 1e3}
}
