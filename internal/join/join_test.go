package join

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
	"github.com/llenergymeasure/llem/study"
	"github.com/llenergymeasure/llem/unit"
)

// These tests build the material of a run by hand, so that its truth is known and nothing waits.

const ms = int64(time.Millisecond)

const (
	idleW, prefillW, decodeW = 20.0, 600.0, 300.0

	promptLen = 8
)

var (
	gpu0 = power.Device{ID: "gpu0", Kind: power.GPU, Name: "test GPU", UUID: "GPU-0"}
	gpu1 = power.Device{ID: "gpu1", Kind: power.GPU, Name: "test GPU", UUID: "GPU-1"}
	cpu0 = power.Device{ID: "package-0", Kind: power.CPU, Name: "test CPU"}
)

// sampled returns the series of a sensor that averages over 20 ms, from power as a function of milliseconds.
func sampled(device string, from, to int64, watts func(ms int64) float64) []power.Sample {
	const spacing = 20
	var out []power.Sample
	for at := from + spacing; at <= to; at += spacing {
		sum := 0.0
		for t := at - spacing; t < at; t++ {
			sum += watts(t)
		}
		out = append(out, power.Sample{MonoNS: at * ms, Device: device, Source: sensor.SourceFake,
			Power: unit.Watts(sum / spacing), Window: spacing * time.Millisecond})
	}
	return out
}

// handmade returns one GPU over a window of batches that starts at 10 s: a prefill of the given length in
// milliseconds at 600 W, then fifty steps of 20 ms at 300 W, with 20 W before and after.
func handmade(batches, prefill int64) *Material {
	const start, step, steps = 10_000, 20, 50
	length := prefill + steps*step
	m := &Material{Devices: []Device{{Device: gpu0}},
		Engine: Engine{Tier: backend.TierExact, Device: "cuda", GPUs: []string{gpu0.UUID}},
		Window: attribute.Window{Start: start * ms, End: (start + batches*length) * ms}}
	for b := range batches {
		at := (start + b*length) * ms
		first := at + prefill*ms
		m.Steps = append(m.Steps,
			backend.Step{StartNS: at, EndNS: first, PrefillTokens: promptLen, Sequences: 1})
		q := backend.Request{ID: int(b), SubmittedNS: at, PrefillStartNS: at, FirstTokenNS: first,
			TokenNS:      []int64{first},
			PromptTokens: promptLen, PromptComputed: promptLen, OutputTokens: steps + 1, OK: true}
		for i := range int64(steps) {
			end := first + (i+1)*step*ms
			m.Steps = append(m.Steps,
				backend.Step{StartNS: end - step*ms, EndNS: end, DecodeTokens: 1, Sequences: 1})
			q.TokenNS = append(q.TokenNS, end)
		}
		q.EndNS = q.TokenNS[steps]
		m.Requests = append(m.Requests, q)
		m.Given, m.Asked = m.Given+promptLen, m.Asked+steps+1
	}
	m.Samples = sampled("gpu0", start-1000, start+batches*length+1000, func(t int64) float64 {
		switch at := t - start; {
		case at < 0 || at >= batches*length:
			return idleW
		case at%length < prefill:
			return prefillW
		}
		return decodeW
	})
	return m
}

// joined returns the record of some material.
func joined(t *testing.T, m *Material) (*result.Record, []series.Request) {
	t.Helper()
	rec := &result.Record{Config: study.DefaultExperiment(engines.All()[0]), Window: &result.Window{Repeats: 1},
		Energy: result.Energy{Provenance: result.None}}
	rows := Compute(m, rec, nil)
	if rec.Energy.TotalJ == nil {
		t.Fatalf("no energy: %s", rec.Energy.Reason)
	}
	return rec, rows.Requests
}

// TestFailedRequestsGetNothing: their energy is in the total, and is assigned to the other requests.
func TestFailedRequestsGetNothing(t *testing.T) {
	m := handmade(6, 200)
	m.Requests[2].OK, m.Requests[2].Failure = false, "rejected"
	rec, requests := joined(t, m)
	if *requests[2].PrefillJ != 0 || *requests[2].DecodeJ != 0 {
		t.Errorf("a failed request has %+v", requests[2])
	}
	sum := 0.0
	for _, q := range requests {
		sum += *q.DecodeJ
	}
	near(t, "decode of the others", sum, *rec.Energy.Phases.Decode.EnergyJ, 1e-9)
	if _, ok := warned(rec, codes.RequestsFailed); !ok {
		t.Errorf("warnings = %+v", rec.Warnings)
	}
}

