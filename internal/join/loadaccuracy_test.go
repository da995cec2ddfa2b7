package join

import (
	"cmp"
	"errors"
	"flag"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/internal/sim"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/result"
)

var (
	loadPoints  = flag.Int("accuracy.loads", 0, "simulated points of loads; 0 is a small part of them")
	loadOut     = flag.String("accuracy.loads-out", "", "write the tables of loads into this file, between their marks")
	loadVerbose = flag.Bool("accuracy.misses", false, "name each interval of a load that misses the truth")
	loadFirst   = flag.Int("accuracy.first", 0, "the first server of the loads")
)

// figure is one number of a point, and what it should be.
type figure struct {
	name         string
	value, truth float64
	low, high    float64 // its interval; NaN without one
	gain         float64 // of the sensor
	absolute     bool    // errors are not relative to the truth
	refused      string
}

func (f figure) seen() float64 { return f.truth * (1 + f.gain) }

func (f figure) covered() bool { return f.low <= f.seen() && f.seen() <= f.high }

func (f figure) error() float64 {
	if f.absolute {
		return f.value - f.truth
	}
	return f.value/f.truth - 1
}

// compared returns the numbers of a point.
func (p point) compared() []figure {
	l, w := p.rec.Load, p.m.Window
	var out []figure
	curve := p.out.Curves[0]
	energy := func(name string, q *result.Quantity, truth float64, why string) {
		f := figure{name: name, truth: truth, refused: why}
		if q != nil {
			f.value, f.low, f.high, f.refused = q.Value, q.CI95[0], q.CI95[1], ""
			f.gain = p.server.GPUs[0].Counter.Gain
			if !strings.Contains(q.Source, sensor.SourceEnergy) {
				f.gain = seriesGain(p.server.GPUs[0])
			}
		} else if why == "" {
			f.refused = "no reason"
		}
		out = append(out, f)
	}
	plain := func(name string, value, truth float64, absolute bool) {
		out = append(out, figure{name: name, value: value, truth: truth, low: math.NaN(), high: math.NaN(),
			absolute: absolute})
	}
	var tokens, good, wasted float64
	for _, q := range p.out.Log.Requests {
		n := 0.0
		for _, at := range q.TokenNS {
			if at >= w.Start && at < w.End {
				n++
			}
		}
		if q.OK {
			tokens += n
		}
		if p.good(q) {
			good += n
		} else {
			wasted += n
		}
	}
	total, seconds := curve.Joules(w.Start, w.End), w.Duration().Seconds()
	e := p.rec.Energy
	energy("total_j", e.TotalJ, total, e.Reason)
	energy("net_j", e.NetJ, total-p.server.Engine.Model.BareW*seconds, e.Reason)
	energy("net_resident_j", e.NetResidentJ, total-p.server.Engine.Model.IdleW*seconds, e.Reason)
	energy("per_output_token_j", e.PerOutputTokenJ, total/tokens, e.Reason)
	if good > 0 {
		energy("per_good_token_j", l.PerGoodTokenJ, total/good, l.EnergyReason)
	}
	if wasted > 0.02*(good+wasted) {
		energy("wasted_j", l.WastedJ, total*wasted/(good+wasted), l.EnergyReason)
	}
	if w.Start > p.m.Load.StartNS {
		energy("ramp_j", l.RampJ, curve.Joules(p.m.Load.StartNS, w.Start), l.EnergyReason)
	}
	if p.m.Load.EndNS > w.End {
		energy("drain_j", l.DrainJ, curve.Joules(w.End, p.m.Load.EndNS), l.EnergyReason)
	}
	idle, idleS := 0.0, 0.0
	for _, i := range p.idle() {
		idle += curve.Joules(i.Start, i.End)
		idleS += i.Duration().Seconds()
	}
	if idleS > 0 {
		energy("idle_j", l.IdleJ, idle, l.EnergyReason)
		plain("idle_s", l.IdleS, idleS, false)
	}
	plain("output tokens", float64(p.rec.Tokens.Output), tokens, false)
	if p.tier == backend.TierExact && p.rec.Energy.Phases != nil {
		truth := sim.TruthOf(p.out.Curves, p.out.Steps, sim.Span(w))
		for _, f := range []struct {
			name  string
			phase *result.Phase
			truth float64
		}{{"prefill", e.Phases.Prefill, truth.Prefill.Joules}, {"decode", e.Phases.Decode, truth.Decode.Joules}} {
			g := figure{name: f.name, truth: f.truth, gain: seriesGain(p.server.GPUs[0]), refused: f.phase.Reason}
			if f.phase.EnergyJ != nil {
				g.value, g.low, g.high = *f.phase.EnergyJ, f.phase.CI95[0], f.phase.CI95[1]
			}
			out = append(out, g)
		}
	}
	return append(out, p.chances()...)
}

