package backendtest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/note"
)

// arrivals checks an engine that takes requests while it works: requests that arrive when they are due, also after a
// pause, with outputs of their own; a number of clients; conversations; an end before all have answered.
func (s Suite) arrivals(t *testing.T) {
	session := s.start(t, s.Backend, 4)
	if !session.Loaded().Schedules {
		t.Error("the engine does not report that it takes requests while it works")
	}
	first, third := 100, 102
	work := backend.Workload{Open: true, OutputTokens: 7, Requests: prompts(5, 17, 3, 33, 9)}
	for i := range work.Requests {
		work.Requests[i].DueNS = int64([]time.Duration{0, 40, 5, 400, 20}[i]) * int64(time.Millisecond)
		work.Requests[i].Output = []int{0, 3, 1, 20, 9}[i]
	}
	work.Requests[2].After, work.Requests[2].WaitNS = &first, int64(30*time.Millisecond)
	work.Requests[3].After = &third
	open := s.checked(t, session, work)
	for _, q := range open.Requests {
		if q.Capped {
			t.Errorf("request %d waited for a cap, and there is none", q.ID)
		}
	}
	// The same conversation without arrivals gives the same tokens.
	work.Open, work.Concurrency = false, 2
	closed := s.checked(t, session, work)
	for i, q := range closed.Requests {
		if !slices.Equal(q.Output, open.Requests[i].Output) {
			t.Errorf("request %d gave %v with arrivals, %v without", q.ID, open.Requests[i].Output, q.Output)
		}
	}
	checkFlying(t, closed, 2)

	work.Open, work.Concurrency = true, 1
	for i := range work.Requests { // however fast the engine is, some wait
		work.Requests[i].DueNS = 0
	}
	capped := 0
	for _, q := range s.checked(t, session, work).Requests {
		if q.Capped {
			capped++
		}
	}
	if capped == 0 {
		t.Error("one client for all requests, and none waited")
	}
	s.cut(t, session)
}

// checked runs the work and checks its log.
func (s Suite) checked(t *testing.T, session backend.Session, work backend.Workload) *backend.Log {
	t.Helper()
	before := clock.Mono()
	log, err := session.Run(t.Context(), work)
	if err != nil {
		t.Fatalf("run: %v%s", err, details(err))
	}
	CheckLog(t, work, log, before, clock.Mono(), s.StepSlack)
	return log
}

// cut checks that a run ends at its time, with what each request has got, and that the next one is whole.
func (s Suite) cut(t *testing.T, session backend.Session) {
	t.Helper()
	work := longWork()
	work.Open, work.DrainNS = true, int64(300*time.Millisecond)
	work.Requests[7].After, work.Requests[7].Output = &work.Requests[6].ID, 1
	log, err := session.Run(t.Context(), work)
	if err != nil {
		t.Fatalf("cut run: %v%s", err, details(err))
	}
	if log.EndNS-log.StartNS < work.DrainNS || log.EndNS-log.StartNS > int64(time.Minute) {
		t.Errorf("the run took %v", time.Duration(log.EndNS-log.StartNS))
	}
	for i, q := range log.Requests {
		if q.ID != work.Requests[i].ID || q.OK || !q.Cut || q.Failure == "" ||
			q.OutputTokens != len(q.TokenNS) || q.OutputTokens != len(q.Output) || q.EndNS > log.EndNS ||
			q.SubmittedNS > q.EndNS {
			t.Errorf("a request that was cut off: %+v", q)
		}
	}
	work = backend.Workload{Requests: prompts(5, 6), OutputTokens: 4}
	s.checked(t, session, work)
}

// checkFlying checks the number of requests that were submitted and had not ended.
func checkFlying(t *testing.T, log *backend.Log, most int) {
	t.Helper()
	for _, q := range log.Requests {
		n := 0
		for _, other := range log.Requests {
			if other.SubmittedNS <= q.SubmittedNS && q.SubmittedNS < other.EndNS {
				n++
			}
		}
		if n > most {
			t.Errorf("%d requests in flight when request %d was submitted, want at most %d", n, q.ID, most)
		}
	}
}

// refusesArrivals checks that an engine which receives all requests at once is not given others.
func (s Suite) refusesArrivals(t *testing.T) {
	session := s.start(t, s.Backend, 2)
	if session.Loaded().Schedules {
		t.Error("the engine reports that it takes requests while it works: set Suite.Schedules")
	}
	first := 100
	for name, edit := range map[string]func(*backend.Workload){
		"arrivals":       func(w *backend.Workload) { w.Open = true },
		"own output":     func(w *backend.Workload) { w.Requests[1].Output = 3 },
		"a conversation": func(w *backend.Workload) { w.Requests[1].After = &first },
	} {
		work := backend.Workload{Requests: prompts(4, 5), OutputTokens: 2}
		edit(&work)
		_, err := session.Run(t.Context(), work)
		if _, ok := errors.AsType[*note.Failure](err); !ok {
			t.Errorf("%s: run = %v, want a failure", name, err)
		}
	}
	s.checked(t, session, backend.Workload{Requests: prompts(4, 5), OutputTokens: 2})
}
