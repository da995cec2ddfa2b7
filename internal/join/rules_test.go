package join

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
	"github.com/llenergymeasure/llem/unit"
)

// TestThrottled: throttling before or after the window does not count.
func TestThrottled(t *testing.T) {
	for name, q := range map[string]struct {
		at   int64
		bits int64
		want note.Code
	}{
		"at its beginning": {1000, 0x20, codes.Throttled},
		"at its end":       {2000, 0x40, codes.Throttled},
		"before":           {999, 0x20, ""},
		"after":            {2001, 0x20, ""},
		"idle":             {1500, 0x01, ""},
		"the power limit":  {1500, 0x04, codes.PowerCapped},
	} {
		j := &join{Material: &Material{Window: attribute.Window{Start: 1000, End: 2000},
			Telemetry: []power.Telemetry{{MonoNS: q.at, Device: "gpu0", Throttle: &q.bits}}}, record: &result.Record{}}
		j.telemetryWarnings()
		want := slices.DeleteFunc([]note.Code{q.want}, func(c note.Code) bool { return c == "" })
		if got := j.record.Warnings.Codes(); !slices.Equal(got, want) {
			t.Errorf("%s: warnings %v, want %q", name, got, q.want)
		}
	}
}

// TestGapReasons: 100 ms without samples, or half a percent of a long window, are reported; parts outside the
// window do not count.
func TestGapReasons(t *testing.T) {
	for name, q := range map[string]struct {
		seconds  int64 // of the window, from 10 s on
		from, to int64 // in milliseconds
		want     string
	}{
		"long enough":         {10, 11_000, 11_100, "100 ms"},
		"short":               {10, 11_000, 11_090, ""},
		"long, mostly before": {10, 5_000, 10_090, ""},
		"cut by its end":      {10, 19_850, 40_000, "150 ms"},
		"of a long window":    {100, 11_000, 11_400, ""},
		"too much of one":     {100, 11_000, 11_500, "500 ms"},
		"another device's":    {10, -1, 0, ""},
	} {
		g := power.Gap{Device: "gpu0", StartNS: q.from * ms, EndNS: q.to * ms, Reason: "lost"}
		if q.from < 0 {
			g = power.Gap{Device: "gpu1", StartNS: 11_000 * ms, EndNS: 12_000 * ms, Reason: "lost"}
		}
		j := &join{Material: &Material{Window: attribute.Window{Start: 10_000 * ms,
			End: (10_000 + 1000*q.seconds) * ms},
			Gaps: []power.Gap{g}}}
		got := j.gapReasons("gpu0")
		if len(got) > 1 || (len(got) == 1) != (q.want != "") || q.want != "" && !strings.HasPrefix(got[0], q.want) {
			t.Errorf("%s: %q, want %q", name, got, q.want)
		}
	}
}

// TestIdleByCounter: the mean over an idle interval comes from the counter, and its interval includes the
// uncertainty of the counter's edges and the scatter of the series.
func TestIdleByCounter(t *testing.T) {
	w := attribute.Window{Start: 1000 * ms, End: 4000 * ms}
	samples := sampled("gpu0", 500, 4500, func(at int64) float64 { return 80 + 10*float64(at/20%3) })
	at := func(t int64) power.Reading {
		return power.Reading{Device: "gpu0", Source: "counter", BeforeNS: t * ms, AfterNS: t*ms + ms,
			SinceNS: t*ms - ms,
			Snapped: true, Refresh: time.Millisecond, Energy: unit.Energy(100 * t * 1000)} // 100 W
	}
	readings := []power.Reading{at(1000), at(4000)}
	series := idlePower(samples, readings, w, false)
	counter := idlePower(samples, readings, w, true)
	near(t, "by the series", series.W, 90, 0.5)
	near(t, "by the counter", counter.W, 100, 0.5)
	if series.Source != sensor.SourceFake || counter.Source != "counter" {
		t.Errorf("sources %q and %q", series.Source, counter.Source)
	}
	e, err := attribute.Counter(readings, mustCurve(t, samples), w)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "half width", counter.Half95, math.Hypot(e.Half95/3, series.Half95), 1e-9)
	if series.Half95 <= 0 || counter.Half95 < series.Half95 {
		t.Errorf("half widths %g and %g W", series.Half95, counter.Half95)
	}
}

