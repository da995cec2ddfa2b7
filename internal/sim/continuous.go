package sim

import (
	"context"
	"math"
	"time"

	"github.com/llenergymeasure/llem/backend"
)

// continuous runs requests as they arrive, round by round. An open loop is one round: its requests have times of their
// own.
func (e *Engine) continuous(ctx context.Context, w backend.Workload, log *backend.Log) error {
	whole := w
	if w.Open {
		whole.Round = 0
	}
	for _, round := range whole.Rounds() {
		w.Requests = round
		before := len(log.Requests)
		w.Progress = func(done, _ int) {
			if whole.Progress != nil {
				whole.Progress(before+done, len(whole.Requests))
			}
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
	began := e.now()
	if w.Open {
		began = log.StartNS
	}
	q := e.arrive(w, began)
	place := make(map[int]int, len(w.Requests))
	for i, p := range w.Requests {
		place[p.ID] = i
	}
	requests := make([]backend.Request, len(w.Requests))
	for done := 0; done < len(w.Requests); {
		over, err := e.admit(ctx, q, w, done)
		if err != nil {
			return nil, err
		}
		if over {
			for _, s := range q.cut(e.now()) {
				requests[place[s.prompt.ID]] = s.request
			}
			break
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
			q.end(s)
		}
		q.running = left
		w.Progress(done, len(w.Requests))
	}
	return requests, nil
}

// admit adds the requests that have arrived; if there is no work, it waits for the next request. It reports whether the
// time of an open loop is over.
func (e *Engine) admit(ctx context.Context, q *queue, w backend.Workload, done int) (over bool, err error) {
	limit := int64(math.MaxInt64)
	if w.DrainNS > 0 {
		limit = q.last + w.DrainNS
	}
	for woken := false; ; woken = true {
		now := e.now()
		if now >= limit {
			return true, nil
		}
		q.send(now, woken)
		for len(q.waiting) > 0 && len(q.running) < e.opts.BatchSize && q.waiting[0].request.SubmittedNS <= now {
			e.start(q.waiting[0])
			q.running = append(q.running, q.waiting[0])
			q.waiting = q.waiting[1:]
		}
		if len(q.running) > 0 {
			return false, nil
		}
		// Whoever waits for this engine hears of it.
		at := min(q.next(), limit, now+int64(beat))
		if err := e.rest(ctx, time.Duration(at-now)); err != nil {
			return false, err
		}
		w.Progress(done, len(w.Requests))
	}
}

// beat is how often an idle engine reports its progress.
const beat = time.Second

// start takes from the prefix cache what it has of a request.
func (e *Engine) start(s *sequence) {
	if e.opts.PrefixCache {
		s.done = s.prefix.find(e.cached, s.prompt.Tokens)
		s.request.PromptComputed -= s.done
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
		if !s.started {
			s.started = true
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
	if e.opts.PrefixCache {
		for _, s := range q.running {
			s.prefix.keep(e.cached, s.prompt.Tokens[:s.done], s.request.Output)
		}
	}
	return nil
}
