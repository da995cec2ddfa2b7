package sim

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/backend"
)

// Arrivals describe when requests arrive in continuous batching, if the workload itself leaves that open. The zero
// value means all at once.
type Arrivals struct {
	// Clients is the number of requests at the start; each answer is followed by another request.
	Clients int
	// Rate is the mean number of requests per second of a Poisson process.
	Rate float64
}

// sequence is a request in the engine.
type sequence struct {
	prompt  backend.Prompt // with the whole history of its conversation
	request backend.Request
	at      int64 // when it can be sent, if known
	wanted  int   // output tokens
	done    int   // prompt tokens that are in the cache
	started bool
	prefix  chain // of what is in the cache
}

// prefilled reports whether the whole prompt has been computed.
func (s *sequence) prefilled() bool { return s.done == len(s.prompt.Tokens) }

// held returns the length of its KV cache.
func (s *sequence) held() int64 {
	return int64(s.done + max(0, len(s.request.TokenNS)-1))
}

// queue is the state of continuous batching. A request moves from left to right:
//
//	later ──answer before it──▶ due ──its time, and a slot──▶ waiting ──place──▶ running
type queue struct {
	open    bool
	last    int64               // the last time at which a request of an open loop is due
	later   map[int][]*sequence // wait for the end of the request with this ID
	due     []*sequence         // in the order in which they can be sent
	waiting []*sequence         // sent: in the order of SubmittedNS
	running []*sequence
	// slots are the times at which clients became free, if their number is bounded.
	slots   []int64
	bounded bool
}

// add places a request among the ones that are due, after all with the same time.
func (q *queue) add(s *sequence) {
	i, _ := slices.BinarySearchFunc(q.due, s.at, func(have *sequence, at int64) int {
		return cmp.Or(cmp.Compare(have.at, at), -1)
	})
	q.due = slices.Insert(q.due, i, s)
}

// send moves what is due at now, and for which a client is free, into the engine's queue. woken reports that the
// engine slept until now: a request that falls due within a step is in the queue at once, but one that ends a pause
// is there when the engine wakes up.
func (q *queue) send(now int64, woken bool) {
	for len(q.due) > 0 && q.due[0].at <= now && (!q.bounded || len(q.slots) > 0) {
		k := q.first(now)
		s := q.due[k]
		q.due = slices.Delete(q.due, k, k+1)
		at := s.at
		if q.bounded {
			at = max(at, q.slots[0])
			q.slots = q.slots[1:]
		}
		r := &s.request
		r.ArrivedNS, r.SubmittedNS = at, at
		if q.open {
			r.ArrivedNS, r.Capped = s.at, at > s.at
		}
		if q.open && woken {
			r.SubmittedNS = now
		}
		q.waiting = append(q.waiting, s)
	}
}

// first returns the index of the request that goes next: the first one that is due, or in a closed loop the first one
// that continues another, so that a client ends a conversation before it begins one.
func (q *queue) first(now int64) int {
	if q.open || !q.bounded {
		return 0
	}
	for i, s := range q.due {
		if s.at > now {
			break
		}
		if s.prompt.After != nil {
			return i
		}
	}
	return 0
}

// end takes note of an answer, which may be the history of further requests.
func (q *queue) end(s *sequence) {
	q.slots = append(q.slots, s.request.EndNS)
	for _, next := range q.later[s.prompt.ID] {
		history := slices.Concat(s.prompt.Tokens, s.request.Output, next.prompt.Tokens)
		next.prompt.Tokens = history
		next.request.PromptTokens, next.request.PromptComputed = len(history), len(history)
		next.at = max(next.at, s.request.EndNS+next.prompt.WaitNS)
		q.add(next)
	}
	delete(q.later, s.prompt.ID)
}

// next returns when something will happen to an engine with nothing to run.
func (q *queue) next() int64 {
	at := int64(math.MaxInt64)
	if len(q.waiting) > 0 {
		at = q.waiting[0].request.SubmittedNS
	}
	if len(q.due) > 0 {
		at = min(at, q.due[0].at)
	}
	return at
}

// cut ends all requests that have no whole answer.
func (q *queue) cut(at int64) []*sequence {
	left := slices.Concat(q.running, q.waiting, q.due)
	for _, next := range q.later {
		left = append(left, next...)
	}
	for _, s := range left {
		r := &s.request
		r.EndNS, r.Cut, r.Failure = at, true, "cut: the time after the last arrival is over"
		r.OutputTokens = len(r.TokenNS)
		if r.SubmittedNS == 0 {
			r.SubmittedNS, r.PrefillStartNS, r.ArrivedNS = at, at, at
			if q.open && s.at > 0 {
				r.ArrivedNS = min(at, s.at)
			}
		}
		switch {
		case !s.started:
			r.PromptComputed, r.PrefillStartNS = 0, at
		case len(r.TokenNS) == 0:
			r.PromptComputed -= r.PromptTokens - s.done
		default:
			r.FirstTokenNS = r.TokenNS[0]
		}
	}
	return left
}

// arrive returns the requests of a round with their times.
func (e *Engine) arrive(w backend.Workload, began int64) *queue {
	a := e.opts.Arrivals
	q := &queue{open: w.Open, last: began, later: map[int][]*sequence{}}
	if most := cmp.Or(w.Concurrency, a.Clients); most > 0 {
		q.bounded, q.slots = true, slices.Repeat([]int64{began}, min(most, len(w.Requests)))
	}
	at := began
	for i, p := range w.Requests {
		vary := e.opts.OutputVary * (2*uniform(e.opts.Seed, ringNoise+300, int64(i)) - 1)
		s := &sequence{prompt: p, wanted: max(1, int(math.Round(float64(w.Asked(p))*(1+vary))))}
		s.request = backend.Request{ID: p.ID, PromptTokens: len(p.Tokens), PromptComputed: len(p.Tokens)}
		if w.Open {
			at = began + p.DueNS
			q.last = max(q.last, at)
		} else if a.Rate > 0 && a.Clients == 0 {
			gap := -math.Log(uniform(e.opts.Seed, ringNoise+301, int64(i))) / a.Rate
			at += int64(gap * float64(time.Second))
		}
		s.at = at
		if p.After != nil {
			q.later[*p.After] = append(q.later[*p.After], s)
			continue
		}
		q.due = append(q.due, s)
	}
	slices.SortStableFunc(q.due, func(a, b *sequence) int { return cmp.Compare(a.at, b.at) })
	return q
}
