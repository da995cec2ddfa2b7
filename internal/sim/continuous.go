package sim

import (
	"context"
	"math"
	"time"

	"github.com/llenergymeasure/llem/backend"
)

// Arrivals describe when requests arrive in continuous batching. The zero value means all at once.
type Arrivals struct {
	// Clients is the number of requests at the start; each answer is followed by another request.
	Clients int
	// Rate is the mean number of requests per second of a Poisson process.
	Rate float64
}

// sequence is a request in the engine.
type sequence struct {
	prompt  backend.Prompt
	request backend.Request
	wanted  int // output tokens
	done    int // prompt tokens that have been computed
}

// prefilled reports whether the whole prompt has been computed.
func (s *sequence) prefilled() bool { return s.done == len(s.prompt.Tokens) }

// held returns the length of its KV cache.
func (s *sequence) held() int64 {
	return int64(s.done + max(0, len(s.request.TokenNS)-1))
}

// queue is the state of continuous batching.
type queue struct {
	waiting []*sequence // in the order of their arrival, which is SubmittedNS
	later   []*sequence // closed loop: not yet sent
	running []*sequence
}

// continuous runs requests as they arrive, round by round.
func (e *Engine) continuous(ctx context.Context, w backend.Workload, log *backend.Log) error {
	whole := w
	for _, round := range whole.Rounds() {
		w.Requests = round
		w.Progress = nil
		if whole.Progress != nil {
			before := len(log.Requests)
			w.Progress = func(done, _ int) { whole.Progress(before+done, len(whole.Requests)) }
		}
		requests, err := e.together(ctx, w, log)
		if err != nil {
			return err
		}
		log.Requests = append(log.Requests, requests...)
	}
	return nil
}

// together runs the requests of one round.
func (e *Engine) together(ctx context.Context, w backend.Workload, log *backend.Log) ([]backend.Request, error) {
	q := e.arrive(w)
	place := make(map[int]int, len(w.Requests))
	for i, p := range w.Requests {
		place[p.ID] = i
	}
	requests := make([]backend.Request, len(w.Requests))
	for done := 0; done < len(w.Requests); {
		if err := e.admit(ctx, q); err != nil {
			return nil, err
		}
		if err := e.iterate(ctx, q, log); err != nil {
			return nil, err
		}
		left := q.running[:0]
		for _, s := range q.running {
			if len(s.request.TokenNS) < s.wanted {
				left = append(left, s)
				continue
			}
			complete(&s.request)
			requests[place[s.prompt.ID]] = s.request
			done++
			if len(q.later) > 0 {
				next := q.later[0]
				q.later = q.later[1:]
				next.request.ArrivedNS, next.request.SubmittedNS = s.request.EndNS, s.request.EndNS
				q.waiting = append(q.waiting, next)
			}
		}
		q.running = left
		if w.Progress != nil {
			w.Progress(done, len(w.Requests))
		}
	}
	return requests, nil
}

// arrive returns the arrival times of the requests.
func (e *Engine) arrive(w backend.Workload) *queue {
	q, at := &queue{}, e.now()
	began := at
	a := e.opts.Arrivals
	for i, p := range w.Requests {
		vary := e.opts.OutputVary * (2*uniform(e.opts.Seed, ringNoise+300, int64(i)) - 1)
		s := &sequence{prompt: p, wanted: max(1, int(math.Round(float64(w.Asked(p))*(1+vary))))}
		s.request = backend.Request{ID: p.ID, PromptTokens: len(p.Tokens), PromptComputed: len(p.Tokens)}
		if a.Clients > 0 && i >= a.Clients {
			q.later = append(q.later, s)
			continue
		}
		if w.Open {
			at = began + p.DueNS
		} else if a.Rate > 0 {
			gap := -math.Log(uniform(e.opts.Seed, ringNoise+301, int64(i))) / a.Rate
			at += int64(gap * float64(time.Second))
		}
		s.request.ArrivedNS, s.request.SubmittedNS = at, at
		q.waiting = append(q.waiting, s)
	}
	return q
}

// admit adds the requests that have arrived; if there is no work, it waits for the next request.
func (e *Engine) admit(ctx context.Context, q *queue) error {
	for {
		now := e.now()
		for len(q.waiting) > 0 && len(q.running) < e.opts.BatchSize && q.waiting[0].request.SubmittedNS <= now {
			q.running = append(q.running, q.waiting[0])
			q.waiting = q.waiting[1:]
		}
		if len(q.running) > 0 {
			return nil
		}
		if err := e.rest(ctx, time.Duration(q.waiting[0].request.SubmittedNS-now)); err != nil {
			return err
		}
	}
}

// iterate runs one step: a token for every decoding sequence, and prompt tokens for the others within the
// budget.
func (e *Engine) iterate(ctx context.Context, q *queue, log *backend.Log) error {
	var w work
	var held int64
	var decoding, finishing, starting []*sequence
	for _, s := range q.running {
		if s.prefilled() && len(s.request.TokenNS) > 0 {
			w.output++
			w.context += float64(s.held() + 1)
			held += s.held() + 1
			decoding = append(decoding, s)
		}
	}
	sequences := len(decoding)
	for _, s := range q.running {
		left := len(s.prompt.Tokens) - s.done
		chunk := min(left, e.opts.ChunkTokens-w.output-w.prompt)
		if left == 0 || chunk <= 0 {
			continue
		}
		if s.done == 0 {
			starting = append(starting, s)
		}
		w.pairs += float64(chunk)*float64(s.done) + float64(chunk)*float64(chunk)/2
		w.prompt += chunk
		s.done += chunk
		held += int64(s.done)
		sequences++
		if s.prefilled() {
			finishing = append(finishing, s)
		}
	}
	step, err := e.step(ctx, w, sequences, held, log)
	if err != nil {
		return err
	}
	for _, s := range starting {
		s.request.StartedNS, s.request.PrefillStartNS = step.StartNS, step.StartNS
	}
	for _, s := range append(decoding, finishing...) {
		s.request.Output = append(s.request.Output, e.token(s.prompt, len(s.request.TokenNS)))
		s.request.TokenNS = append(s.request.TokenNS, step.EndNS)
	}
	return nil
}
