// Package atload computes what a run tells about requests that arrive by themselves, or about an objective:
// pure functions over stamps and power.
//
//	requests, power ── Steady ──▶ window ── Tell ──▶ result.Load (without the energies)
//	requests, SLO ─────────────── Attained ────────▶ good, scheduled, attainment
//
// [Run.Steady] chooses the window from power and tokens in flight; it does not look at latencies. [Run.Tell]
// computes rates, lags, latencies and the state of the queue inside a window. A request belongs to the window in
// which it was scheduled, a token to the one in which it was produced.
package atload

import (
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/study"
)

// Run is one load: its requests, with the stamps that are common to all engines (see internal/latencies), and its
// limits.
type Run struct {
	// Kind is closed, or the kind of arrivals.
	Kind string
	// Requests of the load.
	Requests []backend.Request
	// Steps of the engine; empty if they are not known.
	Steps []backend.Step
	// Start and End enclose the load, in nanoseconds of CLOCK_MONOTONIC; Horizon is when the last request was
	// scheduled, or the arrivals ended.
	Start, End, Horizon int64
	// Concurrency is the number of requests in flight of a closed loop.
	Concurrency int
	// SLO is the objective; zero if there is none.
	SLO study.SLO
	// Power returns the mean power of an interval, in watts, or NaN if it is unknown; nil without a series.
	Power func(from, to int64) float64
}

// closed reports whether the next request is sent when one has ended.
func (r Run) closed() bool { return r.Kind == load.Closed }

// horizon returns when the last request was scheduled.
func (r Run) horizon() int64 {
	if r.Horizon > 0 {
		return min(r.Horizon, r.End)
	}
	last := r.Start
	for _, q := range r.Requests {
		last = max(last, q.ArrivedNS)
	}
	return min(last, r.End)
}

// endOf returns when a request ended; a request without an end is in flight until the run's.
func (r Run) endOf(q backend.Request) int64 {
	if Cut(q) {
		return r.End
	}
	return min(q.EndNS, r.End)
}

// Cut reports whether a request had no end when the run was stopped.
func Cut(q backend.Request) bool { return !q.OK && (q.Cut || q.EndNS == 0) }

// Scheduled returns the requests that were scheduled in a window.
func Scheduled(requests []backend.Request, w attribute.Window) []backend.Request {
	var out []backend.Request
	for _, q := range requests {
		if q.ArrivedNS >= w.Start && q.ArrivedNS < w.End {
			out = append(out, q)
		}
	}
	return out
}