// TestBudget: the terms of an interval add up to the interval, and determine the window for a precision.
func TestBudget(t *testing.T) {
	m := handmade(6, 200)
	idle := func(from int64, watts float64) attribute.Window {
		samples := sampled("gpu0", from, from+3000, func(t int64) float64 { return watts + float64(t/20%3) })
		m.Samples = append(m.Samples, samples...)
		return attribute.Window{Start: from * ms, End: (from + 3000) * ms}
	}
	m.Bare, m.Resident = idle(1000, 12), idle(5000, 18)
	rec, _ := joined(t, m)
	e := rec.Energy
	near(t, "baseline_w", e.BaselineW.Value, 13, 0.1)
	near(t, "resident_w", e.ResidentW.Value, 19, 0.1)
	seconds := rec.Window.DurationS
	near(t, "net_j", e.NetJ.Value, e.TotalJ.Value-e.BaselineW.Value*seconds, 1e-9)
	near(t, "net_resident_j", e.NetResidentJ.Value, e.TotalJ.Value-e.ResidentW.Value*seconds, 1e-9)
	for name, q := range map[string]*result.Quantity{"total_j": e.TotalJ, "net_j": e.NetJ,
		"net_resident_j": e.NetResidentJ, "per_output_token_j": e.PerOutputTokenJ} {
		sum := 0.0
		for _, b := range q.Budget {
			if b.Half95 < 0 || b.Term == "" {
				t.Errorf("%s: term %+v", name, b)
			}
			sum = math.Hypot(sum, b.Half95)
		}
		near(t, name+": its budget", sum, half(q), 1e-9)
	}
	if n := len(e.NetJ.Budget); n != len(e.TotalJ.Budget)+1 {
		t.Errorf("net_j has %d terms, want the terms of total_j and the idle power", n)
	}
	near(t, "half width of net_j", half(e.NetJ), math.Hypot(half(e.TotalJ), half(e.BaselineW)*seconds), 1e-9)
	relative := half(e.TotalJ) / e.TotalJ.Value
	near(t, "for_1_pct_s", e.MinWindow.For1PctS, seconds*relative/0.01, 1e-9)
	near(t, "for_5_pct_s", e.MinWindow.For5PctS, seconds*relative/0.05, 1e-9)
}

// TestDriftingBaseline: a machine that is still cooling gets a warning in the record.
func TestDriftingBaseline(t *testing.T) {
	m := handmade(6, 200)
	m.Samples = append(m.Samples,
		sampled("gpu0", 1000, 4000, func(t int64) float64 { return 30 - float64(t-1000)/300 })...)
	m.Bare = attribute.Window{Start: 1000 * ms, End: 4000 * ms}
	rec, _ := joined(t, m)
	near(t, "drift_w", rec.Energy.Devices[0].Bare.DriftW, -10, 0.3)
	if msg, _ := warned(rec, codes.BaselineDrift); !strings.Contains(msg, "before the engine was started") ||
		!strings.Contains(msg, "let the machine rest") {
		t.Errorf("warning = %q, want one about the drift", msg)
	}
}

// TestHarnessShare: the cost of measuring is known if a processor is metered, and null otherwise.
func TestHarnessShare(t *testing.T) {
	modelled := cpu0
	modelled.Modelled = true
	for name, q := range map[string]struct {
		device power.Device
		bare   bool
		host   *float64
		want   bool
	}{
		"metered":            {cpu0, true, new(2.0), true},
		"modelled":           {modelled, true, new(2.0), false},
		"no idle power":      {cpu0, false, new(2.0), false},
		"machine unreadable": {cpu0, true, nil, false},
		"no processor":       {gpu1, true, new(2.0), false},
	} {
		m := handmade(6, 200)
		m.Devices = append(m.Devices, Device{Device: q.device})
		m.Samples = append(m.Samples, sampled(q.device.ID, 1000, 20_000, func(t int64) float64 {
			if t < 10_000 {
				return 40
			}
			return 60
		})...)
		if q.bare {
			m.Bare = attribute.Window{Start: 2000 * ms, End: 5000 * ms}
		}
		rec := &result.Record{Config: study.DefaultExperiment(engines.All()[0]), Window: &result.Window{},
			Harness: &result.Harness{CPUS: 0.5, HostCPUS: q.host}}
		Compute(m, rec, nil)
		switch got := rec.Harness.EnergyJ; {
		case (got != nil) != q.want:
			t.Errorf("%s: energy %v", name, got)
		case q.want:
			near(t, name, *got, (60-40)*rec.Window.DurationS*0.5/2, 0.5)
		}
	}
}

