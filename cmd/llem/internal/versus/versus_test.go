package versus

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/cmd/llem/internal/loads"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/compare"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/load/trace"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// system is an engine of which the truth is known: what a good token takes at a rate, and which share of the requests
// is within the objective.
type system struct {
	idleW, requestJ float64
	capacity        float64 // the rate at which half of the requests are good
}

// What a request has, and how far runs of one load scatter.
const (
	outputs  = 32
	scatter  = 0.015
	windowS  = 60
	steep    = 12 // of the share of good requests around the capacity
	required = 0.95
)

// good is the share of good requests at a rate.
func (s system) good(rate float64) float64 { return 1 / (1 + math.Exp(steep*(rate/s.capacity-1))) }

// joules are what an output token takes at a rate.
func (s system) joules(rate float64) float64 { return (s.idleW/rate + s.requestJ) / outputs }

// side measures a system at some rates; base changes its configuration.
func side(random *rand.Rand, s system, cycles int, base func(*study.Experiment), rates ...float64) Side {
	var name strings.Builder
	fmt.Fprintf(&name, "study-%x", random.Uint64())
	found := &result.StudyResult{Dir: name.String()}
	for _, rate := range rates {
		e := study.Experiment{Model: "random:tiny-llama", Backend: "fake", DType: "bfloat16"}
		e.Workload = study.Workload{Dataset: "synthetic", InputTokens: 64, OutputTokens: outputs,
			Load: study.Arrivals{Kind: "poisson", Rate: rate}, SLO: study.SLO{TTFTMS: 500, TPOTMS: 50}}
		if base != nil {
			base(&e)
		}
		var values []result.Values
		for cycle := range cycles {
			r := s.run(random, e, rate, cycle+1)
			found.Runs = append(found.Runs, r)
			found.Rows = append(found.Rows, result.Row{ID: r.ID, Cycle: r.Cycle, Status: r.Status,
				Values: result.ValuesOf(r)})
			values = append(values, result.ValuesOf(r))
		}
		spreads, err := result.SpreadsOf(values)
		if err != nil {
			panic(err)
		}
		found.Experiments = append(found.Experiments, result.ExperimentSummary{ID: e.ID(), Config: e, OK: cycles,
			Status: result.OK, Metrics: spreads})
	}
	all, err := loads.Of(found)
	if err != nil || len(all.Groups) != 1 {
		panic(fmt.Sprint(len(all.Groups), err))
	}
	return Side{Study: found, Group: all.Groups[0], own: all.Groups[0].Base.Workload.SLO}
}

// began counts seconds, so that no two runs are the same.
var began = time.Unix(1795000000, 0)

// run is a run of a system at a rate.
func (s system) run(random *rand.Rand, e study.Experiment, rate float64, cycle int) *result.Record {
	n, good := rate*windowS, 0.0
	for range int(n) {
		if random.Float64() < s.good(rate) {
			good++
		}
	}
	low, high := load.Wilson(good, n, load.Z95)
	quantity := func(v float64) *result.Quantity {
		return &result.Quantity{Value: v, CI95: [2]float64{v * 0.99, v * 1.01}}
	}
	perToken := s.joules(rate) * math.Exp(scatter*random.NormFloat64())
	r := &result.Record{ID: e.ID(), Cycle: cycle, Status: result.OK, Config: e,
		Window: &result.Window{Start: began.Add(time.Duration(random.Int64N(1e15))), DurationS: windowS}}
	r.Energy.Provenance, r.Energy.TotalJ = result.Simulated, quantity(perToken*rate*windowS*outputs)
	r.Energy.PerOutputTokenJ = quantity(perToken)
	r.Load = &result.Load{Kind: "poisson", OfferedRPS: rate, CompletedRPS: rate, Scheduled: int64(n), Good: int64(good),
		GoodputRPS: good / windowS, Attainment: &result.Estimate{Value: good / n, CI95: [2]float64{low, high}},
		SLOMet: load.Judged(low, high, required)}
	if good > 0 {
		r.Load.PerGoodTokenJ = quantity(perToken * n / good)
	}
	at := &result.Distribution{N: int(n), Mean: 100 / s.capacity,
		P50: 100 / s.capacity * math.Exp(0.05*random.NormFloat64())}
	r.Latency = &result.Latency{ResponseTTFT: at, TPOT: at}
	return r
}

var rates = []float64{4, 6, 8, 12}

