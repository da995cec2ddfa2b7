package sim

import "slices"

// prefixBlock is the number of tokens in a block of the simulated prefix cache: whole blocks are shared.
const prefixBlock = 16

// blocks is a prefix cache: the blocks that hold a result, each by all tokens up to its end. It has room for
// everything.
type blocks map[uint64]bool

// chain is the end of a sequence of whole blocks.
type chain struct {
	sum    uint64
	tokens int
}

// next returns the chain with one more block.
func (c chain) next(block []int32) chain {
	const prime = 1099511628211 // of FNV-1a
	sum := c.sum ^ 14695981039346656037
	for _, id := range block {
		for shift := 0; shift < 32; shift += 8 {
			sum = (sum ^ uint64(uint32(id)>>shift&0xff)) * prime
		}
	}
	return chain{sum, c.tokens + len(block)}
}

// find follows a prompt through the cache and returns how many of its tokens are there. The last token is always
// computed: the first output token follows from it.
func (c *chain) find(have blocks, prompt []int32) int {
	for c.tokens+prefixBlock < len(prompt) {
		next := c.next(prompt[c.tokens : c.tokens+prefixBlock])
		if !have[next.sum] {
			break
		}
		*c = next
	}
	return c.tokens
}

// keep adds the blocks of a sequence that have become whole. The last output token is not in the KV cache yet.
func (c *chain) keep(have blocks, prompt, output []int32) {
	held := len(prompt) + max(0, len(output)-1)
	for c.tokens+prefixBlock <= held {
		end := c.tokens + prefixBlock
		block := slices.Concat(prompt[min(c.tokens, len(prompt)):min(end, len(prompt))],
			output[max(0, c.tokens-len(prompt)):max(0, end-len(prompt))])
		*c = c.next(block)
		have[c.sum] = true
	}
}
