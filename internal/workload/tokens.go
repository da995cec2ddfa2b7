package workload

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
)

// Request is one prompt as an engine receives it. Tokens is shared, not copied: treat it as read only.
type Request struct {
	ID     int // index in its list, from 0
	Tokens []int32
	Task   string // kind of task; empty if unknown

	// Output is the number of output tokens of this request; 0 takes the workload's.
	Output int
	// DueNS is when a recorded request is due, in nanoseconds after the start of the trace.
	DueNS int64
	// After is the ID of the request that this one continues, which is before it in the list; nil for none. Tokens then
	// follow that request's prompt and output, WaitNS after its end at the earliest.
	After  *int
	WaitNS int64
}

// Vocab defines the token ids that a synthetic prompt may hold: all below Size that are not in Special.
type Vocab struct {
	Size    int     // ids the tokenizer knows; padding rows of the embedding do not count
	Special []int32 // begin, end, padding, control and other added tokens, in any order
}

// ordinary lists the usable ids in ascending order.
func (v Vocab) ordinary() []int32 {
	special := make(map[int32]bool, len(v.Special))
	for _, id := range v.Special {
		special[id] = true
	}
	ids := make([]int32, 0, v.Size)
	for id := range int32(v.Size) {
		if !special[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

// Synthetic returns n requests of exactly inputTokens ids each, drawn uniformly from the ordinary ids of vocab. No
// two are equal. Request i depends on seed, i and vocab, but not on n, so a longer list starts with a shorter one.
// The ids are the same on every machine.
//
// For a dense model random ids cost the same as text of that length. They share no prefixes, so a prefix cache
// never helps, and a mixture-of-experts model may route them differently from text.
func Synthetic(n, inputTokens int, vocab Vocab, seed uint64) ([]Request, error) {
	const maxVocab = 1 << 24 // far above any tokenizer
	if n < 1 || inputTokens < 1 || vocab.Size < 1 || vocab.Size > maxVocab {
		return nil, fmt.Errorf(
			"synthetic workload of %d prompts with %d tokens from a vocabulary of %d: each must be at least 1 and "+
				"the vocabulary at most %d",
			n, inputTokens, vocab.Size, maxVocab)
	}
	ids := vocab.ordinary()
	if !enough(n, inputTokens, len(ids)) {
		return nil, fmt.Errorf(
			"synthetic workload: %d ordinary token ids cannot make %d different prompts of %d tokens: raise the "+
				"input tokens or lower the number of prompts",
			len(ids), n, inputTokens)
	}
	reqs := make([]Request, n)
	seen := make(map[[sha256.Size]byte]bool, n)
	for i := range reqs {
		src := rand.NewPCG(seed, uint64(i))
		tokens := make([]int32, inputTokens)
		for again := true; again; {
			draw(tokens, ids, src)
			key := sha256.Sum256(appendTokens(nil, tokens))
			again = seen[key]
			seen[key] = true
		}
		reqs[i] = Request{ID: i, Tokens: tokens, Task: SyntheticSource}
	}
	return reqs, nil
}

// draw fills tokens from ids. The high half of a 64 x 64 bit product maps a random word onto [0, len(ids)) with a
// bias below 2⁻³⁴ and, unlike the methods of rand.Rand, is under our control and stable.
func draw(tokens, ids []int32, src *rand.PCG) {
	for i := range tokens {
		k, _ := bits.Mul64(src.Uint64(), uint64(len(ids)))
		tokens[i] = ids[k]
	}
}

// enough reports whether ids^length is at least n.
func enough(n, length, ids int) bool {
	if ids < 2 {
		return ids >= n
	}
	room := 1
	for range length {
		if room >= n {
			return true
		}
		hi, lo := bits.Mul64(uint64(room), uint64(ids))
		if hi > 0 || lo > uint64(n) {
			return true
		}
		room = int(lo)
	}
	return room >= n
}

// Truncate pairs each prompt with its token ids and keeps the first inputTokens of them; shorter prompts stay
// unchanged, and 0 keeps all. A prompt without tokens is an error: an engine would refuse it in the middle of a
// run.
func Truncate(prompts []Prompt, ids [][]int32, inputTokens int) ([]Request, error) {
	if len(prompts) != len(ids) {
		return nil, fmt.Errorf("truncate prompts: %d prompts but %d tokenizations", len(prompts), len(ids))
	}
	if inputTokens < 0 {
		return nil, fmt.Errorf("truncate prompts to %d tokens: must not be negative", inputTokens)
	}
	reqs := make([]Request, len(prompts))
	for i, p := range prompts {
		tokens := ids[i]
		if len(tokens) == 0 {
			return nil, fmt.Errorf(
				"%s: the tokenizer makes no tokens of prompt %s: remove it, or check that the tokenizer "+
					"fits the model", p.Origin, p.ID)
		}
		if inputTokens > 0 && len(tokens) > inputTokens {
			tokens = slices.Clip(tokens[:inputTokens])
		}
		reqs[i] = Request{ID: i, Tokens: tokens, Task: p.Task}
	}
	return reqs, nil
}

// Hash identifies the work of reqs: the SHA-256, in hexadecimal, of the number of requests and of each one's
// length and ids, in order (little endian, 64 bits per number, 32 per id); with its output, if it has its own, and the
// request that it continues, by its distance in the list. Task labels and times do not count.
func Hash(reqs []Request) string {
	h := sha256.New()
	buf := binary.LittleEndian.AppendUint64(nil, uint64(len(reqs)))
	for _, r := range reqs {
		buf = binary.LittleEndian.AppendUint64(buf, uint64(len(r.Tokens)))
		buf = appendTokens(buf, r.Tokens)
		if r.Output > 0 || r.After != nil {
			before := uint64(0)
			if r.After != nil {
				before = uint64(r.ID - *r.After)
			}
			buf = binary.LittleEndian.AppendUint64(buf, uint64(r.Output))
			buf = binary.LittleEndian.AppendUint64(buf, before)
		}
		h.Write(buf) // never fails
		buf = buf[:0]
	}
	h.Write(buf)
	return hex.EncodeToString(h.Sum(nil))
}

func appendTokens(buf []byte, tokens []int32) []byte {
	for _, id := range tokens {
		buf = binary.LittleEndian.AppendUint32(buf, uint32(id))
	}
	return buf
}
