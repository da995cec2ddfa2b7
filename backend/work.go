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
// context it was started for, or with ids outside its vocabulary (0: unknown), and times or histories that cannot be.
func (w Workload) Check(maxContext, vocab int) error {
	if w.OutputTokens < 1 {
		return note.Failf(codes.ClassConfig, "set workload.output_tokens to 1 or more", "no output tokens asked for")
	}
	follows := slices.ContainsFunc(w.Requests, func(p Prompt) bool { return p.After != nil })
	lengths := map[int]int{} // of conversations so far
	for i, p := range w.Requests {
		if follows && !w.Open && w.Round > 0 && i%w.Round == 0 {
			clear(lengths)
		}
		if len(p.Tokens) == 0 {
			return note.Failf(codes.ClassConfig, "remove the empty prompt", "prompt %d has no tokens", p.ID)
		}
		if p.Output < 0 || p.DueNS < 0 || p.WaitNS < 0 {
			return note.Failf(codes.ClassConfig, "this is a bug in llem",
				"prompt %d has a negative output, time or pause", p.ID)
		}
		n := len(p.Tokens) + w.Asked(p)
		if p.After != nil {
			history, known := lengths[*p.After]
			if !known {
				return note.Failf(codes.ClassConfig, "this is a bug in llem",
					"prompt %d continues prompt %d, which is not before it in its round", p.ID, *p.After)
			}
			n += history
		}
		if follows {
			lengths[p.ID] = n
		}
		if n > maxContext {
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

// CheckTogether refuses work of an engine that receives all requests of a batch at once and computes as many tokens
// for each: arrivals, outputs of different lengths and conversations.
func (w Workload) CheckTogether() error {
	refuse := func(what string) error {
		return note.Failf(codes.ClassConfig, "use an engine that batches continuously",
			"the engine receives all requests of a batch at once: %s", what)
	}
	if w.Open {
		return refuse("they cannot arrive by themselves")
	}
	for _, p := range w.Requests {
		switch {
		case p.After != nil:
			return refuse("none can continue another one")
		case w.Asked(p) != w.OutputTokens:
			return refuse("they have outputs of one length")
		}
	}
	return nil
}
