package shapes

import (
	"cmp"
	"math"
	"slices"
	"sort"

	"github.com/llenergymeasure/llem/backend"
)

// FirstUses returns the ids of the requests of a window that include the first use of a shape: a prefill, or
// the first decode step of a number of sequences.
func FirstUses(requests []backend.Request, steps []backend.Step) map[int]bool {
	ok := slices.DeleteFunc(slices.Clone(requests), func(q backend.Request) bool {
		return !q.OK || q.StartedNS == 0
	})
	slices.SortStableFunc(ok, func(a, b backend.Request) int { return cmp.Compare(began(&a), began(&b)) })
	out := map[int]bool{}
	prefills := prefillsOf(ok)
	for _, i := range Find(prefills, pausesOf(ok)) {
		for _, id := range prefills[i].Requests {
			out[id] = true
		}
	}
	decodes := decodesOf(steps)
	for _, i := range Find(decodes, Pauses{}) {
		for k := range ok {
			if began(&ok[k]) < decodes[i].EndNS && ok[k].EndNS > decodes[i].StartNS {
				out[ok[k].ID] = true
			}
		}
	}
	return out
}

// began returns when the engine began to work on a request, from which its latency counts.
func began(q *backend.Request) int64 { return q.StartedNS }

// prefillsOf returns the prefills of requests, which are sorted by their start. The requests of a static
// batch share one. Separate prefills that overlap are ignored, because their times depend on each other.
func prefillsOf(requests []backend.Request) []Use {
	var out []Use
	var busy int64 // end of the earlier prefills
	for i := 0; i < len(requests); {
		q, n := &requests[i], i+1
		for n < len(requests) && began(&requests[n]) == began(q) && requests[n].FirstTokenNS == q.FirstTokenNS {
			n++
		}
		alone := began(q) >= busy && (n == len(requests) || began(&requests[n]) >= q.FirstTokenNS)
		busy = max(busy, q.FirstTokenNS)
		if alone && q.FirstTokenNS > began(q) {
			out = append(out, prefillOf(requests[i:n]))
		}
		i = n
	}
	underWay(out, requests)
	return out
}

func prefillOf(batch []backend.Request) Use {
	u := Use{StartNS: began(&batch[0]), EndNS: batch[0].FirstTokenNS}
	var lengths []int
	for _, q := range batch {
		lengths = append(lengths, q.PromptComputed)
		u.Requests = append(u.Requests, q.ID)
	}
	u.Key = Of(lengths)
	u.Longest = u.Key.Longest
	return u
}

// underWay counts the requests that the engine worked on during each use.
func underWay(uses []Use, requests []backend.Request) {
	starts, ends := make([]int64, len(requests)), make([]int64, len(requests))
	for i := range requests {
		starts[i], ends[i] = began(&requests[i]), requests[i].EndNS
	}
	slices.Sort(ends)
	after := func(all []int64, t int64) int { return sort.Search(len(all), func(i int) bool { return all[i] >= t }) }
	for i, u := range uses {
		uses[i].Sequences = after(starts, u.EndNS) - after(ends, u.StartNS+1)
	}
}

// decodesOf returns the steps that only decode. Their key is the number of sequences, because the context
// grows with every step.
func decodesOf(steps []backend.Step) []Use {
	var out []Use
	for _, s := range steps {
		if s.PrefillTokens > 0 || s.Sequences < 1 || s.EndNS <= s.StartNS {
			continue
		}
		long := int(s.ContextTokens) / s.Sequences
		out = append(out, Use{Key: Shape{Sequences: s.Sequences}, Sequences: s.Sequences, Longest: long,
			StartNS: s.StartNS, EndNS: s.EndNS})
	}
	return out
}

// skipped is the number of first gaps between the tokens of a request in which a decoding shape may be used
// first.
const skipped = 2

// pausesOf returns the delays of later tokens. Requests of a static batch share their stamps and count once.
func pausesOf(requests []backend.Request) Pauses {
	var p Pauses
	last := [2]int64{}
	for _, q := range requests {
		this := [2]int64{q.FirstTokenNS, q.EndNS}
		if this != last && len(q.TokenNS) > skipped {
			p.add(gapsOf(q.TokenNS[skipped:]))
		}
		last = this
	}
	return p
}

func gapsOf(stamps []int64) []float64 {
	out := make([]float64, 0, len(stamps))
	for i := 1; i < len(stamps); i++ {
		out = append(out, float64(stamps[i]-stamps[i-1])/1e9)
	}
	return out
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	return slices.Sorted(slices.Values(values))[len(values)/2]
}