func of(t *testing.T, a, b Side) *Comparison {
	t.Helper()
	c, err := Of(a, b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var tries = flag.Int("tries", 60, "how many comparisons are simulated")

// TestEqualSides: of sides with one truth, the cheapest loads are called different in 5 of 100 comparisons at most,
// although a load near the limit of the objective may be judged yes for one side and no for the other; so is any of the
// loads of both, in the primary metric.
func TestEqualSides(t *testing.T) {
	random := rand.New(rand.NewPCG(19, 5))
	n := *tries
	headline, anywhere := 0, 0
	for range n {
		s := system{90, 20, 8 + 6*random.Float64()}
		c := of(t, side(random, s, 3, nil, rates...), side(random, s, 3, nil, rates...))
		if v := c.Cheapest.Verdict; v == compare.Lower || v == compare.Higher {
			headline++
		}
		for _, p := range c.Pairs {
			if v := p.Metric(c.Primary).Verdict; v == compare.Lower || v == compare.Higher {
				anywhere++
				break
			}
		}
	}
	t.Logf("of %d comparisons of equal sides, %d answers and %d sets of the loads of both report a difference", n,
		headline, anywhere)
	if most := 0.05*float64(n) + 3*math.Sqrt(0.05*0.95*float64(n)); float64(headline) > most ||
		float64(anywhere) > most {
		t.Errorf("%d and %d of %d equal sides are called different, expected %g at most", headline, anywhere, n, most)
	}
}

// TestDifferentSides: a side that takes a tenth less at its cheapest load is found, as the one that takes less.
func TestDifferentSides(t *testing.T) {
	random := rand.New(rand.NewPCG(19, 6))
	n := max(1, *tries/2)
	found, wrong := 0, 0
	for range n {
		a, b := system{90, 20, 12}, system{81, 18, 12}
		c := of(t, side(random, a, 4, nil, rates...), side(random, b, 4, nil, rates...))
		switch c.Cheapest.Verdict {
		case compare.Lower:
			found++
		case compare.Higher:
			wrong++
		}
	}
	t.Logf("found %d of %d, wrong %d", found, n, wrong)
	if found < n*7/10 || wrong > 0 {
		t.Errorf("a difference of 10 %% was found in %d of %d, and the wrong way in %d", found, n, wrong)
	}
}

// fixed returns a function that gives each side of a test of texts its own runs: the same ones each time, in any order
// of the tests.
func fixed() func() *rand.Rand {
	seed := uint64(0)
	return func() *rand.Rand {
		seed++
		return rand.New(rand.NewPCG(1, seed))
	}
}

// TestAnswers: the answer names the objective, the load of each side with its energy and interval, and who takes less,
// or why that is not known with what to run next.
func TestAnswers(t *testing.T) {
	next := fixed()
	fast, slow := system{90, 20, 20}, system{90, 20, 11}
	close95 := system{90, 20, 10.6} // just 95 % of the requests are good at 8 requests/s
	for name, q := range map[string]struct {
		a, b    Side
		verdict compare.Verdict
		answer  string
		next    string
	}{
		"lower": {side(next(), slow, 4, nil, rates...), side(next(), fast, 4, nil, rates...), compare.Lower,
			"Within TTFT 500 ms, TPOT 50 ms for 95 %: A at 8 req/s ", ""},
		"one run": {side(next(), slow, 1, nil, rates...), side(next(), fast, 1, nil, rates...), compare.NotTested,
			"which takes less is not tested, because a side has one run", "measure 3 to 5 cycles of each"},
		"no load": {side(next(), system{90, 20, 2}, 3, nil, 4, 8), side(next(), fast, 3, nil, rates...), None,
			"A met the objective at no load; the best: ", "measure A at loads below 4 req/s, such as 1"},
		"not measured": {side(next(), fast, 4, nil, rates...), side(next(), fast, 4, nil, 2, 4), Open,
			"which takes less is open: B was not measured between 4 req/s and 12 req/s", "measure B between 4 " +
				"req/s and "},
		"unresolved": {side(next(), fast, 4, nil, 2, 4, 6), side(next(), close95, 4, nil, 2, 4, 8), Open,
			"which takes less is open: B may meet the objective at 8 req/s, too, where it takes ",
			"measure B at 8 req/s for "},
		"other objectives": {side(next(), fast, 3, nil, 2, 4), side(next(), fast, 3, func(e *study.Experiment) {
			e.Workload.SLO.TTFTMS = 100
		}, 2, 4), "", "the objectives differ (A ≥ 95 % within TTFT 500 ms, TPOT 50 ms, B ≥ 95 % within TTFT 100 ms",
			"judge both by one objective, such as --slo"},
	} {
		c := of(t, q.a, q.b)
		verdict := compare.Verdict("")
		if c.Cheapest != nil {
			verdict = c.Cheapest.Verdict
		}
		if verdict != q.verdict || !strings.Contains(c.Answer, q.answer) || !strings.Contains(c.Next, q.next) {
			t.Errorf("%s: %s: %s\nnext: %s", name, verdict, c.Answer, c.Next)
		}
	}
}

// TestPairs: loads are paired by kind, rate and coefficient of variation; a load of one side alone is listed, and a
// load that is saturated or was sent late has no latency on either side, with the reason.
func TestPairs(t *testing.T) {
	next := fixed()
	s := system{90, 20, 16}
	a, b := side(next(), s, 3, nil, 2, 4, 6, 8), side(next(), s, 3, nil, 4, 6, 8, 10)
	a.Group.Points[1].Saturated = 1
	b.Group.Points[1].Runs[0].Warnings.Warn(codes.SendLag, "late")
	c := of(t, a, b)
	if len(c.Pairs) != 3 || c.Pairs[0].Load != 4 || len(c.Alone) != 2 {
		t.Fatalf("%d pairs, alone %+v", len(c.Pairs), c.Alone)
	}
	for i, want := range []string{"A was saturated in 1 of 3 runs", "B sent requests late in 1 of 3 runs", ""} {
		p := c.Pairs[i]
		if p.Why != want || (p.Metric("latency.tpot_ms.p50") == nil) != (want != "") ||
			p.Metric(loads.GoodTokenMetric) == nil {
			t.Errorf("at %g: %q, %+v", p.Load, p.Why, p.Metrics)
		}
	}
	for i, want := range []Alone{{"A", 2, a.Group.Points[0].Summary.ID, "B was not measured"},
		{"B", 10, b.Group.Points[3].Summary.ID, "A was not measured"}} {
		if c.Alone[i] != want {
			t.Errorf("%+v, want %+v", c.Alone[i], want)
		}
	}
	gamma := side(next(), s, 3, func(e *study.Experiment) {
		e.Workload.Load.Kind, e.Workload.Load.CV = "gamma", 2
	}, 4, 6, 8)
	c = of(t, a, gamma)
	if len(c.Pairs) != 0 || c.Cheapest.Verdict != Open || !strings.Contains(c.Answer, "requests arrive differently "+
		"(workload.load.kind is poisson in A and gamma in B, workload.load.cv is ") || len(c.Warnings) != 1 {
		t.Errorf("%d pairs: %s\n%v", len(c.Pairs), c.Answer, c.Warnings)
	}
}

// TestWhatIsOneLoad: closed loops are paired by the requests in flight, and traces by what is replayed, wherever their
// file is; a load that a search chose is compared with none.
func TestWhatIsOneLoad(t *testing.T) {
	next := fixed()
	s := system{90, 20, 16}
	closed := func(e *study.Experiment) {
		e.Workload.Concurrency, e.Workload.Load = int(e.Workload.Load.Rate), study.Arrivals{}
	}
	trace := func(file string) func(*study.Experiment) {
		return func(e *study.Experiment) {
			e.Workload.Load = study.Arrivals{Kind: "trace", Trace: file, Speed: e.Workload.Load.Rate}
		}
	}
	search := func(e *study.Experiment) { e.Workload.Load.Search = load.OverRate }
	for name, q := range map[string]struct {
		a, b  func(*study.Experiment)
		pairs int
		why   string
	}{
		"closed":       {closed, closed, 1, "was not measured"},
		"closed, open": {closed, nil, 0, "was not measured"},
		"trace":        {trace("here/a.csv"), trace("/there/a.csv"), 1, "was not measured"},
		"other trace":  {trace("a.csv"), trace("b.csv"), 0, "was not measured"},
		"search":       {search, nil, 0, "a search chose the load of A"},
	} {
		c := of(t, side(next(), s, 2, q.a, 2, 4), side(next(), s, 2, q.b, 4, 8))
		told := false
		for _, x := range c.Alone {
			told = told || strings.Contains(x.Why, q.why)
		}
		if len(c.Pairs) != q.pairs || !told {
			t.Errorf("%s: %d pairs, alone %+v", name, len(c.Pairs), c.Alone)
		}
	}
}

// TestChangedTrace: a trace whose file was changed between two studies is another load, although its name is the same.
func TestChangedTrace(t *testing.T) {
	next := fixed()
	traced := func(e *study.Experiment) {
		e.Workload.Load = study.Arrivals{Kind: "trace", Trace: "a.csv", Speed: e.Workload.Load.Rate}
	}
	a, b := side(next(), system{90, 20, 16}, 2, traced, 2), side(next(), system{90, 20, 16}, 2, traced, 2)
	set := func(s Side, requests int64) {
		for _, r := range s.Group.Points[0].Runs {
			r.Load.Trace = &trace.Summary{Rows: 100, Requests: requests, RecordedS: 60}
		}
	}
	set(a, 90)
	set(b, 90)
	if c := of(t, a, b); len(c.Pairs) != 1 || len(c.Warnings) != 0 {
		t.Errorf("of one file: %d pairs, %q", len(c.Pairs), c.Warnings)
	}
	set(b, 91)
	const why = "the traces of this name differ: A replayed 90 requests over 60.0 s, B 91 requests over 60.0 s"
	if c := of(t, a, b); len(c.Pairs) != 0 || len(c.Alone) != 1 || c.Alone[0].Why != why ||
		c.Cheapest.Verdict != Open || !strings.Contains(c.Answer, why) || len(c.Warnings) != 1 {
		t.Errorf("of two files: %d pairs, %+v: %s\n%q", len(c.Pairs), c.Alone, c.Answer, c.Warnings)
	}
}

// TestOtherWork: other models, lengths and objectives are said, with the next step.
func TestOtherWork(t *testing.T) {
	next := fixed()
	s := system{90, 20, 16}
	a := side(next(), s, 3, nil, 2, 4)
	for name, q := range map[string]struct {
		change func(*study.Experiment)
		want   string
	}{
		"model": {func(e *study.Experiment) { e.Model = "random:llama-3.1-8b" },
			"the sides ran different models (model is random:tiny-llama in A and random:llama-3.1-8b in B)"},
		"lengths": {func(e *study.Experiment) { e.Workload.InputTokens = 512 },
			"the sides did different work (workload.input_tokens is 64 in A and 512 in B)"},
	} {
		c := of(t, a, side(next(), s, 3, q.change, 2, 4))
		if len(c.Pairs) != 2 || !strings.Contains(strings.Join(c.Warnings, "\n"), q.want) ||
			!strings.Contains(c.Warnings[0], "; next: ") {
			t.Errorf("%s: %d pairs, %q", name, len(c.Pairs), c.Warnings)
		}
	}
}

// TestCapacity: the highest loads differ only where the limits of the searches do not overlap.
func TestCapacity(t *testing.T) {
	next := fixed()
	of := func(limits ...[2]float64) Side {
		s := side(next(), system{90, 20, 16}, len(limits), nil, 2)
		for i, r := range s.Group.Points[0].Runs {
			q := &result.Search{Over: load.OverRate, Load: 2, Resolved: true}
			if limits[i][0] > 0 {
				q.Lower = &limits[i][0]
			}
			if limits[i][1] > 0 {
				q.Upper = &limits[i][1]
			}
			r.Load.Search = q
		}
		return s
	}
	for name, q := range map[string]struct {
		a, b    Side
		verdict compare.Verdict
		text    string
	}{
		"apart": {of([2]float64{10, 11}), of([2]float64{12, 12.5}), compare.Higher,
			"Searches: A met it at 10 req/s and not at 11, B at 12 req/s and not at 12.5: B meets the objective " +
				"at higher " +
				"loads than A: 1.09 to 1.25 times."},
		"below": {of([2]float64{20, 0}), of([2]float64{10, 12}), compare.Lower, "at least 1.67 times"},
		"overlap": {of([2]float64{10, 12}), of([2]float64{11, 13}), compare.NotTold,
			"cannot be told: the limits overlap"},
		"several": {of([2]float64{10, 11}, [2]float64{12, 13}), of([2]float64{12.5, 14}), compare.NotTold,
			"A met it at 10 req/s and not at 13 (in all of 2 searches)"},
		"none": {of([2]float64{0, 1}), of([2]float64{1, 2}), compare.Higher, "A met it at no load and not at 1"},
	} {
		c := &Comparison{SLO: q.a.slo()}
		c.capacity(q.a, q.b)
		if c.Capacity == nil || c.Capacity.Verdict != q.verdict || !strings.Contains(c.Capacity.Text, q.text) {
			t.Errorf("%s: %+v %v", name, c.Capacity, c.Warnings)
		}
	}
	a, b := of([2]float64{10, 11}), of([2]float64{12, 12.5})
	c := &Comparison{SLO: study.SLO{TTFTMS: 1}}
	if c.capacity(a, b); c.Capacity != nil || len(c.Warnings) != 1 {
		t.Errorf("searches for another objective: %+v %v", c.Capacity, c.Warnings)
	}
}
