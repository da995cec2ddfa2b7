package attribute

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/llenergymeasure/llem/backend"
)

// kind is the engine's work during an interval.
type kind uint8

const (
	outside kind = iota // before or after the window
	idle                // inside the window, no step running
	prefill
	decode
	mixed // prompts and decodes in one step
	kinds
)

func (k kind) String() string {
	return [...]string{"outside", "idle", "prefill", "decode", "mixed"}[k]
}

// stretch is an interval in which the engine does one kind of work, with the amount of work.
type stretch struct {
	start, end int64
	kind       kind
	// prompt and output count prompt tokens processed and tokens decoded.
	prompt, output float64
	// pairs is the attention work over prompts: for a chunk of c tokens after p earlier ones, c·p + c²/2.
	pairs float64
	// context is the number of KV cache entries that decoding reads.
	context float64
	steps   float64
	// before, for an idle stretch, is the work before it.
	before kind
}

func (s stretch) ns() int64 { return s.end - s.start }

// timeline converts the steps to stretches that cover the window from end to end without overlap.
func timeline(steps []backend.Step, requests []backend.Request, w Window) ([]stretch, error) {
	if len(steps) == 0 {
		return nil, fmt.Errorf("the engine reported no steps")
	}
	sorted := slices.Clone(steps)
	slices.SortStableFunc(sorted, func(a, b backend.Step) int { return cmp.Compare(a.StartNS, b.StartNS) })
	line := make([]stretch, 0, 2*len(sorted)+1)
	at, last := w.Start, idle
	for i, s := range sorted {
		if s.StartNS < w.Start || s.EndNS > w.End || s.EndNS < s.StartNS {
			return nil, fmt.Errorf("step %d lies outside the measured window", i)
		}
		if s.StartNS < at {
			return nil, fmt.Errorf(
				"steps %d and %d overlap by %.3g ms: concurrent work cannot be separated", i-1, i,
				float64(at-s.StartNS)/1e6)
		}
		if s.StartNS > at {
			line = append(line, stretch{start: at, end: s.StartNS, kind: idle, before: last})
		}
		if s.EndNS == s.StartNS {
			continue
		}
		at, last = s.EndNS, kindOf(s)
		line = append(line, stretch{start: s.StartNS, end: s.EndNS, kind: last, steps: 1,
			prompt: float64(s.PrefillTokens), output: float64(s.DecodeTokens), context: float64(s.ContextTokens)})
	}
	if at < w.End {
		line = append(line, stretch{start: at, end: w.End, kind: idle, before: last})
	}
	annotate(line, requests)
	return line, nil
}

func kindOf(s backend.Step) kind {
	switch {
	case s.PrefillTokens > 0 && s.DecodeTokens > 0:
		return mixed
	case s.PrefillTokens > 0:
		return prefill
	case s.DecodeTokens > 0:
		return decode
	}
	return idle // a step without work
}

// annotate computes the attention work of each step. The KV entries that decoding reads come from the
// requests' token stamps, because a mixed step's context includes its prompts. The pairs of prompts come from
// assigning each step's prompt tokens to the requests in the order in which they began.
func annotate(line []stretch, requests []backend.Request) {
	eachChunk(line, requests, func(s *stretch, _ int, chunk, past float64) {
		s.pairs += chunk*past + chunk*chunk/2
	})
	for i := range line {
		if line[i].kind == mixed {
			line[i].context = 0
		}
	}
	eachToken(line, requests, func(s *stretch, q *backend.Request, n int) {
		if s.kind == mixed {
			s.context += float64(q.PromptTokens + n)
		}
	})
}

// eachChunk calls visit for every part of a prompt that a step processed, with the number of tokens before
// it. Requests get the steps' prompt tokens in the order of their first tokens, also if they failed later; the tokens
// of a request that failed before its first one belong to nobody.
func eachChunk(line []stretch, requests []backend.Request, visit func(s *stretch, request int, chunk, past float64)) {
	order, failed := make([]int, 0, len(requests)), false
	for i, q := range requests {
		failed = failed || !q.OK
		if q.FirstTokenNS > 0 && q.PromptComputed > 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(requests[a].FirstTokenNS, requests[b].FirstTokenNS), cmp.Compare(a, b))
	})
	next, done := 0, 0.0
	for i := range line {
		s := &line[i]
		if s.kind != prefill && s.kind != mixed {
			continue
		}
		for failed && next < len(order) && requests[order[next]].FirstTokenNS <= s.start {
			next, done = next+1, 0 // complete, although fewer tokens were counted for it
		}
		for left := s.prompt; left > 0 && next < len(order); {
			q := requests[order[next]]
			if failed && q.PrefillStartNS >= s.end {
				break // the rest is of a request that failed before its first token
			}
			computed := float64(q.PromptComputed)
			chunk := min(left, computed-done)
			visit(s, order[next], chunk, float64(q.PromptTokens)-computed+done)
			left, done = left-chunk, done+chunk
			if done >= computed {
				next, done = next+1, 0
			}
		}
	}
}

// eachToken calls visit for every decoded token with the stretch in which it was decoded.
func eachToken(line []stretch, requests []backend.Request, visit func(s *stretch, q *backend.Request, n int)) {
	for i := range requests {
		q, at := &requests[i], 0
		for n := 1; n < len(q.TokenNS); n++ {
			if n == 1 {
				at, _ = slices.BinarySearchFunc(line, q.TokenNS[n],
					func(s stretch, t int64) int { return cmp.Compare(s.end, t) })
			}
			for at < len(line) && line[at].end < q.TokenNS[n] {
				at++
			}
			if at == len(line) {
				break
			}
			if s := &line[at]; s.output > 0 {
				visit(s, q, n)
			}
		}
	}
}
