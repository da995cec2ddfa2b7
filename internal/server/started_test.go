package server

import (
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
)

// TestArrived: requests of a round arrive together, requests of a closed loop when their client is free, and
// requests of a schedule when they are due, even if they are sent later.
func TestArrived(t *testing.T) {
	for name, q := range map[string]struct {
		streams, round int
		gap            time.Duration
		want           func(log *backend.Log, i int) int64
	}{
		"at once":     {0, 0, 0, func(log *backend.Log, _ int) int64 { return log.Requests[0].ArrivedNS }},
		"rounds":      {0, 3, 0, func(log *backend.Log, i int) int64 { return log.Requests[i/3*3].ArrivedNS }},
		"closed loop": {2, 0, 0, func(log *backend.Log, i int) int64 { return log.Requests[i].SubmittedNS }},
		"open loop": {1, 0, time.Millisecond,
			func(log *backend.Log, i int) int64 { return log.StartNS + int64(i)*int64(time.Millisecond) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := sixPrompts()
			w.Round = q.round
			if q.gap > 0 {
				w = due(w, q.gap)
				w.Concurrency = q.streams
			}
			log, err := stubbed(t, q.streams, 5*time.Millisecond).run(t.Context(), w)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range log.Requests {
				want := q.want(log, i)
				if r.ArrivedNS != want || r.ArrivedNS > r.SubmittedNS || r.ArrivedNS < log.StartNS {
					t.Errorf("request %d arrived at %d, was sent at %d; want %d (start %d)", i, r.ArrivedNS,
						r.SubmittedNS,
						want, log.StartNS)
				}
			}
			if q.round > 0 && log.Requests[3].ArrivedNS < log.Requests[2].EndNS {
				t.Error("the second round arrived before the first one had ended")
			}
		})
	}
}

// TestStartOf: an engine that reports how long a request waited, or how long its prompt took, reveals when it
// began; impossible values are rejected.
func TestStartOf(t *testing.T) {
	of := func(ns time.Duration) *time.Duration { return &ns }
	for name, q := range map[string]struct {
		queued, prefill *time.Duration
		want            int64
	}{
		"nothing told":             {nil, nil, 0},
		"waited":                   {of(300), nil, 1300},
		"did not wait":             {of(0), nil, 1000},
		"prompt took":              {nil, of(400), 1600},
		"waited beyond the token":  {of(1001), nil, 0},
		"waited less than nothing": {of(-1), nil, 0},
		"prompt before the sent":   {nil, of(1001), 0},
	} {
		r := backend.Request{SubmittedNS: 1000, FirstTokenNS: 2000}
		if got := startOf(&r, q.queued, q.prefill); got != q.want {
			t.Errorf("%s: started at %d, want %d", name, got, q.want)
		}
	}
}

// TestStartedAtOnce: requests have started when they were sent only if the engine had room for all of them, and
// showed no queue.
func TestStartedAtOnce(t *testing.T) {
	waiting := func(counts ...float64) (list []reading) {
		for _, n := range counts {
			list = append(list, reading{Counters: Counters{Waiting: n}})
		}
		return list
	}
	for name, q := range map[string]struct {
		atOnce, room int
		list         []reading
		want         int64
	}{
		"room for all":            {8, 8, nil, 5},
		"more than room":          {9, 8, nil, 0},
		"room is not known":       {1, 0, nil, 0},
		"waiting once":            {8, 8, waiting(0, 3, 0, 1), 5},
		"waiting, and again":      {8, 8, waiting(0, 3, 1, 0), 0},
		"a queue that never was":  {8, 8, waiting(0, 0, 0), 5},
		"counters of one reading": {8, 8, waiting(2), 5},
	} {
		requests := []backend.Request{{SubmittedNS: 5}, {SubmittedNS: 5, StartedNS: 7}}
		startedAtOnce(requests, q.atOnce, q.room, q.list)
		if requests[0].StartedNS != q.want || requests[1].StartedNS != 7 {
			t.Errorf("%s: started at %d and %d, want %d, and 7 as the engine told", name, requests[0].StartedNS,
				requests[1].StartedNS, q.want)
		}
	}
}