// chances returns the numbers of a point that depend on chance, which a long run of the same load has the truth of.
func (p point) chances() (out []figure) {
	l, truth, long := p.rec.Load, p.truth, p.rec.Latency
	if p.kind != load.Ramp && (truth.overloaded() || p.steady()) && l.BacklogSlope != nil {
		name := "backlog_slope, steady"
		if truth.overloaded() {
			name = "backlog_slope, overloaded"
		}
		if p.kind == load.Closed {
			name = "backlog_slope, closed"
		}
		s := l.BacklogSlope
		grew := truth.slope
		if truth.overloaded() {
			grew = p.grew()
		}
		out = append(out, figure{name: name, value: s.Value / p.rate, truth: grew / p.rate,
			low: s.CI95[0] / p.rate, high: s.CI95[1] / p.rate, absolute: true})
	}
	if !p.steady() {
		return out
	}
	add := func(name string, value *float64, ci *[2]float64, truth float64, absolute bool) {
		f := figure{name: name, truth: truth, absolute: absolute, low: math.NaN(), high: math.NaN()}
		if value == nil {
			f.refused = "null"
		} else if f.value = *value; ci != nil {
			f.low, f.high = ci[0], ci[1]
		}
		out = append(out, f)
	}
	if a := l.Attainment; a != nil {
		add("attainment", &a.Value, &a.CI95, truth.attained, true)
	}
	for _, q := range []struct {
		name string
		d    *result.Distribution
		all  []float64
	}{{"response_ttft", long.ResponseTTFT, truth.ttft}, {"response_e2e", long.ResponseE2E, truth.e2e},
		{"tpot", long.TPOT, truth.tpot}} {
		if q.d == nil {
			continue
		}
		add(q.name+" p50", &q.d.P50, q.d.P50CI95, quantile(q.all, 0.50), false)
		add(q.name+" p90", q.d.P90, q.d.P90CI95, quantile(q.all, 0.90), false)
		add(q.name+" p95", q.d.P95, q.d.P95CI95, quantile(q.all, 0.95), false)
		add(q.name+" p99", q.d.P99, q.d.P99CI95, quantile(q.all, 0.99), false)
	}
	add("effective_n", l.EffectiveN, nil, math.Min(truth.worth, float64(l.Scheduled)), false)
	for _, q := range []struct {
		name  string
		q     *result.Quantity
		truth float64
	}{{"long_run_output_token_j", l.LongRunOutputTokenJ, truth.perOutput},
		{"long_run_good_token_j", l.LongRunGoodTokenJ, truth.perGood}} {
		f := figure{name: q.name, truth: q.truth * p.wander(), refused: cmp.Or(l.LongRunReason, "null")}
		if q.q != nil {
			f.value, f.low, f.high, f.refused = q.q.Value, q.q.CI95[0], q.q.CI95[1], ""
			f.gain = p.server.GPUs[0].Counter.Gain
		}
		out = append(out, f)
	}
	if l.LittlePct != nil {
		v := 1 + *l.LittlePct/100
		add("Little's law", &v, nil, 1, false)
	}
	return out
}

