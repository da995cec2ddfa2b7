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

// mostCounted is more than any server counts.
const mostCounted = 1e15

// plausible reports whether counters are numbers that tokens and steps can have: others are
// not read at all.
func (c Counters) plausible() bool {
	for _, v := range []float64{c.Prompt, c.Cached, c.Output, c.Steps, c.Running, c.Waiting} {
		if !(v >= 0 && v <= mostCounted) { // NaN is neither
			return false
		}
	}
	return true
}

// queued reports whether requests waited in the engine: two readings in a row saw some. One
// reading may see requests that wait for the end of the step that runs.
func queued(list []reading) bool {
	for i := 1; i < len(list); i++ {
		if list[i-1].Waiting > 0 && list[i].Waiting > 0 {
			return true
		}
	}
	return false
}

// startedAtOnce stamps the start of requests for all of which the engine had room: it began with
// each as soon as it had it. 0 is no room that is known.
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
	early := int64(-1) // where tokens arrived that no reading had counted, before the first step
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
			// They were counted before they were here.
			out[len(out)-1].EndNS = n.to
		case n.firsts+n.others > 0:
			early = n.from
		}
	}
	return out
}

// interval is what happened between two readings.
type interval struct {
	from, to int64
	// prefill and decode are the tokens that the engine computed.
	prefill, decode int
	// firsts and others are the tokens that arrived: first ones of their requests, and others.
	firsts, others int
}

// countDecoded takes the decoded tokens from the engine's count of its output, less the first
// tokens. A first token may be counted in one interval and arrive in the next: there the
// difference is negative. Tokens are moved to a later interval as far as that needs, so that
// no interval has less than none and their sum stays what was counted.
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
