package sensor

import (
	"math"

	"github.com/llenergymeasure/llem/power"
)

// ClockOf describes how the stamps of a series were mapped. Only the ring's samples have stamps of their own;
// all entries of one poll share a mapping. ClockOf returns nil for other sources and without samples. Two
// mappings cannot separate drift from jitter: their whole difference counts as jitter.
func ClockOf(samples []power.Sample) *power.ClockInfo {
	var at, offset []float64
	for _, s := range samples {
		if s.Source != SourceSamples {
			return nil
		}
		// Relative to the first sample, to avoid rounding errors.
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
		return &power.ClockInfo{Mappings: 1}
	case 2:
		half := math.Abs(offset[1]) / 2e3
		return &power.ClockInfo{Mappings: 2, JitterUS: half, MaxUS: half}
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
	return &power.ClockInfo{Mappings: len(at), DriftPPM: slope * 1e6, JitterUS: math.Sqrt(squares/(n-2)) / 1e3,
		MaxUS: worst / 1e3}
}
