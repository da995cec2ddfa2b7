package join

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/latencies"
	"github.com/llenergymeasure/llem/internal/sim"
	"github.com/llenergymeasure/llem/result"
)

// TestLatency against values computed by hand.
func TestLatency(t *testing.T) {
	got := latency([]backend.Request{
		// It waits 5 ms; 10 ms to the first token, then gaps of 2, 4 and 6 ms; ends 1 ms later.
		{OK: true, ArrivedNS: 95 * ms, StartedNS: 100 * ms, FirstTokenNS: 110 * ms, EndNS: 123 * ms, OutputTokens: 4,
			TokenNS: []int64{110 * ms, 112 * ms, 116 * ms, 122 * ms}},
		// A single token has a TTFT, but neither TPOT nor ITL.
		{OK: true, ArrivedNS: 199 * ms, StartedNS: 200 * ms, FirstTokenNS: 230 * ms, EndNS: 230 * ms, OutputTokens: 1,
			TokenNS: []int64{230 * ms}},
		// A failed request counts nowhere.
		{FirstTokenNS: 900 * ms, EndNS: 1000 * ms, OutputTokens: 2, TokenNS: []int64{900 * ms, 1000 * ms}},
	}, 1)
	for name, q := range map[string]struct {
		d              *result.Distribution
		n              int
		mean, min, max float64
	}{
		"queue":         {got.Queue, 2, 3, 1, 5},
		"TTFT":          {got.TTFT, 2, 20, 10, 30},
		"ITL":           {got.ITL, 3, 4, 2, 6},
		"TPOT":          {got.TPOT, 1, 13.0 / 3, 13.0 / 3, 13.0 / 3}, // (23 − 10) / (4 − 1)
		"e2e":           {got.E2E, 2, 26.5, 23, 30},
		"response TTFT": {got.ResponseTTFT, 2, 23, 15, 31},
		"response e2e":  {got.ResponseE2E, 2, 29.5, 28, 31},
	} {
		if q.d.N != q.n {
			t.Errorf("%s: n = %d, want %d", name, q.d.N, q.n)
		}
		near(t, name+" mean", q.d.Mean, q.mean, 1e-9)
		near(t, name+" min", q.d.Min, q.min, 1e-9)
		near(t, name+" max", q.d.Max, q.max, 1e-9)
	}
	if got.TPOT.SD != nil || got.TTFT.SD == nil {
		t.Errorf("sd of one value %v, of two %v; want null and a number", got.TPOT.SD, got.TTFT.SD)
	}
	if none := latency(nil, 1); none.TTFT != nil || none.ITL != nil || none.Reason != "" {
		t.Errorf("latency of nothing = %+v, want nulls", none)
	}
}

// TestUnknownStart: if an engine does not report when it began, there is a response time, and a reason for
// the missing times. TPOT and ITL need no start.
func TestUnknownStart(t *testing.T) {
	var list []backend.Request
	for i := range int64(3) {
		list = append(list, backend.Request{OK: true, ArrivedNS: ms, SubmittedNS: ms, FirstTokenNS: (10 + i) * ms,
			EndNS: (20 + i) * ms, OutputTokens: 2, TokenNS: []int64{(10 + i) * ms, (20 + i) * ms}})
	}
	list[0].StartedNS = ms
	got := latency(list, 2)
	if got.Queue != nil || got.TTFT != nil || got.E2E != nil {
		t.Errorf("queue %v, TTFT %v, e2e %v, want none: two requests are unknown", got.Queue, got.TTFT, got.E2E)
	}
	for _, want := range []string{"2 of 3 requests", "up to 3 at once", "runs 2 together"} {
		if !strings.Contains(got.Reason, want) {
			t.Errorf("reason %q, want %q in it", got.Reason, want)
		}
	}
	near(t, "response TTFT", got.ResponseTTFT.Mean, 10, 1e-9)
	near(t, "response e2e", got.ResponseE2E.Mean, 20, 1e-9)
	near(t, "TPOT", got.TPOT.Mean, 10, 1e-9)
	if got.ITL.N != 3 {
		t.Errorf("ITL of %d gaps, want 3", got.ITL.N)
	}
}

