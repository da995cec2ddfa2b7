package sim

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/backendtest"
)

// arrived runs a workload with a continuous engine in virtual time and checks the log.
func arrived(t *testing.T, o EngineOptions, w backend.Workload) (log *backend.Log) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		_, log = run(t, o, w)
	})
	return log
}

// run runs a workload within a bubble.
func run(t *testing.T, o EngineOptions, w backend.Workload) (*Engine, *backend.Log) {
	t.Helper()
	f, c := create(t)
	o.Model, o.Now, o.Batching = plainModel(), c.Now, Continuous
	e := NewEngine(f, o)
	if _, err := e.Load(t.Context(), backend.Spec{MaxContext: 4096}, func(string, float64) {}); err != nil {
		t.Fatal(err)
	}
	before := c.Now()
	log, err := e.Run(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	if w.DrainNS == 0 && !o.PrefixCache {
		backendtest.CheckLog(t, w, log, before, c.Now(), 0)
	}
	return e, log
}

// asks returns prompts of different tokens.
func asks(lengths ...int) []backend.Prompt {
	out := make([]backend.Prompt, len(lengths))
	for i, n := range lengths {
		out[i] = backend.Prompt{ID: 10 + i, Tokens: make([]int32, n)}
		for j := range out[i].Tokens {
			out[i].Tokens[j] = int32((i*37 + j) % Vocab)
		}
	}
	return out
}

// TestOpenLoop: requests arrive at their times, whatever the order of the list and however long the pauses; an idle
// engine reports its progress, and between two requests it draws idle power.
func TestOpenLoop(t *testing.T) {
	w := backend.Workload{Open: true, OutputTokens: 5, Requests: asks(20, 30, 40, 8)}
	due := []time.Duration{3 * time.Second, 0, 10 * time.Second, 10*time.Second + 1}
	for i := range w.Requests {
		w.Requests[i].DueNS, w.Requests[i].Output = int64(due[i]), 3+i
	}
	beats := 0
	w.Progress = func(int, int) { beats++ }
	log := arrived(t, EngineOptions{BatchSize: 4, ChunkTokens: 64}, w)
	for i, q := range log.Requests {
		if q.Capped || q.SubmittedNS < q.ArrivedNS || q.SubmittedNS-q.ArrivedNS > int64(ms) {
			t.Errorf("request %d: capped %v, submitted %v after its time", i, q.Capped,
				time.Duration(q.SubmittedNS-q.ArrivedNS))
		}
	}
	if beats < 9 {
		t.Errorf("%d reports in more than 10 seconds", beats)
	}
	// The last two have one prefill together or one after the other, but the third did not wait for the fourth.
	if a, b := log.Requests[2], log.Requests[3]; a.StartedNS > b.StartedNS {
		t.Errorf("started at %d and %d", a.StartedNS, b.StartedNS)
	}
}

// TestCap: a cap on requests in flight delays what is due, and says so; a closed loop has a fixed number in flight.
func TestCap(t *testing.T) {
	w := backend.Workload{Open: true, OutputTokens: 20, Concurrency: 2, Requests: asks(20, 20, 20, 20, 20, 20, 20)}
	for i := range w.Requests {
		w.Requests[i].DueNS = int64(i) * int64(ms)
	}
	w.Requests[6].DueNS = int64(time.Minute)
	log := arrived(t, EngineOptions{BatchSize: 8, ChunkTokens: 64}, w)
	var capped []bool
	for _, q := range log.Requests {
		capped = append(capped, q.Capped)
	}
	if want := []bool{false, false, true, true, true, true, false}; !slices.Equal(capped, want) {
		t.Errorf("capped %v, want %v", capped, want)
	}
	mostFlying(t, log, 2)

	w.Open = false
	log = arrived(t, EngineOptions{BatchSize: 8, ChunkTokens: 64}, w)
	mostFlying(t, log, 2)
	for i, q := range log.Requests {
		if q.Capped || q.SubmittedNS != q.ArrivedNS || i > 1 && q.ArrivedNS < log.Requests[i-2].EndNS {
			t.Errorf("closed loop: request %+v", q)
		}
	}
	if log.EndNS-log.StartNS > int64(10*time.Second) {
		t.Error("a closed loop waits for the time at which a request is due")
	}
}

// mostFlying checks the largest number of requests that were sent and not answered.
func mostFlying(t *testing.T, log *backend.Log, want int) {
	t.Helper()
	most := 0
	for _, q := range log.Requests {
		n := 0
		for _, o := range log.Requests {
			if o.SubmittedNS <= q.SubmittedNS && q.SubmittedNS < o.EndNS {
				n++
			}
		}
		most = max(most, n)
	}
	if most != want {
		t.Errorf("%d in flight, want %d", most, want)
	}
}

// TestConversations: a turn has the history as its prompt and comes after a pause, in an open and in a closed loop.
func TestConversations(t *testing.T) {
	for _, open := range []bool{true, false} {
		w := backend.Workload{Open: open, OutputTokens: 4, Requests: asks(20, 30, 5, 6)}
		first, third := 10, 12
		w.Requests[2].After, w.Requests[2].WaitNS = &first, int64(time.Second)
		w.Requests[3].After, w.Requests[3].DueNS, w.Requests[3].Output = &third, int64(time.Hour), 9
		if !open {
			w.Concurrency = 1
		}
		log := arrived(t, EngineOptions{BatchSize: 4, ChunkTokens: 64}, w)
		if q := log.Requests[3]; q.PromptTokens != 20+4+5+4+6 || q.OutputTokens != 9 {
			t.Errorf("the third turn: %+v", q)
		}
		if waited := log.Requests[3].ArrivedNS-log.Requests[2].EndNS > int64(time.Minute); waited != open {
			t.Errorf("open %v: the third turn waited for its time: %v", open, waited)
		}
	}
}

// TestPrefixCache: what begins like an earlier prompt or conversation is not computed again, in whole blocks; the next
// run begins with nothing.
func TestPrefixCache(t *testing.T) {
	w := backend.Workload{Open: true, OutputTokens: 30, Requests: asks(100, 40, 7, 9)}
	copy(w.Requests[1].Tokens, w.Requests[0].Tokens[:33]) // two blocks alike
	w.Requests[1].DueNS = int64(10 * time.Second)
	w.Requests[2].After = &w.Requests[0].ID
	w.Requests[3] = backend.Prompt{ID: 13, Tokens: w.Requests[0].Tokens[:96], DueNS: int64(20 * time.Second)}
	synctest.Test(t, func(t *testing.T) {
		e, log := run(t, EngineOptions{BatchSize: 4, ChunkTokens: 64, PrefixCache: true}, w)
		for range 2 {
			steps, computed := 0, []int{}
			for _, q := range log.Requests {
				computed = append(computed, q.PromptComputed)
			}
			// The history has 100 tokens and 30 outputs; the last output is not in the cache. Of a prompt that is there
			// completely, the last token is computed, with its block.
			if want := []int{100, 40 - 32, 137 - 128, 16}; !slices.Equal(computed, want) {
				t.Errorf("computed %v, want %v", computed, want)
			}
			for _, s := range log.Steps {
				steps += s.PrefillTokens
			}
			if want := 100 + 8 + 9 + 16; steps != want {
				t.Errorf("%d prompt tokens in the steps, want %d", steps, want)
			}
			var err error
			if log, err = e.Run(t.Context(), w); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestCut: the end of an open loop ends all requests, with what they have.
func TestCut(t *testing.T) {
	w := backend.Workload{Open: true, DrainNS: int64(2 * time.Second), OutputTokens: 10, Requests: asks(20, 20, 20, 20)}
	w.Requests[1].Output = 4000
	w.Requests[2].After = &w.Requests[1].ID
	w.Requests[3].After, w.Requests[3].DueNS = &w.Requests[1].ID, 1
	log := arrived(t, EngineOptions{BatchSize: 4, ChunkTokens: 64}, w)
	end := log.StartNS + w.DrainNS + 1
	for i, q := range log.Requests {
		if q.OK != (i == 0) || i > 0 && (!q.Cut || q.EndNS < end ||
			q.EndNS > end+int64(100*ms) || q.ArrivedNS > q.SubmittedNS || q.SubmittedNS > q.EndNS) {
			t.Errorf("request %d: %+v", i, q)
		}
	}
	if q := log.Requests[1]; q.OutputTokens < 10 || q.OutputTokens != len(q.TokenNS) || q.PromptComputed != 20 {
		t.Errorf("the long request: %+v", q)
	}
	if q := log.Requests[2]; q.OutputTokens != 0 || q.PromptComputed != 0 {
		t.Errorf("a request that never came: %+v", q)
	}
}

// TestStaticRefusesArrivals: static batches have neither arrivals nor histories nor outputs of their own.
func TestStaticRefusesArrivals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := create(t)
		e := NewEngine(f, EngineOptions{Model: plainModel(), Now: c.Now})
		if _, err := e.Load(t.Context(), backend.Spec{}, func(string, float64) {}); err != nil {
			t.Fatal(err)
		}
		first := 10
		for name, edit := range map[string]func(*backend.Workload){
			"open":   func(w *backend.Workload) { w.Open = true },
			"output": func(w *backend.Workload) { w.Requests[0].Output = 7 },
			"after":  func(w *backend.Workload) { w.Requests[1].After = &first },
		} {
			w := backend.Workload{OutputTokens: 3, Requests: asks(4, 4)}
			edit(&w)
			if _, err := e.Run(t.Context(), w); err == nil {
				t.Errorf("%s: accepted", name)
			}
		}
	})
}
