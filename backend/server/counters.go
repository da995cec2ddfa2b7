package server

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/clock"
)

// reading is what the counters said between two stamps.
type reading struct {
	Counters
	before, after int64
}

// at is when the counters were read, as well as it is known.
func (r reading) at() int64 { return r.before + (r.after-r.before)/2 }

// sample reads the counters until the returned function is called, which reads them
// once more.
func (s *Session) sample(ctx context.Context) func() []reading {
	counted, ok := s.engine.(Counted)
	if !ok {
		return func() []reading { return nil }
	}
	var list []reading
	read := func() {
		r := reading{before: clock.Mono()}
		c, err := counted.Counters(ctx, s.ask)
		if r.after = clock.Mono(); err == nil {
			r.Counters = c
			list = append(list, r)
		}
	}
	read()
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(s.opt.Poll)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-ctx.Done():
				return
			case <-tick.C:
				read()
			}
		}
	}()
	return func() []reading {
		close(end)
		<-ended
		read()
		return list
	}
}

// steps turns counters into steps of tier T2: what all steps between two readings did
// together. Which tokens were the first ones of their requests, and how long the
// contexts were, is known from the streams.
func steps(list []reading, log *backend.Log) []backend.Step {
	var out []backend.Step
	firsts := make([]int64, 0, len(log.Requests))
	for _, q := range log.Requests {
		if q.OK {
			firsts = append(firsts, q.FirstTokenNS)
		}
	}
	slices.Sort(firsts)
	began := 0
	for i := 1; i < len(list); i++ {
		a, b := list[i-1], list[i]
		from, to := max(a.at(), log.StartNS), min(b.at(), log.EndNS)
		n := began
		for n < len(firsts) && firsts[n] <= to {
			n++
		}
		prefill := int(math.Round(b.Prompt - b.Cached - (a.Prompt - a.Cached)))
		decode := int(math.Round(b.Output-a.Output)) - (n - began)
		began = n
		if to <= from || prefill <= 0 && decode <= 0 {
			continue
		}
		sequences, context := held(log, from+(to-from)/2)
		if sequences == 0 {
			sequences = 1
		}
		out = append(out, backend.Step{StartNS: from, EndNS: to, PrefillTokens: max(0, prefill), DecodeTokens: max(0, decode),
			Sequences: sequences, ContextTokens: max(context, int64(sequences))})
	}
	return out
}

// held is how many requests had tokens in the engine at a time, and how many tokens.
func held(log *backend.Log, at int64) (sequences int, tokens int64) {
	for i := range log.Requests {
		q := &log.Requests[i]
		if q.FirstTokenNS == 0 || at < q.FirstTokenNS || at > q.EndNS {
			continue
		}
		seen, _ := slices.BinarySearch(q.TokenNS, at)
		sequences++
		tokens += int64(q.PromptTokens + seen)
	}
	return sequences, tokens
}