// TestGainOfPhases: a phase has the worst gain of its devices, in any order; their statistical errors add in
// quadrature.
func TestGainOfPhases(t *testing.T) {
	for _, first := range []bool{true, false} {
		one, _ := joined(t, handmade(6, 200))
		m := handmade(6, 200)
		m.Engine.GPUs = []string{gpu0.UUID, gpu1.UUID}
		for _, s := range m.Samples {
			s.Device = gpu1.ID
			m.Samples = append(m.Samples, s)
		}
		m.Devices = []Device{{Device: gpu0}, {Device: gpu1}}
		m.Devices[0].Modelled, m.Devices[1].Modelled = first, !first
		rec, _ := joined(t, m)
		alone, both := one.Energy.Phases.Decode, rec.Energy.Phases.Decode
		near(t, "energy of two", *both.EnergyJ, 2**alone.EnergyJ, 1e-6**both.EnergyJ)
		near(t, "gain of two", *both.Gain95, modelGain95**both.EnergyJ, 1e-6**both.EnergyJ)
		near(t, "half width of two", both.CI95[1]-*both.EnergyJ, math.Sqrt2*(alone.CI95[1]-*alone.EnergyJ), 1e-6)
		near(t, "half width of the total", half(rec.Energy.TotalJ), math.Sqrt2*half(one.Energy.TotalJ), 1e-6)
		near(t, "gain of the total", rec.Energy.TotalJ.Gain95, (modelGain95+sensor.Gain95)*one.Energy.TotalJ.Value,
			1e-6)
	}
}

// TestHarnessShareIsBounded: two clocks of processor time may give this program more than the total.
func TestHarnessShareIsBounded(t *testing.T) {
	d := &deviceEnergy{device: Device{Device: cpu0}, total: attribute.Estimate{Joules: 100}, bare: result.Idle{W: 20}}
	below := &deviceEnergy{device: Device{Device: cpu0}, total: attribute.Estimate{Joules: 10},
		bare: result.Idle{W: 20}}
	for used, want := range map[float64]float64{0.5: 20, 1: 40, 1.5: 60, 2: 60} {
		j := &join{Material: &Material{Window: attribute.Window{End: 2000 * ms}},
			record: &result.Record{Harness: &result.Harness{CPUS: used, HostCPUS: new(1.5)}}}
		j.harnessShare([]*deviceEnergy{d, below})
		near(t, "energy", *j.record.Harness.EnergyJ, want, 1e-9)
	}
}

// TestWorst: the worst device determines the verdict, in any order.
func TestWorst(t *testing.T) {
	device := func(verdict string, counter, integral float64) *deviceEnergy {
		return &deviceEnergy{device: Device{Device: gpu0},
			out: &result.Device{Agreement: &result.Agreement{Verdict: verdict,
				CounterJ: &counter, IntegralJ: &integral, DifferencePct: new(100 * (integral - counter) / counter)}}}
	}
	bad, good := device("warn", 100, 105), device("ok", 100, 96)
	for _, all := range [][]*deviceEnergy{{bad, good}, {good, bad}} {
		j := &join{Material: &Material{}, record: &result.Record{}}
		j.agree(all)
		if a := j.record.Energy.Agreement; a.Verdict != "warn" || math.Abs(*a.DifferencePct-0.5) > 1e-9 {
			t.Errorf("%+v, want the verdict of the worse device", a)
		}
	}
}

// TestCounts: which devices run the model.
func TestCounts(t *testing.T) {
	unnamed, remote := gpu0, gpu1
	unnamed.UUID, remote.OverNetwork = "", true
	dram := power.Device{ID: "dram-0", Kind: power.DRAM}
	for name, q := range map[string]struct {
		scope  string
		device power.Device
		gpus   []string
		want   bool
	}{
		"a GPU of the engine":           {"gpu", gpu0, []string{"GPU-0"}, true},
		"another GPU":                   {"gpu", gpu1, []string{"GPU-0"}, false},
		"the engine does not report it": {"gpu", gpu1, nil, true},
		"a GPU without a UUID":          {"gpu", unnamed, []string{"GPU-0"}, true},
		"a remote one of its":           {"gpu", remote, []string{"GPU-1"}, true},
		"another remote one":            {"gpu", remote, []string{"GPU-0"}, false},
		"a remote one, not said":        {"gpu", remote, nil, false},
		"a processor beside a GPU":      {"gpu", cpu0, []string{"GPU-0"}, false},
		"a processor":                   {"cpu", cpu0, nil, true},
		"memory":                        {"cpu", dram, nil, true},
		"a GPU beside a processor":      {"cpu", gpu0, nil, false},
	} {
		device := q.scope
		if device == "gpu" {
			device = "cuda"
		}
		if got := (Engine{Device: device, GPUs: q.gpus}).Counts(q.device); got != q.want {
			t.Errorf("%s: counted %v, want %v", name, got, q.want)
		}
	}
}

