package join

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/sim"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// offer is a simulated server with a load: what all of its points have in common, and what they are compared with.
type offer struct {
	server sim.GridPoint
	tokens int // of a prompt, on average
	use    float64
	kind   string // of arrivals
	trouble
	tier     backend.Tier
	blunt    bool    // a token has no stamp of its own
	capacity float64 // requests per second
	rate     float64
	seconds  float64
	slo      study.SLO
	places   int // requests in flight of a closed loop, or the cap of an open one
	truth    *longRun
}

// trouble is what goes wrong with the requests of a load.
type trouble string

const (
	smooth   trouble = "nothing"
	sentLate trouble = "sent late"
	fail     trouble = "some fail"
	capped   trouble = "capped"
)

// longRun is a run of the same server and load, many times as long as a point, with the true power of a model without
// noise. It is what the statistical quantities of a point estimate.
type longRun struct {
	ttft, e2e, tpot []float64 // response times in milliseconds, sorted
	attained        float64
	slope           float64 // requests in flight per second
	grows           float64 // the share of the requests that stays without an answer
	perOutput       float64 // J per output token
	perGood         float64 // J per output token of a good request
	worth           float64 // independent requests in a window, by the scatter of its mean time to the first token
	log             *backend.Log
	curve           sim.Curve
	window          attribute.Window
}

const warm = 0.1 // the share of a long run that is not part of it

var (
	offerKinds = []string{load.Poisson, load.Poisson, load.Gamma, load.Constant, load.Closed, load.Ramp}
	offerUses  = []float64{0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.1, 1.2, 1.4}
)

// offerOf draws a server and its load.
func offerOf(t *testing.T, index int) offer {
	t.Helper()
	seed := uint64(index)*7919 + 11
	r := rand.New(rand.NewPCG(seed, 3))
	between := func(low, high float64) float64 { return low + (high-low)*r.Float64() }
	o := offer{tier: backend.TierExact, trouble: smooth, kind: offerKinds[index%len(offerKinds)]}
	o.server, o.tokens = sim.Serving(seed, index)
	o.use = offerUses[(index/2)%len(offerUses)]
	if r.IntN(2) == 0 {
		o.tier, o.blunt = backend.TierClient, r.IntN(3) == 0
	}
	if o.kind != load.Closed && r.IntN(2) == 0 {
		o.trouble = []trouble{sentLate, fail, capped}[r.IntN(3)]
	}
	o.capacity = o.most(t)
	o.rate = o.use * o.capacity
	o.seconds = min(60, max(20, between(150, 700)/o.rate))
	switch {
	case o.kind == load.Closed:
		o.places = max(1, int(math.Round(o.use*float64(o.server.Batch))))
	case o.trouble == capped:
		o.places = max(1, int(math.Round(o.use*float64(o.server.Batch)*between(0.7, 1.3))))
	}
	o.truth = o.long(t)
	if n := len(o.truth.ttft); n > 0 && !o.offeredTooMuch() {
		o.slo = study.SLO{TTFTMS: quantile(o.truth.ttft, between(0.8, 0.995)), TPOTMS: quantile(o.truth.tpot, 0.99),
			Attainment: []float64{0.9, 0.95}[r.IntN(2)]}
	} else {
		o.slo = study.SLO{TTFTMS: 1000, TPOTMS: 100, Attainment: 0.95}
	}
	o.truth.judge(o)
	return o
}

// workload returns requests that arrive for a time, with the time by which each is sent late and whether it fails.
func (o offer) workload(t *testing.T, seed uint64, seconds float64) (w backend.Workload, lag []int64, fails []bool) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 4))
	var at []int64
	if o.kind == load.Closed {
		at = make([]int64, int(seconds*o.capacity*o.use)+2*o.places)
	} else {
		p := load.Process{Kind: o.kind, Rate: o.rate, Seed: seed, DurationS: seconds}
		switch o.kind {
		case load.Gamma:
			p.CV = 2
		case load.Ramp:
			p.Rate, p.ToRate = 0.5*o.rate, 1.5*o.rate
		}
		var err error
		if at, err = load.Times(p); err != nil {
			t.Fatal(err)
		}
		w.Open, w.DrainNS = true, int64(time.Minute)
	}
	w.OutputTokens = o.server.OutputTokens
	if o.places > 0 {
		w.Concurrency = o.places
	}
	for i, due := range at {
		n := max(1, int(float64(o.tokens)*(0.6+0.8*r.Float64())))
		p := backend.Prompt{ID: i, Tokens: make([]int32, n), DueNS: due}
		fails = append(fails, o.trouble == fail && r.Float64() < 0.08)
		if fails[i] {
			p.Output = 1 + r.IntN(w.OutputTokens)
		}
		lag = append(lag, 0)
		if o.trouble == sentLate {
			lag[i] = int64(r.ExpFloat64() * float64(10*time.Millisecond))
			p.DueNS += lag[i]
		}
		w.Requests = append(w.Requests, p)
	}
	return w, lag, fails
}

