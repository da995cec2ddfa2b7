package backend

import (
	"slices"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Asked returns the number of output tokens of a request.
func (w Workload) Asked(p Prompt) int {
	if p.Output > 0 {
		return p.Output
	}
	return w.OutputTokens
}

// Rounds returns the requests grouped as the engine receives them, one round after the other.
func (w Workload) Rounds() [][]Prompt {
	if w.Round <= 0 || w.Round >= len(w.Requests) {
		return [][]Prompt{w.Requests}
	}
	return slices.Collect(slices.Chunk(w.Requests, w.Round))
}

// Batches returns static batches of at most size requests. No batch holds requests of two rounds.
func (w Workload) Batches(size int) [][]Prompt {
	var out [][]Prompt
	for _, round := range w.Rounds() {
		out = slices.AppendSeq(out, slices.Chunk(round, size))
	}
	return out
}

// Check refuses work that an engine would refuse in the middle of the run, or do in part: requests longer than the
// context it was started for, or with ids outside its vocabulary (0: unknown).
func (w Workload) Check(maxContext, vocab int) error {
	if w.OutputTokens < 1 {
		return note.Failf(codes.ClassConfig, "set workload.output_tokens to 1 or more", "no output tokens asked for")
	}
	for _, p := range w.Requests {
		if len(p.Tokens) == 0 {
			return note.Failf(codes.ClassConfig, "remove the empty prompt", "prompt %d has no tokens", p.ID)
		}
		if n := len(p.Tokens) + w.Asked(p); n > maxContext {
			return note.Failf(codes.ClassKVTooSmall, "use shorter prompts or fewer output tokens",
				"prompt %d needs a context of %d tokens, but the engine was started with %d", p.ID, n, maxContext)
		}
		for _, id := range p.Tokens {
			if id < 0 || vocab > 0 && int(id) >= vocab {
				return note.Failf(codes.ClassConfig, "use the tokenizer of this model",
					"prompt %d contains token id %d, outside the vocabulary of %d", p.ID, id, vocab)
			}
		}
	}
	return nil
}
