package atload

import (
	"slices"

	"github.com/llenergymeasure/llem/internal/attribute"
)

// flight is the number of requests in flight over time: between their schedule and their end.
type flight struct {
	begins, ends []int64 // sorted
	// at are the times of the changes, and n the number from each on.
	at []int64
	n  []int
}

func (r Run) inFlight() flight {
	var f flight
	for _, q := range r.Requests {
		f.begins, f.ends = append(f.begins, q.ArrivedNS), append(f.ends, max(r.endOf(q), q.ArrivedNS))
	}
	slices.Sort(f.begins)
	slices.Sort(f.ends)
	b, e, n := 0, 0, 0
	for b < len(f.begins) || e < len(f.ends) {
		var at int64
		if b < len(f.begins) && (e == len(f.ends) || f.begins[b] <= f.ends[e]) {
			at = f.begins[b]
		} else {
			at = f.ends[e]
		}
		for ; b < len(f.begins) && f.begins[b] == at; b++ {
			n++
		}
		for ; e < len(f.ends) && f.ends[e] == at; e++ {
			n--
		}
		f.at, f.n = append(f.at, at), append(f.n, n)
	}
	return f
}

// pieces calls visit for the intervals of constant number in a window.
func (f flight) pieces(w attribute.Window, visit func(from, to int64, n int)) {
	i, found := slices.BinarySearch(f.at, w.Start)
	if !found {
		i--
	}
	for from := w.Start; from < w.End; i++ {
		n, to := 0, w.End
		if i >= 0 {
			n = f.n[i]
		}
		if i+1 < len(f.at) {
			to = min(to, f.at[i+1])
		}
		if to > from {
			visit(from, to, n)
		}
		from = to
	}
}

// mean returns the mean number in a window.
func (f flight) mean(w attribute.Window) float64 {
	sum := 0.0
	f.pieces(w, func(from, to int64, n int) { sum += float64(n) * float64(to-from) })
	if w.End <= w.Start {
		return 0
	}
	return sum / float64(w.End-w.Start)
}

// most returns the largest number in a window.
func (f flight) most(w attribute.Window) (most int) {
	f.pieces(w, func(_, _ int64, n int) { most = max(most, n) })
	return most
}

// none returns the intervals of a window with nothing in flight.
func (f flight) none(w attribute.Window) []attribute.Window {
	var out []attribute.Window
	f.pieces(w, func(from, to int64, n int) {
		if n == 0 {
			out = append(out, attribute.Window{Start: from, End: to})
		}
	})
	return out
}

// Idle returns the intervals of a window without a request between its schedule and its end.
func (r Run) Idle(w attribute.Window) []attribute.Window { return r.inFlight().none(w) }

// above returns the first and the last time with at least a number in flight.
func (f flight) above(need int) (from, to int64, ok bool) {
	for i, n := range f.n {
		switch {
		case n >= need && !ok:
			from, ok = f.at[i], true
			fallthrough
		case n >= need:
			to = f.at[i]
			if i+1 < len(f.at) {
				to = f.at[i+1]
			}
		}
	}
	return from, to, ok
}
