package atload

import (
	"math"
	"sort"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/attribute"
)

// OutputIn returns the number of output tokens of a request that were produced in a window: by their stamps, or spread
// evenly over its answer if not every token has one.
func OutputIn(q backend.Request, w attribute.Window) int64 {
	n := len(q.TokenNS)
	if n >= q.OutputTokens {
		before := func(t int64) int { return sort.Search(n, func(i int) bool { return q.TokenNS[i] >= t }) }
		return int64(before(w.End) - before(w.Start))
	}
	if q.FirstTokenNS == 0 {
		return 0
	}
	before := func(t int64) float64 {
		switch {
		case t <= q.FirstTokenNS:
			return 0
		case t > q.EndNS:
			return float64(q.OutputTokens)
		}
		return 1 + float64(q.OutputTokens-1)*float64(t-q.FirstTokenNS)/float64(q.EndNS-q.FirstTokenNS)
	}
	return int64(math.Round(before(w.End)) - math.Round(before(w.Start)))
}

// ComputedIn returns the number of prompt tokens that were computed in a window, by the steps of the engine, and false
// without steps. A step across a limit counts by the share of its time.
func ComputedIn(steps []backend.Step, w attribute.Window) (int64, bool) {
	sum := 0.0
	for _, s := range steps {
		from, to := max(s.StartNS, w.Start), min(s.EndNS, w.End)
		if s.PrefillTokens > 0 && to > from {
			sum += float64(s.PrefillTokens) * float64(to-from) / float64(s.EndNS-s.StartNS)
		}
	}
	return int64(math.Round(sum)), len(steps) > 0
}

// Tokens are the tokens of a window.
type Tokens struct {
	// Prompt are the tokens of the prompts that were computed, with the cached ones, and Computed without them.
	Prompt, Computed int64
	// Output are the tokens of completed requests. Good and Wasted are output tokens of good and of all other requests.
	Output, Good, Wasted int64
}

// Produced counts the tokens that a window produced. Prompts count by the steps in which they were computed; without
// steps, and for cached tokens, with the first token of their answer.
func (r Run) Produced(w attribute.Window) Tokens {
	var t Tokens
	cached := false
	for _, q := range r.Requests {
		n := OutputIn(q, w)
		if q.OK {
			t.Output += n
		}
		if Good(q, r.SLO) {
			t.Good += n
		} else {
			t.Wasted += n
		}
		cached = cached || q.PromptComputed != q.PromptTokens
		if q.FirstTokenNS >= w.Start && q.FirstTokenNS < w.End && q.OK {
			t.Prompt += int64(q.PromptTokens)
			t.Computed += int64(q.PromptComputed)
		}
	}
	if computed, ok := ComputedIn(r.Steps, w); ok {
		if t.Computed = computed; !cached {
			t.Prompt = computed
		}
	}
	return t
}
