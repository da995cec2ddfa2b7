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
	// Stretches counts uninterrupted runs of steps of this kind; Shortest is the
	// shortest of them.
	Stretches int
	Shortest  time.Duration
	current   time.Duration
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
			last.close()
			p.Stretches++
			last = p
		}
		p.current += step.Duration()
	}
	last.close()
	s.Other.Joules = c.Joules(w.Start, w.End) - s.Prefill.Joules - s.Decode.Joules
	s.Other.Duration = w.Duration() - s.Prefill.Duration - s.Decode.Duration
	if err := c.refuse(&s, w); err != nil {
		return Split{}, err
	}
	return s, nil
}

// close ends a stretch.
func (p *Phase) close() {
	if p == nil || p.current == 0 {
		return
	}
	if p.Shortest == 0 || p.current < p.Shortest {
		p.Shortest = p.current
	}
	p.current = 0
}

// maxMoved is the part of a phase's energy that the sensor's resolution may have
// moved before the split is refused.
const maxMoved = 0.5

// refuse bounds the phases and says why a split cannot be defended.
func (c *Curve) refuse(s *Split, w Window) error {
	resolution := c.Quality(w).Resolution()
	moved := c.bound(s, w)
	for _, q := range []struct {
		name string
		p    Phase
	}{{"prefill", s.Prefill}, {"decode", s.Decode}} {
		switch {
		case q.p.Stretches == 0:
		case q.p.Shortest < resolution:
			return fmt.Errorf("%s lasts %.3g ms at a time, but the power sensor (%s) resolves %.3g ms: not measurable with the simple method; "+
				"use longer prompts, longer outputs or a larger batch", q.name, 1e3*q.p.Shortest.Seconds(), c.source, 1e3*resolution.Seconds())
		case moved > maxMoved*q.p.Joules:
			return fmt.Errorf("the resolution of the power sensor (%s, %.3g ms) may have moved %.3g J between the phases, more than half of the %.3g J of %s: "+
				"not measurable with the simple method; use longer prompts, longer outputs or a larger batch",
				c.source, 1e3*resolution.Seconds(), moved, q.p.Joules, q.name)
		}
	}
	return nil
}

// bound sets how far the sensor's resolution may have moved energy between
// phases: for each stretch at most the resolution times the swing of power. It
// returns that energy.
func (c *Curve) bound(s *Split, w Window) float64 {
	low, high := c.extremes(w)
	changes := s.Prefill.Stretches + s.Decode.Stretches
	moved := float64(changes) * c.Quality(w).Resolution().Seconds() * (high - low)
	total := s.Sum()
	for _, p := range []*Phase{&s.Prefill, &s.Decode, &s.Other} {
		p.Low, p.High = max(0, p.Joules-moved), min(max(total, p.Joules), p.Joules+moved)
	}
	return moved
}
