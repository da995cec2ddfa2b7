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
	// seen are the tokens of the sequence, for the penalty on repetition; nil without one.
	seen map[int32]bool
}

// NewSampler returns the sampler of a request. Temperature 0 takes the most likely token.
func NewSampler(spec backend.Spec, request backend.Prompt) *Sampler {
	s := &Sampler{decoding: spec.Decoding, random: rand.New(rand.NewPCG(spec.SampleSeed(), uint64(request.ID)))}
	if p := spec.Decoding.RepetitionPenalty; p > 0 && p != 1 {
		s.seen = make(map[int32]bool, len(request.Tokens))
		for _, id := range request.Tokens {
			s.seen[id] = true
		}
	}
	return s
}

// Choose returns a token. A penalty on repetition changes the logits.
func (s *Sampler) Choose(logits []float32) int32 {
	if s.seen == nil {
		return s.choose(logits)
	}
	s.penalise(logits)
	id := s.choose(logits)
	s.seen[id] = true
	return id
}

// penalise makes the tokens of the sequence less likely, or more with a penalty below 1, as Keskar et al. (2019) and
// after them transformers do: positive logits are divided by the penalty, and negative ones multiplied by it.
func (s *Sampler) penalise(logits []float32) {
	penalty := float32(s.decoding.RepetitionPenalty)
	for id := range s.seen {
		if int(id) >= len(logits) {
			continue
		}
		if logits[id] < 0 {
			logits[id] *= penalty
		} else {
			logits[id] /= penalty
		}
	}
}

// choose returns a token.
func (s *Sampler) choose(logits []float32) int32 {
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
	total = s.least(total)
	at := s.random.Float64() * total
	for i, w := range s.weights {
		if at -= w; at < 0 {
			return s.ids[i]
		}
	}
	return s.ids[len(s.weights)-1]
}

// least applies min_p: it drops the tokens whose probability is below that share of the likeliest token's, which is
// the first, and returns the total weight of the others.
func (s *Sampler) least(total float64) float64 {
	if s.decoding.MinP == 0 {
		return total
	}
	kept, all := 0, s.weights
	total = 0
	for i, w := range all {
		if w >= s.decoding.MinP*all[0] {
			s.ids[kept], all[kept] = s.ids[i], w
			total += w
			kept++
		}
	}
	s.weights = all[:kept]
	return total
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
