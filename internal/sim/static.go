package sim

import (
	"context"

	"github.com/llenergymeasure/llem/backend"
)

// static runs one batch after the other, round by round.
func (e *Engine) static(ctx context.Context, w backend.Workload, log *backend.Log) error {
	for _, prompts := range w.Batches(e.opts.BatchSize) {
		if err := e.batch(ctx, prompts, w.OutputTokens, log); err != nil {
			return err
		}
		if w.Progress != nil {
			w.Progress(len(log.Requests), len(w.Requests))
		}
		if err := e.rest(ctx, e.opts.BatchGap); err != nil {
			return err
		}
	}
	return nil
}

// batch prefills all prompts in one step and decodes them together.
func (e *Engine) batch(ctx context.Context, prompts []backend.Prompt, outputs int, log *backend.Log) error {
	n := len(prompts)
	requests := make([]backend.Request, n)
	first := work{}
	for i, p := range prompts {
		t := len(p.Tokens)
		requests[i] = backend.Request{ID: p.ID, PromptTokens: t, PromptComputed: t}
		first.prompt += t
		first.pairs += float64(t) * float64(t) / 2
	}
	submitted := int64(0)
	for k := range outputs {
		w, held := first, int64(first.prompt+k*n)
		if k > 0 {
			w = work{output: n, context: float64(held)}
		}
		step, err := e.step(ctx, w, n, held, log)
		if err != nil {
			return err
		}
		if k == 0 {
			submitted = step.StartNS
		}
		for i, p := range prompts {
			requests[i].TokenNS = append(requests[i].TokenNS, step.EndNS)
			requests[i].Output = append(requests[i].Output, e.token(p, k))
		}
	}
	for i := range requests {
		r := &requests[i]
		r.SubmittedNS, r.StartedNS, r.PrefillStartNS = submitted, submitted, submitted
		complete(r)
	}
	log.Requests = append(log.Requests, requests...)
	return nil
}

// complete sets what follows from the stamps of the tokens.
func complete(r *backend.Request) {
	n := len(r.TokenNS)
	r.FirstTokenNS, r.EndNS = r.TokenNS[0], r.TokenNS[n-1]
	r.OutputTokens, r.FinishReason, r.OK = n, "length", true
	// A logged stamp may be wrong: no request starts before it was sent.
	r.PrefillStartNS = max(r.PrefillStartNS, r.SubmittedNS)
	r.StartedNS = max(r.StartedNS, r.SubmittedNS)
}