// wander returns the energy of the window relative to what its steps cost without the noise and drift of the power,
// which a long run does not have.
func (p point) wander() float64 {
	total := p.out.Curves[0].Joules(p.m.Window.Start, p.m.Window.End)
	plain := total
	for _, s := range p.out.Steps {
		from, to := max(s.Start, p.m.Window.Start), min(s.End, p.m.Window.End)
		if to > from {
			plain -= (s.Caused - s.Joules) * float64(to-from) / float64(s.End-s.Start)
		}
	}
	return total / plain
}

// grew returns the change of the requests in flight over the window, per second.
func (p point) grew() float64 {
	n := 0.0
	for _, q := range p.out.Log.Requests {
		if q.ArrivedNS >= p.m.Window.Start && q.ArrivedNS < p.m.Window.End {
			n++
		}
		if q.EndNS >= p.m.Window.Start && q.EndNS < p.m.Window.End {
			n--
		}
	}
	return n / p.m.Window.Duration().Seconds()
}

// idle returns the parts of the window in which no request was due and unanswered.
func (p point) idle() (out []attribute.Window) {
	type change struct {
		at int64
		by int
	}
	var all []change
	for _, q := range p.out.Log.Requests {
		all = append(all, change{q.ArrivedNS, 1}, change{q.EndNS, -1})
	}
	slices.SortStableFunc(all, func(a, b change) int { return int(a.at - b.at) })
	from, n := p.m.Window.Start, 0
	for _, c := range append(all, change{p.m.Window.End, 1}) {
		at := min(max(c.at, p.m.Window.Start), p.m.Window.End)
		if n == 0 && at > from {
			out = append(out, attribute.Window{Start: from, End: at})
		}
		from, n = at, n+c.by
	}
	return out
}

// TestLoadAccuracy compares simulated points of loads with the truth.
func TestLoadAccuracy(t *testing.T) {
	library, err := sim.Build(t.Context(), t.TempDir())
	if errors.Is(err, sim.ErrUnavailable) {
		t.Skipf("SKIPPED: the fake driver library needs a C compiler and cgo: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	servers, each := 6, 2
	if testing.Short() {
		servers = 3
	}
	if *loadPoints > 0 {
		each = 10
		servers = (*loadPoints + each - 1) / each
	}
	var all []point
	for i := range servers {
		o := offerOf(t, *loadFirst+i)
		for seed := range each {
			p := o.measure(t, library, uint64(1000*(*loadFirst+i)+seed))
			all = append(all, p)
			if l := p.rec.Load; *loadVerbose && beyond(p) && !l.Saturated {
				t.Logf("NOT SATURATED: %d of %.3g/s, slope %.3g %.3g, in flight %.3g, gap CV %.3g, "+
					"completed %.3g/s; %s", l.Scheduled, l.OfferedRPS, l.BacklogSlope.Value,
					l.BacklogSlope.CI95, l.InFlight, *l.GapCV,
					l.CompletedRPS, p.name)
			}
			for _, f := range p.figures {
				if f.refused == "" && !math.IsNaN(f.low) && !f.covered() && *loadVerbose {
					t.Logf("MISS %s: %.5g [%.5g, %.5g] want %.5g: %+.2f %%, half %.2f %%; %s", f.name, f.value, f.low,
						f.high, f.seen(), 100*(f.value/f.seen()-1), 50*(f.high-f.low)/f.seen(), p.name)
				}
			}
		}
		keepTable(t, all)
	}
	t.Logf("%d points in %v\n%s", len(all), time.Since(began).Round(time.Second), loadTable(all))
	checkLoads(t, all)
}

// keepTable writes the tables of loads, also of the points so far: all of them take a while.
func keepTable(t *testing.T, all []point) {
	t.Helper()
	if *loadOut == "" {
		return
	}
	if err := writeBetween(*loadOut, "loads", loadTable(all)); err != nil {
		t.Fatal(err)
	}
}
