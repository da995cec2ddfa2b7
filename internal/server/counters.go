package server

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/clock"
)

// reading is the value of the counters between two stamps.
type reading struct {
	Counters
	before, after int64
}

// at returns the best estimate of when the counters were read.
func (r reading) at() int64 { return r.before + (r.after-r.before)/2 }

// sample reads the counters until the returned function is called, which reads them a last time.
func (s *Session) sample(ctx context.Context) func() []reading {
	counted, ok := s.engine.(Counted)
	if !ok {
		return func() []reading { return nil }
	}
	var list []reading
	read := func() {
		r := reading{before: clock.Mono()}
		c, err := counted.Counters(ctx, s.ask)
		if r.after = clock.Mono(); err == nil && c.plausible() {
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

// mostCounted exceeds what any server counts.
const mostCounted = 1e15

// plausible reports whether counters are possible numbers of tokens and steps; others are rejected.
func (c Counters) plausible() bool {
	for _, v := range []float64{c.Prompt, c.Cached, c.Output, c.Steps, c.Running, c.Waiting} {
		if !(v >= 0 && v <= mostCounted) { // NaN fails both comparisons
			return false
		}
	}
	return true
}

// queued reports whether requests waited in the engine: two consecutive readings saw some. A single reading may
// see requests that wait for the end of the current step.
func queued(list []reading) bool {
	for i := 1; i < len(list); i++ {
		if list[i-1].Waiting > 0 && list[i].Waiting > 0 {
			return true
		}
	}
	return false
}

// most returns the maximum number of requests of a run that were in flight.
func (c *client) most(w backend.Workload, requests []backend.Request) int {
	if !w.Open {
		return c.atOnce(w)
	}
	type edge struct {
		at   int64
		step int
	}
	var edges []edge
	for _, q := range requests {
		if q.SubmittedNS > 0 {
			edges = append(edges, edge{q.SubmittedNS, 1}, edge{q.EndNS, -1})
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Or(cmp.Compare(a.at, b.at), a.step-b.step) })
	most, now := 0, 0
	for _, e := range edges {
		now += e.step
		most = max(most, now)
	}
	return most
}

// startedAtOnce stamps the start of requests if the engine had room for all of them: each started when it was
// received. A room of 0 is unknown.
func startedAtOnce(requests []backend.Request, atOnce, room int, list []reading) {
	if atOnce > room || queued(list) {
		return
	}
	for i := range requests {
		if q := &requests[i]; q.StartedNS == 0 {
			q.StartedNS = q.SubmittedNS
		}
	}
}

// steps turns counters into steps of tier T2: the combined work of all steps between two readings. The streams
// show which tokens were first tokens and how long the contexts were, and also the decoded tokens of engines that
// count them late.
func steps(list []reading, log *backend.Log) []backend.Step {
	if len(list) == 0 {
		return nil
	}
	// It is unknown whether a reading slightly outside the run contains tokens of it: the intervals beside it take
	// them.
	outside := func(r reading) bool { return r.at() <= log.StartNS || r.at() >= log.EndNS }
	if last := len(list) - 1; last > 1 {
		inner := slices.DeleteFunc(slices.Clone(list[1:last]), outside)
		list = slices.Concat(list[:1], inner, list[last:])
	}
	var out []backend.Step
	arrivals := arrivalsOf(log)
	intervals := make([]interval, 0, len(list))
	for i := 1; i < len(list); i++ {
		a, b := list[i-1], list[i]
		n := interval{from: max(a.at(), log.StartNS), to: min(b.at(), log.EndNS),
			prefill: int(math.Round(b.Prompt - b.Cached - (a.Prompt - a.Cached)))}
		n.firsts, n.others = arrivals.until(n.to)
		n.decode = n.others
		intervals = append(intervals, n)
	}
	if list[len(list)-1].Output > 0 {
		countDecoded(intervals, list)
	}
	early := int64(-1) // when tokens arrived that no reading had counted, before the first step
	for _, n := range intervals {
		if early >= 0 {
			n.from = early
		}
		switch {
		case n.to <= n.from:
		case n.prefill > 0 || n.decode > 0:
			sequences, context := held(log, n.from+(n.to-n.from)/2)
			sequences, early = max(1, sequences), -1
			out = append(out, backend.Step{StartNS: n.from, EndNS: n.to, PrefillTokens: max(0, n.prefill),
				DecodeTokens: n.decode, Sequences: sequences, ContextTokens: max(context, int64(sequences))})
		case n.firsts+n.others > 0 && len(out) > 0:
			// They were counted before they arrived.
			out[len(out)-1].EndNS = n.to
		case n.firsts+n.others > 0:
			early = n.from
		}
	}
	return out
}

// interval is the change between two readings.
type interval struct {
	from, to int64
	// prefill and decode are the numbers of computed tokens.
	prefill, decode int
	// firsts and others are the numbers of arrived tokens: first tokens of their requests, and others.
	firsts, others int
}

// countDecoded takes the decoded tokens from the engine's count of its output, minus the first tokens. A first
// token may be counted in one interval and arrive in the next, which makes the difference negative. Tokens are
// moved to a later interval as far as necessary, so that no interval is negative and the sum stays unchanged.
func countDecoded(intervals []interval, list []reading) {
	total := make([]int, len(intervals))
	sum := 0
	for i, n := range intervals {
		sum += int(math.Round(list[i+1].Output-list[i].Output)) - n.firsts
		total[i] = sum
	}
	for i := len(total) - 2; i >= 0; i-- {
		total[i] = min(total[i], total[i+1])
	}
	before := 0
	for i := range intervals {
		intervals[i].decode = max(0, total[i]-before)
		before = max(before, total[i])
	}
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

// until consumes the stamps up to a time and returns how many they were.
func (a *arrivals) until(to int64) (firsts, others int) {
	firsts, _ = slices.BinarySearch(a.firsts, to+1)
	others, _ = slices.BinarySearch(a.others, to+1)
	a.firsts, a.others = a.firsts[firsts:], a.others[others:]
	return firsts, others
}

// held returns how many requests had tokens in the engine at a time, and how many tokens.
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
