package server

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/clock"
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
// contexts were, is known from the streams; so are the decoded tokens of engines that do
// not count them at once.
func steps(list []reading, log *backend.Log) []backend.Step {
	if len(list) == 0 {
		return nil
	}
	// Whether a reading whose time is outside of the run by a little has tokens of it is not known: the
	// intervals beside it take them.
	outside := func(r reading) bool { return r.at() <= log.StartNS || r.at() >= log.EndNS }
	if last := len(list) - 1; last > 1 {
		inner := slices.DeleteFunc(slices.Clone(list[1:last]), outside)
		list = slices.Concat(list[:1], inner, list[last:])
	}
	var out []backend.Step
	arrivals := arrivalsOf(log)
	counted := list[len(list)-1].Output > 0
	for i := 1; i < len(list); i++ {
		a, b := list[i-1], list[i]
		from, to := max(a.at(), log.StartNS), min(b.at(), log.EndNS)
		firsts, decode := arrivals.until(to)
		if counted {
			decode = int(math.Round(b.Output-a.Output)) - firsts
		}
		prefill := int(math.Round(b.Prompt - b.Cached - (a.Prompt - a.Cached)))
		if to <= from || prefill <= 0 && decode <= 0 {
			continue
		}
		sequences, context := held(log, from+(to-from)/2)
		if sequences == 0 {
			sequences = 1
		}
		out = append(out, backend.Step{StartNS: from, EndNS: to, PrefillTokens: max(0, prefill),
			DecodeTokens: max(0, decode),
			Sequences:    sequences, ContextTokens: max(context, int64(sequences))})
	}
	return out
}

// arrivals are the stamps of a run's first tokens and of the others, in order.
type arrivals struct{ firsts, others []int64 }

func arrivalsOf(log *backend.Log) *arrivals {
	a := &arrivals{}
	for _, q := range log.Requests {
		if q.OK {
			a.firsts, a.others = append(a.firsts, q.TokenNS[0]), append(a.others, q.TokenNS[1:]...)
		}
	}
	slices.Sort(a.firsts)
	slices.Sort(a.others)
	return a
}

// until takes those up to a time and says how many they were.
func (a *arrivals) until(to int64) (firsts, others int) {
	firsts, _ = slices.BinarySearch(a.firsts, to+1)
	others, _ = slices.BinarySearch(a.others, to+1)
	a.firsts, a.others = a.firsts[firsts:], a.others[others:]
	return firsts, others
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