// TestTooShort: if timing alone explains the difference of counter and series, the error blames the window,
// not the sensor.
func TestTooShort(t *testing.T) {
	const start = 10_000 * ms
	w := attribute.Window{Start: start, End: start + 15*ms}
	samples := sampled("gpu0", 9_000, 11_000, func(at int64) float64 {
		if at >= 10_000 && at < 10_015 {
			return 500
		}
		return 100
	})
	reading := func(at int64, joules float64) power.Reading {
		return power.Reading{Device: "gpu0", Source: sensor.SourceFake, BeforeNS: at, AfterNS: at + ms,
			SinceNS: at - 4*ms, Snapped: true, Energy: unit.Energy(joules * 1e6)}
	}
	d := &deviceEnergy{device: Device{Device: gpu0}, out: &result.Device{}}
	// 6 J at rest up to the window, 7.5 J in it and 3.5 J after it, some of which the counter's timing hides.
	d.measure(samples, []power.Reading{reading(start-60*ms, 0), reading(start+40*ms, 6+7.5+2.5+1.2)}, w)
	if d.err == nil || !strings.Contains(d.err.Error(), "too short for this sensor") ||
		!strings.Contains(d.err.Error(), "energy.min_window") {
		t.Errorf("err = %v, agreement %+v, series %.3g ± %.2g J", d.err, d.out.Agreement, d.series.Joules,
			d.series.Half95)
	}
}

// TestDriftIsReported: a machine that is still cooling has no valid baseline.
func TestDriftIsReported(t *testing.T) {
	j := &join{Material: &Material{}, record: &result.Record{}}
	j.drifting("gpu0", "before the engine was started", result.Idle{W: 80, DriftW: -6, DriftHalf95: 1})
	j.drifting("gpu0", "with the model loaded", result.Idle{W: 80, DriftW: -2, DriftHalf95: 1})
	j.drifting("gpu1", "with the model loaded", result.Idle{W: 80, DriftW: 6, DriftHalf95: 9})
	if n := len(j.record.Warnings); n != 1 || !strings.Contains(j.record.Warnings[0].Message, "-6 W") {
		t.Errorf("warnings %+v, want one about -6 W", j.record.Warnings)
	}
}

// TestOtherVersion: differing numbers of another version are distinguished from damage.
func TestOtherVersion(t *testing.T) {
	differ := []Difference{{Key: "energy.total_j.value"}}
	for name, q := range map[string]struct {
		differ      []Difference
		madeBy, now string
		want        string
	}{
		"same version, damaged":  {differ, "abc", "abc", ""},
		"other version":          {differ, "abc", "def", "another version of llem (abc)"},
		"before versions":        {differ, "", "def", "an earlier version"},
		"other version, no harm": {nil, "abc", "def", ""},
	} {
		out := Recomputed{Differ: q.differ}
		out.otherVersion(q.madeBy, q.now)
		if q.want == "" && out.Next != "" || !strings.Contains(out.Next, q.want) {
			t.Errorf("%s: next %q, want %q", name, out.Next, q.want)
		}
	}
}

func TestAgreement(t *testing.T) {
	for _, q := range []struct {
		counter, integral, pct float64
		verdict                string
	}{
		{100, 100, 0, "ok"}, {100, 103, 3, "ok"}, {100, 96, -4, "warn"}, {100, 110, 10, "warn"}, {100, 111, 11,
			"fail"}, {100, 50, -50, "fail"},
	} {
		a := agreement(&q.counter, &q.integral)
		if a.Verdict != q.verdict {
			t.Errorf("counter %v J, integral %v J: %s, want %s", q.counter, q.integral, a.Verdict, q.verdict)
		}
		near(t, "difference_pct", *a.DifferencePct, q.pct, 1e-9)
	}
	if a := agreement(nil, valueIf(true, 3)); a.Verdict != "single_source" || a.DifferencePct != nil {
		t.Errorf("without a counter: %+v, want a single source", a)
	}
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s = %v, want %v ± %v", what, got, want, tolerance)
	}
}

// half returns the half width of the statistical interval.
func half(q *result.Quantity) float64 { return (q.CI95[1] - q.CI95[0]) / 2 }

// warned returns the record's warning with the code, and whether there is one.
func warned(r *result.Record, code note.Code) (string, bool) {
	for _, w := range r.Warnings {
		if w.Code == code {
			return w.Message, true
		}
	}
	return "", false
}
