package sim

import (
	"math"
	"time"

	"github.com/llenergymeasure/llem/internal/digits"
)

// Model gives the duration and energy of a step. A step's energy is
//
//	StaticW·Δt + WeightsJ + PrefillJ·p + AttentionJ·(Σ p·past + p²/2) + DecodeJ·d + CacheJ·context
//
// for p prompt tokens, d decoded tokens and the context that decoding reads; its duration Δt has the same
// terms (see Times). The fields after the blank line make the truth more complex than any estimator's model
// of it.
type Model struct {
	BareW float64 // before a model is loaded
	IdleW float64 // with the model loaded, between steps

	StaticW    float64 // while a step runs
	WeightsJ   float64 // per step
	PrefillJ   float64 // per prompt token
	AttentionJ float64 // per pair of tokens in the attention over prompts
	DecodeJ    float64 // per decoded token
	CacheJ     float64 // per KV cache entry read by decoding

	Time Times

	// Ripple is the relative amplitude of a square wave within each step, with a
	// period of about RipplePeriod.
	Ripple       float64
	RipplePeriod time.Duration
	// Rise is the time constant with which power follows the load; 0 means at once.
	Rise time.Duration
	// Noise is an AR(1) process of the true power under load: the relative standard deviation over blocks of
	// NoiseBlock, with correlation NoiseRho between consecutive blocks.
	Noise      float64
	NoiseBlock time.Duration
	NoiseRho   float64
	// Drift is the relative change of the power under load per minute.
	Drift float64
	// Load is the time to load the model.
	Load time.Duration
}

// Times are the terms of a step's duration, in seconds. They add up; with Roofline, only the longer of
// reading the weights and computing the tokens counts.
type Times struct {
	Weights   float64 // per step
	Prefill   float64 // per prompt token
	Attention float64 // per pair
	Decode    float64 // per decoded token
	Cache     float64 // per KV cache entry
	Roofline  bool
}

// work is the work of one step.
type work struct {
	prompt, output int
	pairs          float64 // Σ p·past + p²/2
	context        float64 // KV cache entries that decoding reads
}

// plan is a step before it runs.
type plan struct {
	duration         time.Duration
	joules           float64 // of the step
	prefill, decode  float64 // joules that only one phase causes
	prompts, outputs bool
}

// plan computes a step.
func (m *Model) plan(w work) plan {
	o := plan{prompts: w.prompt > 0, outputs: w.output > 0}
	o.duration, o.joules = m.cost(w)
	if o.prompts && o.outputs {
		// The energy that a phase causes is what the step would save without it.
		_, alone := m.cost(work{output: w.output, context: w.context})
		o.prefill = o.joules - alone
		_, alone = m.cost(work{prompt: w.prompt, pairs: w.pairs})
		o.decode = o.joules - alone
	}
	return o
}

// cost returns the time and energy of a step.
func (m *Model) cost(w work) (time.Duration, float64) {
	p, d := float64(w.prompt), float64(w.output)
	compute := m.Time.Prefill*p + m.Time.Decode*d
	s := m.Time.Weights + compute
	if m.Time.Roofline {
		s = max(m.Time.Weights, compute)
	}
	s += m.Time.Attention*w.pairs + m.Time.Cache*w.context
	joules := m.StaticW*s + m.WeightsJ + m.PrefillJ*p + m.AttentionJ*w.pairs + m.DecodeJ*d + m.CacheJ*w.context
	return digits.Duration(s), joules
}

// block is constant load for a while, with its target power.
type block struct {
	start  int64
	target float64
	from   float64 // true power at its start
}

// source converts load to segments of true power. It belongs to the engine's goroutine.
type source struct {
	file   *File
	model  *Model
	scale  []float64 // per GPU; 0 leaves the GPU unchanged
	seed   uint64
	epoch  int64 // from which drift counts
	noise  float64
	blocks int64 // of noise so far
	last   []block
	// caused is the energy of the load since the last step began, as far as it is planned, and planned is how
	// far that is.
	caused  float64
	planned int64
}

// newSource starts with all GPUs at some power.
func newSource(f *File, m *Model, scale []float64, seed uint64, now int64, watts float64) *source {
	return &source{file: f, model: m, scale: scale, seed: seed, epoch: now,
		last: []block{{start: now, target: watts, from: watts}}}
}

// level returns the true power at t while it approaches the targets of the latest load.
func (s *source) level(t int64) float64 {
	b := s.last[0]
	for _, next := range s.last[1:] {
		if next.start > t {
			break
		}
		b = next
	}
	return b.target + (b.from-b.target)*s.decay(t-b.start)
}

