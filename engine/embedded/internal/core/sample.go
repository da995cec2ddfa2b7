package core

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/llenergymeasure/llem/backend"
)

// Sampler chooses the tokens of one sequence from logits. Its choice depends only on the seed and the id of the
// request, not on the other sequences of the batch.
type Sampler struct {
	decoding backend.Decoding
	random   *rand.Rand
	ids      []int32
	weights  []float64
}

// NewSampler returns the sampler of a request. Temperature 0 takes the most likely token.
func NewSampler(spec backend.Spec, request int) *Sampler {
	return &Sampler{decoding: spec.Decoding, random: rand.New(rand.NewPCG(spec.SampleSeed(), uint64(request)))}
}

// Choose returns a token.
func (s *Sampler) Choose(logits []float32) int32 {
	if s.decoding.Temperature == 0 {
		return most(logits)
	}
	s.candidates(logits)
	top := float64(logits[s.ids[0]])
	total := 0.0
	s.weights = s.weights[:0]
	for _, id := range s.ids {
		w := math.Exp((float64(logits[id]) - top) / s.decoding.Temperature)
		s.weights = append(s.weights, w)
		total += w
	}
	if p := s.decoding.TopP; p > 0 && p < 1 {
		kept := 0.0
		for i, w := range s.weights {
			if kept += w; kept >= p*total {
				s.weights, total = s.weights[:i+1], kept
				break
			}
		}
	}
	at := s.random.Float64() * total
	for i, w := range s.weights {
		if at -= w; at < 0 {
			return s.ids[i]
		}
	}
	return s.ids[len(s.weights)-1]
}

// candidates collects the ids to choose from, the most likely first. They are sorted only if a bound needs it.
func (s *Sampler) candidates(logits []float32) {
	s.ids = s.ids[:0]
	for id := range logits {
		s.ids = append(s.ids, int32(id))
	}
	d := s.decoding
	if d.TopK == 0 && (d.TopP == 0 || d.TopP == 1) {
		best := most(logits)
		s.ids[0], s.ids[best] = s.ids[best], s.ids[0]
		return
	}
	slices.SortStableFunc(s.ids, func(a, b int32) int { return cmp.Compare(logits[b], logits[a]) })
	if d.TopK > 0 && d.TopK < len(s.ids) {
		s.ids = s.ids[:d.TopK]
	}
}

// most returns the index of the largest logit, the first of equals.
func most(logits []float32) int32 {
	best := 0
	for i, v := range logits {
		if v > logits[best] {
			best = i
		}
	}
	return int32(best)
}
