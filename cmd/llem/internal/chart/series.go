package chart

import "math"

// Sample is a value at an instant.
type Sample struct {
	// At is the instant in seconds.
	At float64
	// Value in any unit.
	Value float64
}

// Bins returns the mean of the samples in each of n equal spans from one instant to another. A span without a sample
// has the value of the last one before it, if that is at most hold seconds old, and else is not a number. The samples
// are in the order of time.
func Bins(samples []Sample, from, to float64, n int, hold float64) []float64 {
	out := make([]float64, n)
	width := (to - from) / float64(n)
	next := 0
	last := Sample{math.Inf(-1), math.NaN()}
	for i := range out {
		end := from + float64(i+1)*width
		sum, count := 0.0, 0
		for next < len(samples) && samples[next].At < end {
			if last = samples[next]; last.At >= from {
				sum += last.Value
				count++
			}
			next++
		}
		switch {
		case count > 0:
			out[i] = sum / float64(count)
		case end-last.At <= hold+width:
			out[i] = last.Value
		default:
			out[i] = math.NaN()
		}
	}
	return out
}