// TestWiden: an unknown counter may measure a quarter of its period; a self-test, or a series that resolves
// the period, is more precise.
func TestWiden(t *testing.T) {
	w := attribute.Window{Start: 1000 * ms, End: 3000 * ms}
	flat := func(int64) float64 { return 100 }
	half := func(source string, swing *float64, samples []power.Sample, refresh time.Duration) (total, alias float64) {
		d := &deviceEnergy{device: Device{Device: gpu0, SwingPct: swing}, samples: samples,
			total: attribute.Estimate{Joules: 200, Half95: 3}}
		if len(samples) > 0 {
			d.curve, d.series = mustCurve(t, samples), attribute.Estimate{Joules: 200, Half95: 0}
		}
		d.widen(power.Reading{Source: source, Refresh: refresh}, w, nil)
		return d.total.Half95, d.alias
	}
	total, alias := half(sensor.SourceEnergy, nil, nil, 100*time.Millisecond)
	if alias <= 1 || total != math.Hypot(3, alias) {
		t.Errorf("an unknown counter of NVML: ± %g J, of which %g for aliasing", total, alias)
	}
	if total, alias := half(sensor.SourceEnergy, new(0.0), nil, 100*time.Millisecond); alias != 0 || total != 3 {
		t.Errorf("a counter that misses nothing: ± %g J, of which %g for aliasing", total, alias)
	}
	if _, alias := half(sensor.SourceRAPL, nil, nil, 100*time.Millisecond); alias != 0 {
		t.Errorf("RAPL: %g J for aliasing", alias)
	}
	// A series of pulses, which the counter may miss, but no more than the difference.
	pulses := sampled("gpu0", 0, 4000, func(at int64) float64 { return 2 * flat(at) * float64(1-at/100%2) })
	_, alias = half(sensor.SourceEnergy, nil, pulses, 100*time.Millisecond)
	near(t, "aliasing beside a series that sees it", alias, gainApart*200, 1e-9)
}