// undo gives the log of a run the times at which its requests were due, and the failures.
func (o offer) undo(log *backend.Log, lag []int64, fails []bool) {
	for i := range log.Requests {
		q := &log.Requests[i]
		q.ArrivedNS -= lag[i]
		if fails[i] {
			q.OK, q.Failure = false, "the connection was lost"
		}
	}
}

// serve runs a workload on the engine alone, in virtual time.
func (o offer) serve(t *testing.T, w backend.Workload, seed uint64) (log *backend.Log, curve sim.Curve) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c := sim.NewClock()
		f, err := sim.Create(filepath.Join(dir, "sim"), sim.Options{BareW: o.server.Engine.Model.BareW, Clock: c})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		opts := o.server.Engine
		opts.Now, opts.Seed = c.Now, seed
		m := &opts.Model
		m.Noise, m.Drift, m.Ripple, m.Rise = 0, 0, 0, 0
		e := sim.NewEngine(f, opts)
		defer e.Close()
		if _, err := e.Load(t.Context(), backend.Spec{}, func(string, float64) {}); err != nil {
			t.Fatal(err)
		}
		if log, err = e.Run(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		curve = f.Curve(0)
	})
	return log, curve
}

// most returns the rate at which the engine completes requests when there are always more of them than it can run.
func (o offer) most(t *testing.T) float64 {
	t.Helper()
	w, _, _ := offer{server: o.server, tokens: o.tokens, kind: load.Closed, capacity: 1, use: 1,
		places: 2 * o.server.Batch}.workload(t, o.server.Seed+1, float64(16*o.server.Batch))
	log, _ := o.serve(t, w, o.server.Seed+1)
	var ends []int64
	for _, q := range log.Requests {
		ends = append(ends, q.EndNS)
	}
	slices.Sort(ends)
	from, to := len(ends)/5, len(ends)*4/5
	return float64(to-from) / (float64(ends[to]-ends[from]) / 1e9)
}

// offeredTooMuch reports whether more requests arrive than the engine can answer.
func (o offer) offeredTooMuch() bool { return o.kind != load.Closed && o.use > 1 }

// steady reports whether the load has a steady state, which the long run has shown.
func (o offer) steady() bool {
	return o.kind != load.Ramp && !o.truth.overloaded() && o.truth.grows < clearly/4
}

// clearly is the share of the requests that stays without an answer in a load that is clearly beyond the capacity.
const clearly = 0.04

func (l *longRun) overloaded() bool { return l.grows > clearly }

// good reports whether a request meets the objective.
func (o offer) good(q backend.Request) bool {
	n := max(1, q.OutputTokens-1)
	return q.OK && float64(q.FirstTokenNS-q.ArrivedNS)/1e6 <= o.slo.TTFTMS &&
		float64(q.EndNS-q.FirstTokenNS)/1e6/float64(n) <= o.slo.TPOTMS
}

// point is one simulated point of a load.
type point struct {
	offer
	rec  *result.Record
	m    *Material
	out  *sim.Outcome
	lag  []int64
	name string
	// figures of the point, compared with the truth.
	figures []figure
}

// measure simulates one point of a load and computes its record.
func (o offer) measure(t *testing.T, library string, seed uint64) point {
	t.Helper()
	s := o.server
	s.Engine.Seed = seed
	s.GPUs = slices.Clone(s.GPUs)
	s.GPUs[0].Seed = seed
	w, lag, fails := o.workload(t, seed, o.seconds)
	s.Workload = &w
	p := point{offer: o, lag: lag, name: fmt.Sprintf("%s %s at %.1f/s = %.2f of capacity, %s, seed %d", s.Name, o.kind,
		o.rate, o.use, o.trouble, seed)}
	var err error
	synctest.Test(t, func(t *testing.T) { p.out, err = sim.Run(t.Context(), library, t.TempDir(), s.Scenario) })
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	o.undo(p.out.Log, lag, fails)
	p.m, p.rec = o.material(p.out, w)
	Compute(p.m, p.rec, nil)
	p.figures = p.compared()
	p.m, p.out = nil, nil
	return p
}

