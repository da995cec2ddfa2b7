// Package shapes determines the shapes of a workload: what decides which kernels an engine's step runs and
// how much memory it takes. An engine that meets a shape for the first time selects and loads kernels, and
// its allocator grows; later steps of the shape do not take that time.
//
//	requests ─ Of ─▶ shapes ─ Choose ─▶ shapes to warm up         (before the window)
//	stamps, steps ─ Find ─▶ requests that include a first use     (after it)
//
// All functions are pure functions of lengths and stamps.
package shapes

import (
	"cmp"
	"math/bits"
	"slices"
)

// Shape is a batch of prompts as a prefill step processes it.
type Shape struct {
	// Sequences is the number of prompts in the batch.
	Sequences int
	// Longest is the length to which the prompts are padded, in tokens.
	Longest int
	// Tokens is the sum of the lengths, without padding.
	Tokens int
}

// Of returns the shape of prompts of these lengths, in tokens.
func Of(lengths []int) Shape {
	s := Shape{Sequences: len(lengths)}
	for _, n := range lengths {
		s.Longest = max(s.Longest, n)
		s.Tokens += n
	}
	return s
}

// Most is the largest number of shapes that are warmed up one by one; more are grouped in buckets.
const Most = 32

// bucketTokens is the width of a bucket in tokens.
const bucketTokens = 64

// Buckets of shapes, as named in results.
const (
	// Exact: each shape is warmed up.
	Exact = "exact"
	// Of64: the longest shape represents its number of sequences and its 64 tokens.
	Of64 = "64 tokens"
	// Powers: the longest shape represents all up to its power of two.
	Powers = "powers of two"
)

// Chosen are the shapes to warm up.
type Chosen struct {
	// Places are the indices of the chosen shapes, longest first.
	Places []int
	// Distinct is the number of distinct shapes.
	Distinct int
	// Buckets is [Exact], [Of64] or [Powers].
	Buckets string
}

// Choose returns the shapes that represent all: every distinct shape if there are at most [Most], otherwise
// the longest of each bucket, and the shortest and longest of each number of sequences.
func Choose(all []Shape) Chosen {
	out := Chosen{Buckets: Exact, Places: firstOf(all, func(s Shape) Shape { return s })}
	out.Distinct = len(out.Places)
	for _, b := range []struct {
		name string
		of   func(longest int) int
	}{{Of64, func(n int) int { return (n + bucketTokens - 1) / bucketTokens }},
		{Powers, func(n int) int { return bits.Len(uint(max(n, 1) - 1)) }}} {
		if len(out.Places) <= Most {
			break
		}
		out.Buckets, out.Places = b.name, ends(all, b.of)
	}
	slices.SortStableFunc(out.Places, func(a, b int) int {
		return cmp.Or(cmp.Compare(all[b].Longest, all[a].Longest), cmp.Compare(all[b].Tokens, all[a].Tokens))
	})
	return out
}

// firstOf returns the index of the first shape of each key.
func firstOf[K comparable](all []Shape, key func(Shape) K) []int {
	seen := map[K]bool{}
	var out []int
	for i, s := range all {
		if k := key(s); !seen[k] {
			seen[k] = true
			out = append(out, i)
		}
	}
	return out
}

// ends returns the indices of the longest shape of each bucket, and of the shortest shape of each number of
// sequences.
func ends(all []Shape, of func(longest int) int) []int {
	type bucket struct{ sequences, tokens int }
	longest, shortest := map[bucket]int{}, map[int]int{}
	for i, s := range all {
		key := bucket{s.Sequences, of(s.Longest)}
		if at, ok := longest[key]; !ok || s.Longest > all[at].Longest {
			longest[key] = i
		}
		if at, ok := shortest[s.Sequences]; !ok || s.Longest < all[at].Longest {
			shortest[s.Sequences] = i
		}
	}
	var out []int
	for _, at := range longest {
		out = append(out, at)
	}
	for _, at := range shortest {
		out = append(out, at)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Sizes returns the numbers of sequences through which a batch grows to most: the powers of two below it.
func Sizes(most int) []int {
	var out []int
	for n := 1; n < most; n *= 2 {
		out = append(out, n)
	}
	return out
}

// Steady reports whether a round of times, in seconds, took as long as the previous round: the sum within 15
// %, and each time within half of the shorter one and 5 ms. A first use is far outside these limits; the
// noise of a host that launches kernels is inside.
func Steady(before, now []float64) bool {
	if len(before) != len(now) || len(now) == 0 {
		return false
	}
	var x, y float64
	for i := range now {
		if !near(before[i], now[i], 0.5) {
			return false
		}
		x, y = x+before[i], y+now[i]
	}
	return near(x, y, 0.15)
}

// steadySeconds is a difference that is not significant.
const steadySeconds = 5e-3

func near(a, b, share float64) bool { return max(a, b)-min(a, b) <= share*min(a, b)+steadySeconds }