func mustCurve(t *testing.T, samples []power.Sample) *attribute.Curve {
	t.Helper()
	c, err := attribute.NewCurve(samples)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestDerived: what follows from the energy, with its intervals.
func TestDerived(t *testing.T) {
	m := handmade(6, 200)
	m.Samples = append(m.Samples,
		sampled("gpu0", 1000, 4000, func(at int64) float64 { return 12 + float64(at/20%3) })...)
	m.Bare = attribute.Window{Start: 1000 * ms, End: 4000 * ms}
	rec := &result.Record{Window: &result.Window{Repeats: 1}}
	rec.Config.Energy.CarbonIntensity, rec.Config.Energy.PUE, rec.Config.Energy.PricePerKWh = 400, 1.5, 0.3
	rec.Config.Baseline.Seconds = 3
	Compute(m, rec, nil)
	e := rec.Energy
	if e.TotalJ == nil {
		t.Fatal(e.Reason)
	}
	total := e.TotalJ.Value
	near(t, "co2e_g", e.CO2eG.Value, total/3.6e6*400*1.5, 1e-9)
	near(t, "cost", e.Cost.Value, total/3.6e6*0.3*1.5, 1e-9)
	near(t, "wh_per_1000_requests", e.WhPer1000Requests.Value, total/3600/6*1000, 1e-9)
	near(t, "per_request_j", e.PerRequestJ.Value, total/6, 1e-9)
	near(t, "mean_w", e.MeanW.Value, total/rec.Window.DurationS, 1e-9)
	per, inverse := e.PerOutputTokenJ, e.TokensPerJ
	near(t, "per_output_token_j", per.Value, total/(6*51), 1e-9)
	near(t, "tokens_per_j", inverse.Value, 1/per.Value, 1e-12)
	near(t, "its low end", inverse.CI95[0], 1/per.CI95[1], 1e-12)
	near(t, "its high end", inverse.CI95[1], 1/per.CI95[0], 1e-12)
	near(t, "its gain", inverse.Gain95, sensor.Gain95*inverse.Value, 1e-12)
	// The sensor's bias applies to the idle power too.
	near(t, "gain of net_j", e.NetJ.Gain95, sensor.Gain95*e.NetJ.Value, 1e-9)
	if p := e.Phases.Prefill; p.CI95[0] < 0 || *p.EnergyJ <= 0 {
		t.Errorf("prefill %+v", p)
	}
}

// TestNetInDoubt: net energy whose interval contains zero gets a warning.
func TestNetInDoubt(t *testing.T) {
	for low, want := range map[float64]bool{-1: true, 0: true, 1: false} {
		j := &join{Material: &Material{}, record: &result.Record{}}
		j.record.Energy.NetJ = &result.Quantity{Value: 10, CI95: [2]float64{low, 20 - low}}
		j.precision(sum{joules: 100, half: 1}, 10)
		if _, got := warned(j.record, codes.NetNotPositive); got != want {
			t.Errorf("net from %g J on: warned %v, want %v", low, got, want)
		}
	}
}

// TestWindowFor: the returned window has the requested uncertainty: the limits' part is inversely
// proportional to the length, aliasing to its square root.
func TestWindowFor(t *testing.T) {
	for _, s := range []sum{{joules: 100, half: 5}, {joules: 100, half: 5, alias: 5},
		{joules: 100, half: 5, alias: 3}} {
		const seconds, share = 10.0, 0.01
		times := s.windowFor(share, seconds) / seconds
		limits := math.Sqrt(s.half*s.half-s.alias*s.alias) / s.joules / times
		alias := s.alias / s.joules / math.Sqrt(times)
		near(t, "uncertainty", math.Hypot(limits, alias), share, 1e-9)
	}
}

// TestPhaseOut: energy is never negative, whatever its interval.
func TestPhaseOut(t *testing.T) {
	p := phaseOut(attribute.Phase{Joules: 2, Half95: 3, Tokens: 4, Duration: time.Second}, 0.05, "s")
	if *p.CI95 != [2]float64{0, 5} || *p.JPerTokenCI95 != [2]float64{0, 1.25} || *p.JPerToken != 0.5 || *p.MeanW != 2 {
		t.Errorf("%v J in %v, %v of %v a token, %v W", *p.EnergyJ, *p.CI95, *p.JPerToken, *p.JPerTokenCI95, *p.MeanW)
	}
}

// TestSameTolerance: rounding differences are accepted, larger ones are not.
func TestSameTolerance(t *testing.T) {
	for _, q := range []struct {
		a, b any
		want bool
	}{{1.0, 1.0, true}, {1e6, 1e6 + 1e-4, true}, {1e6, 1e6 + 1e-1, false}, {1.0, 1.00001, false}, {nil, nil, true},
		{0.0, nil, false}, {1.0, "1", false}} {
		if got := same(q.a, q.b); got != q.want {
			t.Errorf("%v and %v: same %v, want %v", q.a, q.b, got, q.want)
		}
	}
}

// TestAdd: energies of devices add up, their errors in quadrature; one refused device refuses the sum.
func TestAdd(t *testing.T) {
	var sum attribute.Phase
	add(&sum, attribute.Phase{Joules: 10, Half95: 3, Low: 8, High: 12, Tokens: 5, Duration: time.Second})
	add(&sum, attribute.Phase{Joules: 20, Half95: 4, Low: 15, High: 30, Tokens: 5, Duration: time.Second,
		Refused: "why"})
	want := attribute.Phase{Joules: 30, Half95: 5, Low: 23, High: 42, Tokens: 5, Duration: time.Second, Refused: "why"}
	if sum != want {
		t.Errorf("%+v, want %+v", sum, want)
	}
}

// TestCheckWork: an engine that did not compute exactly the workload makes the run incomparable.
func TestCheckWork(t *testing.T) {
	request := func(computed, output int) backend.Request {
		return backend.Request{OK: true, PromptTokens: 10, PromptComputed: computed, OutputTokens: output}
	}
	for name, q := range map[string]struct {
		requests []backend.Request
		want     string
	}{
		"as asked for":             {[]backend.Request{request(10, 3), request(10, 3)}, ""},
		"a prompt from a cache":    {[]backend.Request{request(10, 3), request(6, 3)}, "computed 16 prompt"},
		"one token less":           {[]backend.Request{request(10, 3), request(10, 2)}, "5 output tokens"},
		"one more, one less":       {[]backend.Request{request(10, 2), request(10, 4)}, "2 of 2 requests"},
		"one prompt in two halves": {[]backend.Request{request(8, 3), request(12, 3)}, "2 of 2 requests"},
	} {
		j := &join{Material: &Material{Given: 20, Asked: 6, Requests: q.requests}, record: &result.Record{}}
		var tokens result.Tokens
		countTokens(&tokens, q.requests)
		j.checkWork(tokens)
		text, warned := warned(j.record, codes.UnequalWork)
		if warned != (q.want != "") || !strings.Contains(text, q.want) {
			t.Errorf("%s: %q, want %q", name, text, q.want)
		}
	}
}

// TestKnownBare: an idle power of an earlier run is taken from the record; the run's own is recomputed.
func TestKnownBare(t *testing.T) {
	for age, known := range map[float64]bool{0: false, 5: true} {
		rec := &result.Record{Window: &result.Window{}}
		rec.Energy.Devices = []result.Device{{Device: "gpu0", Bare: &result.Idle{W: 80, AgeS: age}}}
		if got := restore(rec, series.All{}).Devices[0].Known != nil; got != known {
			t.Errorf("measured %g s before: reused %v, want %v", age, got, known)
		}
	}
}
