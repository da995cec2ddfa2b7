package attribute

import (
	"fmt"
	"time"

	"github.com/llenergymeasure/llem/backend"
)

// SimpleMethod names the phase split of this package in results.
const SimpleMethod = "simple: step-hold integral of the power series over the step log, sensor window not removed"

// Phase is the energy of one kind of step.
type Phase struct {
	Joules    float64
	Low, High float64 // bounds from the sensor's resolution
	Duration  time.Duration
	Tokens    int64
	// Stretches counts uninterrupted runs of steps of this kind.
	Stretches int
}

// Split is the energy of a window by phase: prefill, decode, and the rest of the
// window in which no step ran.
type Split struct {
	Prefill, Decode, Other Phase
}

// Sum of the three phases.
func (s Split) Sum() float64 { return s.Prefill.Joules + s.Decode.Joules + s.Other.Joules }

// Phases splits the energy of the window that the curve saw. It refuses, with the
// reason, what it cannot know: steps that mix both phases, and phases shorter
// than the sensor resolves.
func Phases(c *Curve, steps []backend.Step, w Window) (Split, error) {
	if len(steps) == 0 {
		return Split{}, fmt.Errorf("the engine reported no steps")
	}
	if q := c.Quality(w); q.Coverage < minCoverage {
		return Split{}, fmt.Errorf("the power series covers only %.1f %% of the window", 100*q.Coverage)
	}
	var s Split
	var last *Phase
	for i, step := range steps {
		if step.StartNS < w.Start || step.EndNS > w.End {
			return Split{}, fmt.Errorf("step %d lies outside the measured window", i)
		}
		p := &s.Decode
		switch {
		case step.PrefillTokens > 0 && step.DecodeTokens > 0:
			return Split{}, fmt.Errorf("step %d processes prompts and decodes at once; the simple method cannot split it", i)
		case step.PrefillTokens > 0:
			p = &s.Prefill
		}
		p.Joules += c.Joules(step.StartNS, step.EndNS)
		p.Duration += step.Duration()
		p.Tokens += int64(step.PrefillTokens + step.DecodeTokens)
		if p != last {
			p.Stretches++
			last = p
		}
	}
	s.Other.Joules = c.Joules(w.Start, w.End) - s.Prefill.Joules - s.Decode.Joules
	s.Other.Duration = w.Duration() - s.Prefill.Duration - s.Decode.Duration
	resolution := c.Quality(w).Resolution()
	for name, p := range map[string]*Phase{"prefill": &s.Prefill, "decode": &s.Decode} {
		if p.Stretches > 0 && p.Duration/time.Duration(p.Stretches) < resolution {
			return Split{}, fmt.Errorf("%s lasts %v at a time, but the power sensor (%s) resolves %v: not measurable with the simple method; "+
				"use longer prompts, longer outputs or a larger batch", name,
				(p.Duration / time.Duration(p.Stretches)).Round(10*time.Microsecond), c.source, resolution.Round(time.Millisecond))
		}
	}
	c.bound(&s, w)
	return s, nil
}

// bound sets how far the sensor's resolution may have moved energy between
// phases: at each phase change at most the resolution times the swing of power.
func (c *Curve) bound(s *Split, w Window) {
	low, high := c.extremes(w)
	changes := s.Prefill.Stretches + s.Decode.Stretches
	moved := float64(changes) * c.Quality(w).Resolution().Seconds() * (high - low)
	total := s.Sum()
	for _, p := range []*Phase{&s.Prefill, &s.Decode, &s.Other} {
		p.Low, p.High = max(0, p.Joules-moved), min(max(total, p.Joules), p.Joules+moved)
	}
}