// TestStamps: missing stamps follow from the workload and, for an engine with exact steps, from how it
// schedules waiting requests.
func TestStamps(t *testing.T) {
	type stamps = [2]int64 // arrived, started
	request := func(submitted, prefill, end int64) backend.Request {
		return backend.Request{OK: true, SubmittedNS: submitted, PrefillStartNS: prefill, EndNS: end}
	}
	for name, q := range map[string]struct {
		requests    []backend.Request
		tier        backend.Tier
		round       int
		concurrency int
		want        []stamps
	}{
		"static batches": {
			requests: []backend.Request{request(10, 11, 20), request(10, 15, 20), request(21, 22, 30)},
			tier:     backend.TierExact, want: []stamps{{10, 10}, {10, 10}, {10, 21}},
		},
		"static batches in two rounds": {
			requests: []backend.Request{request(10, 10, 20), request(20, 20, 30), request(31, 31, 40),
				request(40, 40, 50)},
			tier: backend.TierExact, round: 2, want: []stamps{{10, 10}, {10, 20}, {31, 31}, {31, 40}},
		},
		"a scheduler with a queue": {
			requests: []backend.Request{request(10, 11, 20), request(10, 12, 25), request(10, 21, 40)},
			tier:     backend.TierExact, want: []stamps{{10, 11}, {10, 12}, {10, 21}},
		},
		"a server": {
			requests: []backend.Request{request(10, 10, 20), request(11, 11, 40)},
			tier:     backend.TierCounters, want: []stamps{{10, 0}, {10, 0}},
		},
		"a closed loop": {
			requests: []backend.Request{request(10, 10, 20), request(20, 20, 40)},
			tier:     backend.TierCounters, concurrency: 1, want: []stamps{{10, 0}, {20, 0}},
		},
		"what is told stays": {
			requests: []backend.Request{{OK: true, ArrivedNS: 3, SubmittedNS: 10, StartedNS: 12, PrefillStartNS: 15,
				EndNS: 20}},
			tier: backend.TierExact, want: []stamps{{3, 12}},
		},
	} {
		m := &Material{Engine: Engine{Tier: q.tier}, Requests: q.requests}
		rec := &result.Record{Window: &result.Window{Round: q.round}}
		rec.Config.Workload.Concurrency = q.concurrency
		latencies.Stamp(m.Requests, rec, m.Engine.Tier == backend.TierExact)
		var got []stamps
		for _, r := range m.Requests {
			got = append(got, stamps{r.ArrivedNS, r.StartedNS})
		}
		if !slices.Equal(got, q.want) {
			t.Errorf("%s: arrived and started %v, want %v", name, got, q.want)
		}
	}
}

// TestLittlesLaw: the mean number of requests in the system over time is their rate times the mean response
// time, and the mean number in service is the rate times the service time. With one sequence at a time,
// service times equal the times of static batches.
func TestLittlesLaw(t *testing.T) {
	log := map[string]*backend.Log{}
	for name, o := range map[string]sim.EngineOptions{
		"static":       {},
		"continuous":   {Batching: sim.Continuous},
		"as they come": {Batching: sim.Continuous, BatchSize: 3, Arrivals: sim.Arrivals{Rate: 40}},
	} {
		synctest.Test(t, func(t *testing.T) { log[name] = engineLog(t, o) })
	}
	service := map[string]float64{}
	for name, l := range log {
		m := &Material{Engine: Engine{Tier: backend.TierExact}, Requests: l.Requests}
		latencies.Stamp(m.Requests, &result.Record{}, m.Engine.Tier == backend.TierExact)
		got := latency(m.Requests, 0)
		seconds := float64(l.EndNS-l.StartNS) / 1e9
		rate := float64(len(l.Requests)) / seconds
		near(t, name+": mean in the system", inFlight(l, func(q backend.Request) int64 { return q.ArrivedNS }),
			rate*got.ResponseE2E.Mean/1e3, 1e-2)
		near(t, name+": mean in service", inFlight(l, func(q backend.Request) int64 { return q.StartedNS }),
			rate*got.E2E.Mean/1e3, 1e-2)
		near(t, name+": response", got.ResponseTTFT.Mean, got.Queue.Mean+got.TTFT.Mean, 1e-9)
		service[name] = got.TTFT.P50
		if name != "as they come" && !(got.Queue.P50 > 10*got.TTFT.P50) {
			t.Errorf("%s: queue %v ms, TTFT %v ms; want most of the response to be queue", name, got.Queue.P50,
				got.TTFT.P50)
		}
	}
	if a, b := service["static"], service["continuous"]; math.Abs(a/b-1) > 0.05 {
		t.Errorf("TTFT at batch 1: static %v ms, continuous %v ms; the work is the same", a, b)
	}
}

// engineLog runs 24 requests on a simulated engine.
func engineLog(t *testing.T, o sim.EngineOptions) *backend.Log {
	t.Helper()
	c := sim.NewClock()
	f, err := sim.Create(t.TempDir()+"/gpu", sim.Options{Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	o.Now = c.Now
	o.Model = sim.Model{IdleW: 100, StaticW: 200, Time: sim.Times{Weights: 0.006, Prefill: 0.00012, Decode: 0.0004}}
	e := sim.NewEngine(f, o)
	defer e.Close()
	if _, err := e.Load(t.Context(), backend.Spec{MaxContext: 1000}, func(string, float64) {}); err != nil {
		t.Fatal(err)
	}
	w := backend.Workload{OutputTokens: 20}
	for i := range 24 {
		w.Requests = append(w.Requests, backend.Prompt{ID: i, Tokens: make([]int32, 100)})
	}
	log, err := e.Run(context.Background(), w)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// inFlight returns the mean number of requests between a stamp and their end, sampled every tenth of a
// millisecond.
func inFlight(l *backend.Log, since func(backend.Request) int64) float64 {
	sum, looks := 0, 0
	for at := l.StartNS; at < l.EndNS; at += int64(100 * time.Microsecond) {
		looks++
		for _, q := range l.Requests {
			if since(q) <= at && at < q.EndNS {
				sum++
			}
		}
	}
	return float64(sum) / float64(looks)
}

// TestRecomputeEarlierLatencies: latencies of a run with neither arrivals nor starts are reproduced from its
// files, under their current names.
func TestRecomputeEarlierLatencies(t *testing.T) {
	for _, run := range []string{"a0ad14b62020-c1", "12b25febfcc7-c1"} {
		out := Recompute(filepath.Join("..", "..", "testdata", "stored", "queued", result.RunsDir, run))
		if out.Error != "" || len(out.Differ) > 0 || out.Numbers < 100 {
			t.Errorf("%s: %+v", run, out)
		}
	}
}
