package trace

import (
	"math/bits"
	"math/rand/v2"
)

// Streams of the random numbers of blocks and of the rest of prompts.
const (
	blockStream = 0x626c6f636b
	restStream  = 0x72657374
)

// Prompt returns the token ids of request i, drawn from ids. Tokens of a block follow from the seed and the id of the
// block, and the rest of a prompt from the seed and i. The last block of a prompt may be partial: then it is the
// beginning of the block.
func (t *Trace) Prompt(i int, ids []int32, seed uint64) []int32 {
	q := t.Requests[i]
	out := make([]int32, 0, q.Input)
	for _, block := range q.Blocks {
		n := min(t.BlockTokens, q.Input-len(out))
		out = draw(out, n, ids, rand.NewPCG(seed^blockStream, uint64(block)))
	}
	return draw(out, q.Input-len(out), ids, rand.NewPCG(seed^restStream, uint64(i)))
}

// draw appends n token ids. The high half of a product maps a random word onto the ids.
func draw(out []int32, n int, ids []int32, src *rand.PCG) []int32 {
	for range n {
		k, _ := bits.Mul64(src.Uint64(), uint64(len(ids)))
		out = append(out, ids[k])
	}
	return out
}

// History returns how many tokens of the prompt of request i are the prompt and the answer of the turn before it; 0 if
// there is none, or its prompt is not longer than these.
func (t *Trace) History(i int) int {
	q := t.Requests[i]
	if q.Parent < 0 {
		return 0
	}
	if n := t.Requests[q.Parent].Input + t.Requests[q.Parent].Output; n < q.Input {
		return n
	}
	return 0
}

// Pause returns the time between the end of the answer before request i and that request, in nanoseconds: the recorded
// one, or if only starts were recorded the time between the starts, which includes the service then.
func (t *Trace) Pause(i int) int64 {
	q := t.Requests[i]
	if q.WaitNS >= 0 {
		return q.WaitNS
	}
	return q.AtNS - t.Requests[q.Parent].AtNS
}

// Due returns when request i is due at the earliest, in nanoseconds from the start: with gaps the time at which its
// conversation begins.
func (t *Trace) Due(i int) int64 {
	for t.Gaps && t.History(i) > 0 {
		i = t.Requests[i].Parent
	}
	return t.Requests[i].AtNS
}

// Lasts returns when the last request is due that waits for no other one, in nanoseconds from the start. After it
// remains the time for the turns that follow.
func (t *Trace) Lasts() (last, remains int64) {
	for i := range t.Requests {
		last = max(last, t.Due(i))
	}
	return last, t.Requests[len(t.Requests)-1].AtNS - last
}

// Longest returns the index of the request with the most tokens of prompt and answer together.
func (t *Trace) Longest() int {
	longest := 0
	for i, q := range t.Requests {
		if p := t.Requests[longest]; q.Input+q.Output > p.Input+p.Output {
			longest = i
		}
	}
	return longest
}

// Repeated returns the share of prompt tokens in blocks that an earlier request had at the same place, after equal
// blocks: what an endless prefix cache would save.
func (t *Trace) Repeated() float64 {
	seen := map[[2]uint64]bool{}
	total, repeated := 0, 0
	for _, q := range t.Requests {
		total += q.Input
		prefix, known := uint64(0), true
		for k, block := range q.Blocks {
			key := [2]uint64{prefix, uint64(block)}
			prefix = (prefix ^ uint64(block)) * 0x9e3779b97f4a7c15
			prefix ^= prefix >> 29
			prefix++
			if known = known && seen[key]; known {
				repeated += min(t.BlockTokens, q.Input-k*t.BlockTokens)
			}
			seen[key] = true
		}
	}
	if total == 0 {
		return 0
	}
	return float64(repeated) / float64(total)
}