func (s *source) decay(ns int64) float64 {
	if s.model.Rise <= 0 {
		return 0
	}
	return math.Exp(-float64(max(ns, 0)) / float64(s.model.Rise))
}

// idle ends the load at now, at some power.
func (s *source) idle(now int64, watts float64) {
	s.put(now, 0, func(int) float64 { return watts }, 1)
}

// step distributes a step's energy over its time from now on.
func (s *source) step(now int64, p plan) {
	mean := p.joules / p.duration.Seconds()
	mean *= 1 + s.model.Drift*digits.Seconds(now-s.epoch)/60
	n, half := s.divide(p.duration)
	s.put(now, p.duration, func(i int) float64 {
		w := mean
		if half > 0 {
			if i/half%2 == 0 {
				w *= 1 + s.model.Ripple
			} else {
				w *= 1 - s.model.Ripple
			}
		}
		return w * (1 + s.wander())
	}, n)
}

// divide returns the number of equal blocks of a step, and how many of them make half a period of the ripple.
func (s *source) divide(d time.Duration) (n, half int) {
	n = 1
	if s.model.Noise > 0 && s.model.NoiseBlock > 0 {
		n = int(max(1, (d+s.model.NoiseBlock/2)/s.model.NoiseBlock))
	}
	if s.model.Ripple > 0 && s.model.RipplePeriod > 0 {
		// A whole number of periods preserves the step's mean.
		periods := int(max(1, (d+s.model.RipplePeriod/2)/s.model.RipplePeriod))
		half = max(1, (n+periods)/(2*periods))
		n = 2 * periods * half
	}
	return min(n, 4096), half
}

// wander returns the next value of the AR(1) noise.
func (s *source) wander() float64 {
	if s.model.Noise <= 0 {
		return 0
	}
	rho := s.model.NoiseRho
	s.noise = rho*s.noise + s.model.Noise*math.Sqrt(1-rho*rho)*normal(s.seed, ringNoise+100, s.blocks)
	s.blocks++
	return max(s.noise, -0.9)
}

// settled is the number of time constants after which power has reached its target, and pieces the number of
// segments per time constant before that. A block without end may end at any time, while a segment only has the right
// energy as a whole: the first one is briefest, in nanoseconds, and each is twice as long as the one before.
const (
	settled  = 6
	pieces   = 4
	briefest = 20_000
)

// put adds n blocks from now on. A duration of zero is one block without end.
func (s *source) put(now int64, d time.Duration, target func(i int) float64, n int) {
	level := s.level(now)
	s.last = s.last[:0]
	s.caused, s.planned = 0, now+int64(d)
	for i := range n {
		b := block{start: now + int64(d)*int64(i)/int64(n), target: target(i), from: level}
		end := int64(math.MaxInt64)
		if i+1 < n {
			end = now + int64(d)*int64(i+1)/int64(n)
		}
		s.last = append(s.last, b)
		s.caused += b.target * digits.Seconds(now+int64(d)*int64(i+1)/int64(n)-b.start)
		s.segments(b, end)
		level = b.target + (b.from-b.target)*s.decay(end-b.start)
	}
}

// joules returns the energy of the load from the last step's start to end on all GPUs, whenever power follows
// it.
func (s *source) joules(end int64) float64 {
	e := s.caused + s.last[len(s.last)-1].target*digits.Seconds(end-s.planned)
	sum := 0.0
	for _, scale := range s.scale {
		sum += e * scale
	}
	return sum
}

// segments writes a block as steps of constant power whose energies match the exponential.
func (s *source) segments(b block, end int64) {
	rise := int64(s.model.Rise)
	at := b.start
	if rise > 0 && math.Abs(b.from-b.target) > 1e-3*max(b.target, 1) {
		length := max(rise/pieces, 1)
		if end == math.MaxInt64 {
			length = briefest
		}
		for at < end && at < b.start+settled*rise {
			next := min(at+length, end)
			length = min(2*length, max(rise/pieces, 1))
			span := float64(next-at) / float64(rise)
			mean := (b.from - b.target) * (s.decay(at-b.start) - s.decay(next-b.start)) / span
			s.write(at, b.target+mean)
			at = next
		}
	}
	if at < end {
		s.write(at, b.target)
	}
}

func (s *source) write(at int64, watts float64) {
	for gpu, scale := range s.scale {
		if scale > 0 {
			s.file.Append(gpu, at, watts*scale)
		}
	}
}
