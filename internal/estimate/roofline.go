package estimate

import (
	"math"

	"github.com/llenergymeasure/llem/internal/shape"
	"github.com/llenergymeasure/llem/unit"
)

// The resources that can bound a step.
const (
	BoundCompute  = "compute"  // operations of the matrix units
	BoundMemory   = "memory"   // bytes
	BoundLaunches = "launches" // the host that launches kernels
)

// Phase is the time and energy of one kind of step, all devices together.
type Phase struct {
	Seconds float64
	Energy  unit.Energy
	Bound   string // the bound of most of it
}

// Watts returns the mean power.
func (p Phase) Watts() unit.Watts {
	if p.Seconds <= 0 {
		return 0
	}
	return unit.Watts(p.Energy.Joules() / p.Seconds)
}

func (p Phase) times(n float64) Phase {
	return Phase{p.Seconds * n, unit.FromJoules(p.Energy.Joules() * n), p.Bound}
}

func (p Phase) plus(q Phase) Phase {
	out := Phase{p.Seconds + q.Seconds, p.Energy + q.Energy, p.Bound}
	if q.Seconds > p.Seconds {
		out.Bound = q.Bound
	}
	return out
}

// step is one pass through the layers on one device.
type step struct {
	flops  float64
	bytes  float64 // weights and cache, moved while matrices are multiplied
	extra  float64 // bytes of separate kernels before and after
	tokens float64
}

// cost returns the duration of a step and the energy that all devices use in it.
//
//	seconds = max(max(flops/peak, bytes/bandwidth) + extra/bandwidth, launches)
//	watts   = resident + (TDP − resident) · min(1, 0.8 · memory share + 1.1 · matrix share)
//
// A CPU alternates between moving and computing, and is busy all the time.
func (s Setup) cost(p profile, w step) Phase {
	d := s.Device
	rate, bandwidth := d.Rate(s.format())*matrixShare, d.Bandwidth*bandwidthShare
	if d.Host {
		rate, bandwidth = d.Rate(s.format()), d.Bandwidth
	}
	matrix, moving, extra := w.flops/rate, w.bytes/bandwidth, w.extra/bandwidth
	busy := max(matrix, moving) + extra
	if d.Host {
		busy = matrix + moving
	}
	if n := s.parallel(); n > 1 {
		// Every device sends 2·(n−1)/n of a row of hidden, twice a layer.
		row := float64(s.Model.Hidden) * float64(s.element()) * w.tokens
		busy += 2 * float64(s.Model.Layers) * (linkLatency + 2*row*float64(n-1)/float64(n)/linkBandwidth)
	}
	host := p.step + p.launch*kernels(s.Model, s.Attention)
	if d.Host {
		host = 0
	}
	out := Phase{Seconds: max(busy, host), Bound: BoundCompute}
	switch {
	case host > busy:
		out.Bound = BoundLaunches
	case moving+extra > matrix:
		out.Bound = BoundMemory
	}
	watts := float64(d.TDP)
	if !d.Host {
		share := (memoryDraw*(moving+extra) + matrixDraw*matrix) / out.Seconds
		low := float64(s.Resident())
		watts = low + (float64(d.TDP)-low)*min(1, share)
	}
	out.Energy = unit.FromJoules(watts * out.Seconds * float64(s.parallel()))
	if n := s.devices() - s.parallel(); n > 0 { // the other stages wait
		out.Energy += unit.FromJoules(float64(s.Resident()) * out.Seconds * float64(n))
	}
	return out
}

// Resident returns the idle power of one device with the engine loaded.
func (s Setup) Resident() unit.Watts {
	if s.Device.Host {
		return s.Device.Idle
	}
	return s.Device.Idle + contextShare*(s.Device.TDP-s.Device.Idle)
}

// batchCost returns prefill and decode of one batch of this many sequences.
func (s Setup) batchCost(sequences int) (prefill, decode Phase) {
	c, w, p := s.Model, s.Work, s.engine()
	n, parts := float64(sequences), float64(s.parallel())
	e := float64(s.element())
	elements := p.elementwise * elementBytes(c, e) * float64(c.Layers)

	one := c.FLOPs([]shape.Length{{Prompt: w.Input, Output: 1}})
	tokens := n * float64(w.Input)
	extra := elements * tokens
	if s.Attention == "eager" || s.materialised() {
		// Written and read by about eight kernels, half of them in float32.
		extra += 30 * n * float64(s.Model.Heads) * math.Pow(float64(w.Input), 2) * float64(c.Layers)
	}
	prefill = s.cost(p, step{
		flops: n * one.Prefill / parts, bytes: s.readBytes(tokens), extra: extra / parts, tokens: tokens,
	})

	steps := w.Output - 1
	if steps < 1 {
		return prefill, Phase{}
	}
	all := c.FLOPs([]shape.Length{{Prompt: w.Input, Output: w.Output}}).Decode
	// The cost is piecewise linear in the context: a few points give the mean.
	points := min(steps, 16)
	for i := range points {
		context := float64(w.Input) + (float64(i)+0.5)/float64(points)*float64(steps)
		cache := float64(s.cache(int64(sequences), int64(context)))
		decode = decode.plus(s.cost(p, step{
			flops: n * all / float64(steps) / parts, bytes: s.readBytes(n) + p.cacheMoves*cache,
			extra: elements * n / parts, tokens: n,
		}).times(float64(steps) / float64(points)))
	}
	return prefill, decode
}

// readBytes returns the weights that a step of this many tokens reads on one device: all except an embedding that
// is only looked up, a vision tower, and experts that no token visits.
func (s Setup) readBytes(tokens float64) float64 {
	c, all := s.Model, float64(s.weights())
	p, experts := c.Parameters(), float64(c.Count(shape.Expert))
	lookup, expertBytes := 0.0, experts/float64(p.Total)*all
	if c.Count(shape.Head) > 0 {
		lookup = float64(s.split(c.Count(shape.Embedding) * s.element()))
	}
	if s.Stored.All > 0 {
		expertBytes = float64(s.split(s.Stored.Experts))
		if c.Count(shape.Head) > 0 {
			lookup = float64(s.split(s.Stored.Lookup))
		}
	}
	all -= lookup + float64(s.split(p.Vision*s.element()))
	if experts > 0 {
		visited := 1 - math.Pow(1-c.ExpertShare(), tokens)
		all -= expertBytes * (1 - visited)
	}
	return max(all, 0)
}

// once returns the cost of running the workload one time: full batches and a smaller last one.
func (s Setup) once() (prefill, decode Phase) {
	batch := s.batch()
	prefill, decode = s.batchCost(batch)
	full := float64(s.Work.Prompts / batch)
	prefill, decode = prefill.times(full), decode.times(full)
	if rest := s.Work.Prompts % batch; rest > 0 {
		p, d := s.batchCost(rest)
		prefill, decode = prefill.plus(p), decode.plus(d)
	}
	return prefill, decode
}