// material returns what the product knows of a point.
func (o offer) material(out *sim.Outcome, w backend.Workload) (*Material, *result.Record) {
	log := out.Log
	m := &Material{Engine: Engine{Tier: o.tier, Device: "cuda"}, Steps: log.Steps,
		Window: attribute.Window(out.Window), Bare: attribute.Window(out.Bare.Window),
		Resident: attribute.Window(out.Resident.Window), Load: &LoadRun{StartNS: log.StartNS, EndNS: log.EndNS}}
	if w.Open {
		m.Load.HorizonNS = log.StartNS + int64(o.seconds*1e9)
	}
	for _, q := range log.Requests {
		m.Given += int64(q.PromptTokens)
		m.Asked += int64(q.OutputTokens)
		if o.tier == backend.TierClient {
			q.StartedNS, q.PrefillStartNS = 0, 0
		}
		if o.blunt {
			q.TokenNS = q.TokenNS[:min(1, len(q.TokenNS))]
		}
		m.Requests = append(m.Requests, q)
	}
	if o.tier == backend.TierClient {
		m.Steps = nil
	}
	m.SetTrace(Traces(Traces(out.Bare.Trace, out.Resident.Trace), out.Trace))
	// As after a self-test that found that the counter misses nothing.
	swing, profiles := 0.0, map[string]*power.Profile{}
	for _, d := range out.Devices {
		profiles[d.ID] = &power.Profile{Device: d.ID, SwingPct: &swing}
	}
	m.SetDevices(out.Devices, nil, profiles)
	rec := &result.Record{Config: study.DefaultExperiment(engines.All()[0]),
		Window: &result.Window{Repeats: 1, StartMonoNS: m.Window.Start, EndMonoNS: m.Window.End},
		Status: result.OK, SchemaVersion: result.SchemaVersion, Energy: result.Energy{Provenance: result.None}}
	c := &rec.Config.Workload
	c.SLO, c.Concurrency = o.slo, o.places
	if w.Open {
		c.Load = study.Arrivals{Kind: o.kind, Rate: o.rate, DurationS: o.seconds}
	}
	return m, rec
}

// long simulates the load for much longer than a point lasts.
func (o offer) long(t *testing.T) *longRun {
	t.Helper()
	l := &longRun{}
	if o.kind == load.Ramp {
		return l
	}
	times := 40.0
	switch {
	case *loadPoints == 0:
		times = 10
	case o.offeredTooMuch():
		times = 6
	}
	seed := o.server.Seed + 2
	w, lag, fails := o.workload(t, seed, times*o.seconds)
	w.DrainNS = int64(24 * time.Hour)
	l.log, l.curve = o.serve(t, w, seed)
	o.undo(l.log, lag, fails)
	last := l.log.StartNS
	for _, q := range l.log.Requests {
		last = max(last, q.ArrivedNS)
	}
	l.window = attribute.Window{Start: l.log.StartNS + int64(warm*float64(last-l.log.StartNS)), End: last}
	for _, q := range l.log.Requests {
		if q.OK && l.in(q.ArrivedNS) {
			l.ttft = append(l.ttft, float64(q.FirstTokenNS-q.ArrivedNS)/1e6)
			l.e2e = append(l.e2e, float64(q.EndNS-q.ArrivedNS)/1e6)
			l.tpot = append(l.tpot, float64(q.EndNS-q.FirstTokenNS)/1e6/float64(max(1, q.OutputTokens-1)))
		}
	}
	l.worth = o.worth(l)
	slices.Sort(l.ttft)
	slices.Sort(l.e2e)
	slices.Sort(l.tpot)
	return l
}

func (l *longRun) in(at int64) bool { return at >= l.window.Start && at < l.window.End }

// judge computes what depends on the objective, and forgets the log.
func (l *longRun) judge(o offer) {
	if l.log == nil {
		return
	}
	var scheduled, good, ended, output, goodOutput float64
	for _, q := range l.log.Requests {
		n := 0.0
		for _, at := range q.TokenNS {
			if l.in(at) {
				n++
			}
		}
		if q.OK {
			output += n
		}
		if o.good(q) {
			goodOutput += n
		}
		if l.in(q.EndNS) {
			ended++
		}
		if l.in(q.ArrivedNS) {
			scheduled++
			if o.good(q) {
				good++
			}
		}
	}
	joules := l.curve.Joules(l.window.Start, l.window.End)
	l.attained, l.perOutput, l.perGood = good/scheduled, joules/output, joules/goodOutput
	l.grows = (scheduled - ended) / scheduled
	if l.overloaded() {
		l.slope = (scheduled - ended) / l.window.Duration().Seconds()
	}
	l.log, l.curve = nil, nil
}

// worth returns the number of independent requests that a point's requests are worth for their mean time to the first
// token, from the scatter of that mean between parts of the long run.
func (o offer) worth(l *longRun) float64 {
	var all, means []float64
	length := int64(o.seconds * 1e9)
	for from := l.window.Start; from+length <= l.window.End; from += length {
		var some []float64
		for _, q := range l.log.Requests {
			if q.OK && q.ArrivedNS >= from && q.ArrivedNS < from+length {
				some = append(some, float64(q.FirstTokenNS-q.ArrivedNS)/1e6)
			}
		}
		all, means = append(all, some...), append(means, mean(some))
	}
	return variance(all) / variance(means)
}

func mean(v []float64) (m float64) {
	for _, x := range v {
		m += x / float64(len(v))
	}
	return m
}

func variance(v []float64) (s float64) {
	m := mean(v)
	for _, x := range v {
		s += (x - m) * (x - m) / float64(len(v)-1)
	}
	return s
}
