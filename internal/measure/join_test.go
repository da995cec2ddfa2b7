package measure

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/attribute"
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
	"github.com/llenergymeasure/llem/unit"
)

// These tests make the material of a run by hand, so that its truth is known and
// nothing waits.

const ms = int64(time.Millisecond)

// sampled is a series of a sensor that averages over 20 ms, from power over time in
// milliseconds.
func sampled(device string, from, to int64, watts func(ms int64) float64) []power.Sample {
	const spacing = 20
	var out []power.Sample
	for at := from + spacing; at <= to; at += spacing {
		sum := 0.0
		for t := at - spacing; t < at; t++ {
			sum += watts(t)
		}
		out = append(out, power.Sample{MonoNS: at * ms, Device: device, Source: power.SourceFake,
			Power: unit.Watts(sum / spacing), Window: spacing * time.Millisecond})
	}
	return out
}

// handmade is one GPU over a window of batches, from 10 s on: a prefill of the given
// length in milliseconds at 600 W, then fifty steps of 20 ms at 300 W, with 20 W
// before and after.
func handmade(batches, prefill int64) *Material {
	const start, step, steps = 10_000, 20, 50
	length := prefill + steps*step
	m := &Material{Log: &backend.Log{}, Devices: []power.Device{gpu0}, Tier: backend.TierExact,
		GPUs: []string{gpu0.UUID}, OnGPU: true,
		Window: attribute.Window{Start: start * ms, End: (start + batches*length) * ms}}
	for b := range batches {
		at := (start + b*length) * ms
		first := at + prefill*ms
		m.Log.Steps = append(m.Log.Steps,
			backend.Step{StartNS: at, EndNS: first, PrefillTokens: promptLen, Sequences: 1})
		q := backend.Request{ID: int(b), SubmittedNS: at, PrefillStartNS: at, FirstTokenNS: first,
			TokenNS:      []int64{first},
			PromptTokens: promptLen, PromptComputed: promptLen, OutputTokens: steps + 1, OK: true}
		for i := range int64(steps) {
			end := first + (i+1)*step*ms
			m.Log.Steps = append(m.Log.Steps,
				backend.Step{StartNS: end - step*ms, EndNS: end, DecodeTokens: 1, Sequences: 1})
			q.TokenNS = append(q.TokenNS, end)
		}
		q.EndNS = q.TokenNS[steps]
		m.Log.Requests = append(m.Log.Requests, q)
		m.Given, m.Asked = m.Given+promptLen, m.Asked+steps+1
	}
	m.Trace.Samples = sampled("gpu0", start-1000, start+batches*length+1000, func(t int64) float64 {
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

// joined computes the record of some material.
func joined(t *testing.T, m *Material) (*result.Record, []attribute.Shares) {
	t.Helper()
	rec := &result.Record{Config: study.DefaultExperiment(), Window: &result.Window{Repeats: 1},
		Energy: result.Energy{Provenance: result.None}}
	j := &join{Material: m, record: rec}
	j.compute()
	if rec.Energy.TotalJ == nil {
		t.Fatalf("no energy: %s", rec.Energy.Reason)
	}
	return rec, j.shares
}

// TestFailedRequestsGetNothing: their energy is in the total, and the others carry it.
func TestFailedRequestsGetNothing(t *testing.T) {
	m := handmade(6, 200)
	m.Log.Requests[2].OK, m.Log.Requests[2].Failure = false, "rejected"
	rec, shares := joined(t, m)
	if shares[2] != (attribute.Shares{}) {
		t.Errorf("a failed request has %+v", shares[2])
	}
	sum := 0.0
	for _, s := range shares {
		sum += s.Decode
	}
	near(t, "decode of the others", sum, *rec.Energy.Phases.Decode.EnergyJ, 1e-9)
	if _, ok := warned(rec, "requests_failed"); !ok {
		t.Errorf("warnings = %+v", rec.Warnings)
	}
}

// TestBudget: the parts of an interval make up the interval, and the window that a
// precision needs follows from it.
func TestBudget(t *testing.T) {
	m := handmade(6, 200)
	idle := func(from int64, watts float64) attribute.Window {
		samples := sampled("gpu0", from, from+3000, func(t int64) float64 { return watts + float64(t/20%3) })
		m.Trace.Samples = append(m.Trace.Samples, samples...)
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
		t.Errorf("net_j has %d terms, want those of total_j and the idle power", n)
	}
	near(t, "half width of net_j", half(e.NetJ), math.Hypot(half(e.TotalJ), half(e.BaselineW)*seconds), 1e-9)
	relative := half(e.TotalJ) / e.TotalJ.Value
	near(t, "for_1_pct_s", e.MinWindow.For1PctS, seconds*relative/0.01, 1e-9)
	near(t, "for_5_pct_s", e.MinWindow.For5PctS, seconds*relative/0.05, 1e-9)
}

// TestDriftingBaseline: a machine that is still cooling is doubted in the record.
func TestDriftingBaseline(t *testing.T) {
	m := handmade(6, 200)
	m.Trace.Samples = append(m.Trace.Samples,
		sampled("gpu0", 1000, 4000, func(t int64) float64 { return 30 - float64(t-1000)/300 })...)
	m.Bare = attribute.Window{Start: 1000 * ms, End: 4000 * ms}
	rec, _ := joined(t, m)
	near(t, "drift_w", rec.Energy.Devices[0].Bare.DriftW, -10, 0.3)
	if msg, _ := warned(rec, "baseline_drift"); !strings.Contains(msg, "before the engine was started") ||
		!strings.Contains(msg, "let the machine rest") {
		t.Errorf("warning = %q, want one about the drift", msg)
	}
}

// TestHarnessShare: what measuring cost is known where a processor is metered, and
// null elsewhere.
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
		m.Devices = append(m.Devices, q.device)
		m.Trace.Samples = append(m.Trace.Samples, sampled(q.device.ID, 1000, 20_000, func(t int64) float64 {
			if t < 10_000 {
				return 40
			}
			return 60
		})...)
		if q.bare {
			m.Bare = attribute.Window{Start: 2000 * ms, End: 5000 * ms}
		}
		rec := &result.Record{Config: study.DefaultExperiment(), Window: &result.Window{},
			Harness: &result.Harness{CPUS: 0.5, HostCPUS: q.host}}
		(&join{Material: m, record: rec}).compute()
		switch got := rec.Harness.EnergyJ; {
		case (got != nil) != q.want:
			t.Errorf("%s: energy %v", name, got)
		case q.want:
			near(t, name, *got, (60-40)*rec.Window.DurationS*0.5/2, 0.5)
		}
	}
}

// TestConfirmed: a look confirms what is remembered of the same source and power, and
// nothing else.
func TestConfirmed(t *testing.T) {
	w := attribute.Window{Start: 1000 * ms, End: 2000 * ms}
	trace := power.Trace{Samples: sampled("gpu0", 500, 2500, func(t int64) float64 { return 80 + float64(t/20%3) })}
	r := &run{}
	for name, q := range map[string]struct {
		known result.Idle
		want  bool
	}{
		"the same":       {result.Idle{W: 81, Half95: 0.5, Source: power.SourceFake}, true},
		"within 2 %":     {result.Idle{W: 82.3, Half95: 0.1, Source: power.SourceFake}, true},
		"more power":     {result.Idle{W: 90, Half95: 0.5, Source: power.SourceFake}, false},
		"less power":     {result.Idle{W: 70, Half95: 0.5, Source: power.SourceFake}, false},
		"another source": {result.Idle{W: 81, Half95: 0.5, Source: "nvml.energy"}, false},
	} {
		if got := r.confirmed(map[string]result.Idle{"gpu0": q.known}, trace, w); got != q.want {
			t.Errorf("%s: confirmed %v, want %v", name, got, q.want)
		}
	}
	if r.confirmed(map[string]result.Idle{"gpu7": {W: 81, Source: power.SourceFake}}, trace, w) {
		t.Error("a device without samples was confirmed")
	}
}

// TestBusyMachineIsNotRemembered: a baseline with other processes, or one that drifts,
// is of no use to a later run.
func TestBusyMachineIsNotRemembered(t *testing.T) {
	w := attribute.Window{Start: 1000 * ms, End: 4000 * ms}
	steady := func(int64) float64 { return 80 }
	falling := func(t int64) float64 { return 110 - float64(t)/100 }
	for name, q := range map[string]struct {
		watts func(int64) float64
		seen  []power.Presence
		want  bool
	}{
		"idle":          {steady, nil, true},
		"neighbour":     {steady, []power.Presence{{Device: "gpu0", PID: 7}}, false},
		"still cooling": {falling, nil, false},
	} {
		m := &meter{devices: []power.Device{gpu0}}
		r := &run{Options: Options{Meters: []power.Meter{m}, Baselines: &Baselines{}}, record: &result.Record{}}
		r.crowd.add(q.seen, func(int) bool { return false })
		r.remember(power.Trace{Samples: sampled("gpu0", 500, 4500, q.watts)}, w)
		if _, got := r.Baselines.get(gpu0, time.Hour, time.Now()); got != q.want {
			t.Errorf("%s: remembered %v, want %v", name, got, q.want)
		}
	}
}

// TestBatchesOfARepeatedWorkload: a workload that is repeated comes in rounds, each of
// which is the workload once; what a batch may hold is no more than that.
func TestBatchesOfARepeatedWorkload(t *testing.T) {
	for prompts := 1; prompts <= 12; prompts++ {
		for batch := 1; batch <= 12; batch++ {
			l := labFor(t)
			r := &run{Options: l.options, record: &result.Record{}, warmNS: int64(100 * time.Millisecond)}
			r.Experiment.Workload.Prompts, r.Experiment.Embedded.BatchSize = prompts, batch
			r.Experiment.Energy.MinWindow = 1
			r.Meters = []power.Meter{&meter{}}
			for i := range prompts {
				r.requests = append(r.requests, workload.Request{ID: i})
			}
			settings := r.engineSettings()
			full := settings.BatchSize()
			w := r.work(r.requests, r.repeatsFor(1))
			for _, round := range w.Rounds() {
				if len(round) != prompts || round[0].ID%r.stride() != 0 || full > prompts {
					t.Errorf("%d prompts in batches of %d: a round of %d from %d in batches of %d", prompts, batch,
						len(round), round[0].ID, full)
				}
			}
			r.Experiment.Workload.Concurrency = 2
			if w := r.work(r.requests, 3); len(w.Rounds()) != 1 {
				t.Errorf("a closed loop stops %d times", len(w.Rounds()))
			}
			if r.Experiment.Embedded.BatchSize != batch {
				t.Fatal("the experiment itself was changed")
			}
		}
	}
}

// TestSharedGPUInARun: processes on the engine's GPU are named, before and during
// the window; those on another GPU are not.
func TestSharedGPUInARun(t *testing.T) {
	l := newLab(t)
	m := &crowded{meter: l.newMeter(gpu0, gpu1), list: func() map[string][]power.GPUProcess {
		all := map[string][]power.GPUProcess{"gpu0": {{PID: 7}}, "gpu1": {{PID: 8}}}
		if l.spec.Path != "" { // the engine's own
			all["gpu0"] = append(all["gpu0"], power.GPUProcess{PID: 9})
		}
		if _, ok := l.limits(); ok {
			all["gpu0"] = append(all["gpu0"], power.GPUProcess{PID: 10})
			all["gpu1"] = append(all["gpu1"], power.GPUProcess{PID: 11})
		}
		return all
	}}
	l.options.Meters = []power.Meter{m}
	var text []string
	for _, w := range l.withEnergy(t).Warnings {
		if w.Code == "gpu_shared" {
			text = append(text, w.Message)
		}
	}
	all := strings.Join(text, "\n")
	if len(text) != 2 || !strings.Contains(text[0], "gpu0: process 7") ||
		!strings.Contains(text[1], "gpu0: process 10") ||
		strings.Contains(all, "process 9") || strings.Contains(all, "gpu1") {
		t.Errorf("warnings %q, want 7 before and 10 during the window, on gpu0 alone", text)
	}
}

// TestRepeatedWorkload: a workload that is too short for the wanted window runs
// several times, and everything counts that often.
func TestRepeatedWorkload(t *testing.T) {
	l := newLab(t)
	x := &l.options.Experiment
	x.Warmup.Runs, x.Energy.MinWindow, x.Embedded.BatchSize = 1, 0.6, 3
	l.warm, l.batch = 100*time.Millisecond, 3
	l.options.Meters = []power.Meter{l.newMeter(gpu0)}
	out, err := Run(t.Context(), l.options)
	if err != nil {
		t.Fatal(err)
	}
	r := out.Record
	n := r.Window.Repeats
	if n < 2 || r.Energy.TotalJ == nil {
		t.Fatalf("%d repeats, energy %v (%s); failure %+v", n, r.Energy.TotalJ, r.Energy.Reason, r.Failure)
	}
	if r.Tokens.RequestsOK != int64(3*n) || r.Tokens.Prompt != int64(3*n*promptLen) ||
		r.Tokens.Output != int64(3*n*outputLen) || r.Tokens.Given != r.Tokens.Prompt {
		t.Errorf("tokens %+v of %d repeats of 3 requests", r.Tokens, n)
	}
	seen := map[int64]bool{}
	for _, q := range out.Series.Requests {
		if seen[q.ID] || q.Task != out.Series.Requests[0].Task {
			t.Errorf("request %+v: its id is not its own, or its task is lost", q)
		}
		seen[q.ID] = true
	}
	if len(seen) != 3*n || len(out.Series.Steps) != n*outputLen {
		t.Errorf("%d requests and %d steps, want %d and %d", len(seen), len(out.Series.Steps), 3*n, n*outputLen)
	}
	near(t, "per_request_j", r.Energy.PerRequestJ.Value, r.Energy.TotalJ.Value/float64(3*n), 1e-9)
	if _, short := warned(r, "unequal_work"); short {
		t.Errorf("warnings %+v", r.Warnings)
	}
	once := labFor(t)
	once.options.Experiment.Embedded.BatchSize = 3
	if hash := once.measure(t, result.OK).WorkloadHash; hash != r.WorkloadHash {
		t.Errorf("workload hash %s, want that of the workload itself, %s", r.WorkloadHash, hash)
	}
}

// TestTwoIdlePowers: a model that is loaded draws power, and both nets say which idle
// they are net of.
func TestTwoIdlePowers(t *testing.T) {
	l := newLab(t)
	l.bareW = 12
	l.options.Experiment.Baseline = study.Baseline{Seconds: 0.3, ResidentSeconds: 0.3}
	l.options.Meters = []power.Meter{l.newMeter(gpu0)}
	e := l.withEnergy(t).Energy
	near(t, "baseline_w", e.BaselineW.Value, 12, 0.8)
	near(t, "resident_w", e.ResidentW.Value, idleW, 0.8)
	if e.NetResidentJ.Value >= e.NetJ.Value || !strings.Contains(e.NetJ.Method, "before the engine was started") ||
		!strings.Contains(e.NetResidentJ.Method, "with the model loaded") {
		t.Errorf("net_j %+v, net_resident_j %+v", e.NetJ, e.NetResidentJ)
	}
	if d := e.Devices[0]; *d.BaselineW != d.Bare.W || *d.ResidentW != d.Resident.W ||
		d.Bare.Source != power.SourceFake {
		t.Errorf("device %+v", d)
	}
}

// crowded is a meter that knows the processes on its devices.
type crowded struct {
	*meter
	list func() map[string][]power.GPUProcess
}

// Processes are those of the test.
func (c *crowded) Processes(context.Context) (map[string][]power.GPUProcess, error) {
	return c.list(), nil
}

// TestTooShort: where timing alone explains that counter and series differ, the window
// is blamed and not the sensor; it is refused all the same.
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
		return power.Reading{Device: "gpu0", Source: power.SourceFake, BeforeNS: at, AfterNS: at + ms,
			SinceNS: at - 4*ms, Snapped: true, Energy: unit.Energy(joules * 1e6)}
	}
	d := &deviceEnergy{device: gpu0}
	// 6 J at rest up to the window, 7.5 J in it and 3.5 J after it, of which the
	// counter's own timing hides some.
	d.measure(samples, []power.Reading{reading(start-60*ms, 0), reading(start+40*ms, 6+7.5+2.5+1.2)}, w)
	if d.err == nil || !strings.Contains(d.err.Error(), "too short for this sensor") ||
		!strings.Contains(d.err.Error(), "energy.min_window") {
		t.Errorf("err = %v, agreement %+v, series %.3g ± %.2g J", d.err, d.out.Agreement, d.series.Joules,
			d.series.Half95)
	}
}
