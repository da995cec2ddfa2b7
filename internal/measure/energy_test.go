package measure

import (
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/unit"
)

// TestMeasuredEnergy: the whole chain against a truth that is known exactly.
func TestMeasuredEnergy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.options.Experiment.Baseline.Seconds = 0.3
		c := &l.options.Experiment.Energy
		c.CarbonIntensity, c.PUE, c.PricePerKWh = 400, 1.5, 0.3
		l.options.Meters = []power.Meter{l.newMeter(gpu0)}
		r := l.withEnergy(t)
		e := r.Energy
		if e.Provenance != result.Measured || e.Reason != "" || e.Scope != "gpu" {
			t.Errorf("provenance %q, reason %q, scope %q, want measured, none, gpu", e.Provenance, e.Reason, e.Scope)
		}

		// The stated half width is 0.80 of the widest error that timing can make.
		want := truth(r.Window)
		near(t, "total_j", e.TotalJ.Value, want, half(e.TotalJ)/0.8)
		if half(e.TotalJ) <= 0 {
			t.Errorf("half width %v J: the timing of readings is never certain", half(e.TotalJ))
		}
		near(t, "gain95", e.TotalJ.Gain95, 0.05*e.TotalJ.Value, 1e-9)
		near(t, "counter_j", *e.Agreement.CounterJ, e.TotalJ.Value, 1e-9)
		near(t, "integral_j", *e.Agreement.IntegralJ, want, 0.05*want)
		near(t, "difference_pct", *e.Agreement.DifferencePct, 100*(*e.Agreement.IntegralJ / *e.Agreement.CounterJ - 1),
			1e-9)

		// Accounting.
		p := e.Phases
		if p == nil {
			t.Fatalf("no phases: %s", e.PhasesReason)
		}
		near(t, "prefill + decode + other + unattributed",
			*p.Prefill.EnergyJ+*p.Decode.EnergyJ+*p.Other.EnergyJ+e.UnattributedJ.Value, e.TotalJ.Value, 1e-9)
		near(t, "time of the phases", p.Prefill.DurationS+p.Decode.DurationS+p.Other.DurationS, r.Window.DurationS,
			1e-9)
		for name, q := range map[string]struct {
			got    *result.Phase
			joules float64
			tokens int64
			time   time.Duration
		}{
			"prefill": {p.Prefill, prefillJ, 3 * promptLen, prefillTime},
			"decode":  {p.Decode, decodeJ, 3 * (outputLen - 1), (outputLen - 1) * decodeTime},
		} {
			if q.got.EnergyJ == nil {
				t.Fatalf("%s: refused: %s", name, q.got.Reason)
			}
			if *q.got.LowJ > q.joules || *q.got.HighJ < q.joules {
				t.Errorf("%s: bounds [%v, %v] miss %v J", name, *q.got.LowJ, *q.got.HighJ, q.joules)
			}
			near(t, name+" energy_j", *q.got.EnergyJ, q.joules, 0.1*q.joules)
			near(t, name+" duration_s", q.got.DurationS, q.time.Seconds(), 1e-9)
			near(t, name+" j_per_token", *q.got.JPerToken, *q.got.EnergyJ/float64(q.tokens), 1e-9)
			near(t, name+" mean_w", *q.got.MeanW, *q.got.EnergyJ/q.time.Seconds(), 1e-9)
			if q.got.Tokens != q.tokens {
				t.Errorf("%s: %d tokens, want %d", name, q.got.Tokens, q.tokens)
			}
		}

		// Net of idle power.
		near(t, "baseline_w", e.BaselineW.Value, idleW, max(0.1, half(e.BaselineW)/0.8))
		near(t, "resident_w", e.ResidentW.Value, idleW, max(0.1, half(e.ResidentW)/0.8))
		near(t, "net_resident_j", e.NetResidentJ.Value, e.TotalJ.Value-e.ResidentW.Value*r.Window.DurationS, 1e-9)
		near(t, "net_j", e.NetJ.Value, e.TotalJ.Value-e.BaselineW.Value*r.Window.DurationS, 1e-9)

		// Quantities per unit of work, as the contract defines them.
		const output, prompt, requests = 3.0 * outputLen, 3.0 * promptLen, 3.0
		total, kWh := e.TotalJ.Value, e.TotalJ.Value/3.6e6
		for name, q := range map[string]struct {
			got  *result.Quantity
			want float64
		}{
			"per_output_token_j":   {e.PerOutputTokenJ, total / output},
			"per_total_token_j":    {e.PerTotalTokenJ, total / (prompt + output)},
			"per_request_j":        {e.PerRequestJ, total / requests},
			"wh_per_1000_requests": {e.WhPer1000Requests, 1000 * total / requests / 3600},
			"tokens_per_j":         {e.TokensPerJ, output / total},
			"mean_w":               {e.MeanW, total / r.Window.DurationS},
			"co2e_g":               {e.CO2eG, kWh * 1.5 * 400},
			"cost":                 {e.Cost, kWh * 1.5 * 0.3},
		} {
			near(t, name, q.got.Value, q.want, 1e-9*q.want)
			near(t, name+" relative gain", q.got.Gain95/q.got.Value, 0.05, 1e-9)
			if q.got.CI95[0] > q.got.Value || q.got.CI95[1] < q.got.Value {
				t.Errorf("%s = %v lies outside its interval %v", name, q.got.Value, q.got.CI95)
			}
		}
		near(t, "flops_per_j", *r.Compute.FLOPsPerJ, r.Compute.FLOPs/total, 1e-6**r.Compute.FLOPsPerJ)
	})
}

// TestOnlyTheEnginesGPUCounts: another GPU is listed with its energy, not added.
func TestOnlyTheEnginesGPUCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.options.Meters = []power.Meter{l.newMeter(gpu1, gpu0), l.newMeter(cpu0)}
		r := l.withEnergy(t)
		if n := len(r.Energy.Devices); n != 3 {
			t.Fatalf("%d devices, want 3", n)
		}
		for _, d := range r.Energy.Devices {
			if want := d.Device == "gpu0"; d.Counted != want {
				t.Errorf("%s counted: %v, want %v", d.Device, d.Counted, want)
			}
			if d.EnergyJ == nil {
				t.Errorf("%s has no energy: %s", d.Device, d.Reason)
			}
		}
		near(t, "total_j", r.Energy.TotalJ.Value, r.Energy.Devices[1].EnergyJ.Value, 1e-9)
	})
}

// TestTwoGPUs: an engine on both GPUs costs both; statistical errors add in
// quadrature, gains linearly.
func TestTwoGPUs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.loaded.DeviceUUIDs = []string{gpu0.UUID, gpu1.UUID}
		l.options.Meters = []power.Meter{l.newMeter(gpu0, gpu1)}
		r := l.withEnergy(t)
		a, b := r.Energy.Devices[0].EnergyJ, r.Energy.Devices[1].EnergyJ
		total := r.Energy.TotalJ
		near(t, "total_j", total.Value, a.Value+b.Value, 1e-9)
		near(t, "gain95", total.Gain95, a.Gain95+b.Gain95, 1e-9)
		near(t, "half width squared", half(total)*half(total), half(a)*half(a)+half(b)*half(b), 1e-9)
		p := r.Energy.Phases
		if p == nil {
			t.Fatalf("no phases: %s", r.Energy.PhasesReason)
		}
		near(t, "identity", *p.Prefill.EnergyJ+*p.Decode.EnergyJ+*p.Other.EnergyJ+r.Energy.UnattributedJ.Value,
			total.Value, 1e-9)
		near(t, "time of prefill", p.Prefill.DurationS, prefillTime.Seconds(), 1e-9)
		if want := int64(3 * promptLen); p.Prefill.Tokens != want {
			t.Errorf("prefill tokens = %d, want %d: they are common to both GPUs", p.Prefill.Tokens, want)
		}
	})
}

// TestUnknownGPU: an engine that names no GPU counts all, and says so.
func TestUnknownGPU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.loaded.DeviceUUIDs = nil
		l.options.Meters = []power.Meter{l.newMeter(gpu0, gpu1)}
		r := l.measure(t, result.OK)
		if msg, ok := warned(r, codes.GPUUnknown); !ok || !strings.Contains(msg, "all 2") {
			t.Errorf("warnings = %+v, want one about an unknown GPU", r.Warnings)
		}
	})
}

func TestScopeCPU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.loaded.Device, l.loaded.DeviceUUIDs = "cpu", nil
		l.options.Meters = []power.Meter{l.newMeter(gpu0), l.newMeter(cpu0)}
		r := l.withEnergy(t)
		if r.Energy.Scope != "cpu" || r.Energy.Devices[0].Counted || !r.Energy.Devices[1].Counted {
			t.Errorf("scope %q, devices %+v, want cpu with package-0 counted alone", r.Energy.Scope, r.Energy.Devices)
		}
		near(t, "total_j", r.Energy.TotalJ.Value, truth(r.Window), half(r.Energy.TotalJ)/0.8)
	})
}

// TestScopeOfAnEngine: the energy is booked on the device that the engine names, also where
// it does not know which card it is.
func TestScopeOfAnEngine(t *testing.T) {
	for device, want := range map[string]string{"rocm": "gpu0", "cuda": "gpu0", "cpu": "package-0"} {
		t.Run(device, virtually(func(t *testing.T) {
			l := newLab(t)
			l.loaded.Device, l.loaded.DeviceUUIDs = device, nil
			l.options.Meters = []power.Meter{l.newMeter(gpu0), l.newMeter(cpu0)}
			e := l.withEnergy(t).Energy
			if e.Provenance != result.Measured || len(e.Devices) != 2 {
				t.Fatalf("%s energy of %d devices", e.Provenance, len(e.Devices))
			}
			for _, d := range e.Devices {
				if d.Counted != (d.Device == want) {
					t.Errorf("%s counted %v, want only %s", d.Device, d.Counted, want)
				}
			}
		}))
	}
}

func TestModelledPowerIsLabelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.loaded.Device, l.loaded.DeviceUUIDs = "cpu", nil
		modelled := cpu0
		modelled.Modelled = true
		m := l.newMeter(modelled)
		m.counters = noCounters
		l.options.Meters = []power.Meter{m}
		l.options.Missing = []power.Unavailable{sensor.NoSensor("rapl", "permission denied", "chmod a+r …")}
		r := l.withEnergy(t)
		e := r.Energy
		if e.Provenance != result.Modelled {
			t.Errorf("provenance = %q, want modelled", e.Provenance)
		}
		if want := "modelled, not measured: no CPU power sensor can be read on this machine; rapl: permission " +
			"denied (try: " +
			"chmod a+r …)"; e.Reason != want {
			t.Errorf("reason = %q, want %q", e.Reason, want)
		}
		near(t, "relative gain", e.TotalJ.Gain95/e.TotalJ.Value, 0.5, 1e-9)
		near(t, "total_j", e.TotalJ.Value, truth(r.Window), half(e.TotalJ)/0.8)
		if a := e.Agreement; a == nil || a.Verdict != "single_source" || a.CounterJ != nil {
			t.Errorf("agreement = %+v, want a single source", a)
		}
	})
}

// TestNoSensor: no energy is null, with the reason and what would help.
func TestNoSensor(t *testing.T) {
	nvml := []power.Unavailable{sensor.NoSensor("nvml", "no driver", "load it")}
	for name, q := range map[string]struct {
		device string
		meters func(*stub) []power.Meter
		source string
		want   string
	}{
		"no meters, cpu": {"cpu", nil, "auto",
			"no CPU power sensor can be read on this machine; for a rough estimate add --estimate"},
		"no meters, gpu": {"cuda", nil, "auto",
			"no GPU power sensor can be read on this machine; nvml: no driver (try: load it)"},
		"another kind": {"cuda", func(e *stub) []power.Meter { return []power.Meter{e.newMeter(cpu0)} }, "auto",
			"the model ran on the gpu: no GPU power sensor can be read on this machine; nvml: no driver " +
				"(try: load it)"},
		"not wanted": {"cpu", func(e *stub) []power.Meter { return []power.Meter{e.newMeter(cpu0)} }, "none",
			"energy.sources is none"},
	} {
		t.Run(name, virtually(func(t *testing.T) {
			l := newLab(t)
			l.loaded.Device, l.loaded.DeviceUUIDs = q.device, nil
			l.options.Missing, l.options.Experiment.Energy.Sources = nvml, q.source
			if q.meters != nil {
				l.options.Meters = q.meters(l.stub)
			}
			e := l.measure(t, result.OK).Energy
			if e.Provenance != result.None || e.Reason != q.want {
				t.Errorf("provenance %q, reason %q, want none, %q", e.Provenance, e.Reason, q.want)
			}
			if e.TotalJ != nil || e.NetJ != nil || e.Phases != nil || e.PerOutputTokenJ != nil {
				t.Errorf("energy = %+v, want nulls", e)
			}
		}))
	}
}

// TestSensorFaults: what cannot be trusted is null, and the reason says why.
func TestSensorFaults(t *testing.T) {
	lost := errors.New("the GPU has fallen off the bus")
	for name, q := range map[string]struct {
		spoil   func(*stub, *meter)
		reason  string
		warning note.Code
	}{
		"dies in the window": {func(e *stub, m *meter) {
			dead := func() error {
				if _, ok := e.limits(); ok {
					return lost
				}
				return nil
			}
			m.poll = func(s []power.Sample) ([]power.Sample, error) {
				if err := dead(); err != nil {
					return nil, err
				}
				return s, nil
			}
			m.counters = func(r []power.Reading) ([]power.Reading, error) {
				if err := dead(); err != nil {
					return nil, err
				}
				return r, nil
			}
		}, "no counter readings on both sides of the window", "sensor_error"},
		"series dies, no counter": {func(e *stub, m *meter) {
			m.counters = noCounters
			m.poll = func(s []power.Sample) ([]power.Sample, error) {
				if _, ok := e.limits(); ok {
					return nil, lost
				}
				return s, nil
			}
		}, "power series", "sensor_error"},
		"counter reset": {func(e *stub, m *meter) {
			m.counters = func(r []power.Reading) ([]power.Reading, error) {
				for i := range r {
					if _, ok := e.limits(); !ok {
						r[i].Energy += unit.FromJoules(5000)
					}
				}
				return r, nil
			}
		}, "went backwards: it was reset during the run", "sensor_error"},
		"dropout, no counter": {func(e *stub, m *meter) {
			m.counters = noCounters
			m.poll = func(s []power.Sample) ([]power.Sample, error) { return drop(e, s), nil }
		}, "covers only", "series_gaps"},
		"counter and series disagree": {func(_ *stub, m *meter) {
			m.counters = func(r []power.Reading) ([]power.Reading, error) {
				for i := range r {
					r[i].Energy += r[i].Energy / 2
				}
				return r, nil
			}
		}, "more than 10 %, so neither is used", "agreement"},
	} {
		t.Run(name, virtually(func(t *testing.T) {
			l := newLab(t)
			m := l.newMeter(gpu0)
			q.spoil(l.stub, m)
			l.options.Meters = []power.Meter{m}
			r := l.measure(t, result.OK)
			e := r.Energy
			if e.TotalJ != nil || e.PerOutputTokenJ != nil || e.Provenance != result.None {
				t.Errorf("energy %+v with provenance %q, want null", e.TotalJ, e.Provenance)
			}
			if !strings.HasPrefix(e.Reason, "gpu0: ") || !strings.Contains(e.Reason, q.reason) {
				t.Errorf("reason = %q, want gpu0 and %q", e.Reason, q.reason)
			}
			if _, ok := warned(r, q.warning); !ok && q.warning != "" {
				t.Errorf("warnings = %+v, want one of %s", r.Warnings, q.warning)
			}
			if d := e.Devices[0]; d.EnergyJ != nil || d.Reason == "" {
				t.Errorf("device = %+v, want null energy and a reason", d)
			}
		}))
	}
}

// drop takes out the samples of 200 ms of the steps.
func drop(e *stub, samples []power.Sample) []power.Sample {
	t, ok := e.limits()
	var kept []power.Sample
	for _, s := range samples {
		if !ok || s.MonoNS < t[0]+int64(40*time.Millisecond) || s.MonoNS > t[0]+int64(240*time.Millisecond) {
			kept = append(kept, s)
		}
	}
	return kept
}

// TestDropoutWithCounter: the counter carries the total over a hole in the series,
// and the phases are refused.
func TestDropoutWithCounter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		m := l.newMeter(gpu0)
		m.poll = func(s []power.Sample) ([]power.Sample, error) { return drop(l.stub, s), nil }
		l.options.Meters = []power.Meter{m}
		r := l.withEnergy(t)
		near(t, "total_j", r.Energy.TotalJ.Value, truth(r.Window), half(r.Energy.TotalJ)/0.8)
		if r.Energy.Phases != nil || !strings.Contains(r.Energy.PhasesReason, "covers only") {
			t.Errorf("phases = %+v, reason %q, want a refusal", r.Energy.Phases, r.Energy.PhasesReason)
		}
		if _, ok := warned(r, codes.SeriesGaps); !ok {
			t.Errorf("warnings = %+v, want one of series_gaps", r.Warnings)
		}
		if v := r.Energy.Agreement.Verdict; v != "single_source" {
			t.Errorf("verdict = %q, want single_source", v)
		}
	})
}

func TestPhasesAreRefused(t *testing.T) {
	for name, q := range map[string]struct {
		spoil func(*lab)
		want  string
		tier  string
	}{
		"no shared clock": {func(l *lab) { l.loaded.SharedClock = false }, "client's time stamps",
			string(backend.TierClient)},
		"no steps": {func(l *lab) { l.edit = func(log *backend.Log) { log.Steps = nil } }, "no steps",
			string(backend.TierExact)},
		"mixed steps": {func(l *lab) { l.edit = func(log *backend.Log) { log.Steps[0].DecodeTokens = 1 } },
			"too similar", string(backend.TierExact)},
	} {
		t.Run(name, virtually(func(t *testing.T) {
			l := newLab(t)
			q.spoil(l)
			l.options.Meters = []power.Meter{l.newMeter(gpu0)}
			r := l.measure(t, result.OK)
			if r.Energy.Phases != nil || r.Energy.UnattributedJ != nil ||
				!strings.Contains(r.Energy.PhasesReason, q.want) {
				t.Errorf("phases = %+v, reason %q, want a refusal about %q", r.Energy.Phases, r.Energy.PhasesReason,
					q.want)
			}
			if r.Energy.TotalJ == nil {
				t.Errorf("the total went with the phases: %s", r.Energy.Reason)
			}
			if r.Backend.Tier != q.tier {
				t.Errorf("tier = %s, want %s", r.Backend.Tier, q.tier)
			}
		}))
	}
}

// TestBaselineThatFails: net is null, with the true reason.
func TestBaselineThatFails(t *testing.T) {
	for name, q := range map[string]struct {
		seconds float64
		want    string
	}{
		"not wanted": {0, "baseline.seconds is 0"},
		"no samples": {0.2, "covers only"},
	} {
		t.Run(name, virtually(func(t *testing.T) {
			l := newLab(t)
			m := l.newMeter(gpu0)
			m.counters = noCounters
			m.poll = func(s []power.Sample) ([]power.Sample, error) {
				if _, ok := l.limits(); !ok && q.seconds > 0 && l.spec.Path == "" {
					return nil, nil
				}
				return s, nil
			}
			l.options.Meters, l.options.Experiment.Baseline.Seconds = []power.Meter{m}, q.seconds
			r := l.measure(t, result.OK)
			if r.Energy.NetJ != nil || r.Energy.BaselineW != nil {
				t.Errorf("net_j = %+v, want null", r.Energy.NetJ)
			}
			if msg, _ := warned(r, codes.NoBaseline); !strings.Contains(msg, q.want) {
				t.Errorf("warning = %q, want one about %q", msg, q.want)
			}
		}))
	}
}

// TestMetersDoubts: what a meter doubts since it was opened is in the result.
func TestMetersDoubts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		m := l.newMeter(gpu0)
		m.warnings = note.List{{Code: codes.Sensor, Message: "the order of devices is not verified"}}
		l.options.Meters = []power.Meter{m}
		if msg, _ := warned(l.measure(t, result.OK), "sensor"); msg != m.warnings[0].Message {
			t.Errorf("warning = %q, want %q", msg, m.warnings[0])
		}
	})
}

// TestBaselineWaits: idle power that still falls is measured again until it rests.
func TestBaselineWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.options.Experiment.Baseline.Seconds = 0.4
		m := l.newMeter(gpu0)
		m.counters = noCounters
		var first int64
		m.poll = func(samples []power.Sample) ([]power.Sample, error) {
			for i, s := range samples {
				if first == 0 {
					first = s.MonoNS
				}
				// 40 W more at first, 0 W from 0.9 s on.
				samples[i].Power += unit.Watts(40 * max(0, 1-float64(s.MonoNS-first)/9e8))
			}
			return samples, nil
		}
		l.options.Meters = []power.Meter{m}
		r := l.withEnergy(t)
		if msg, doubted := warned(r, codes.BaselineDrift); doubted {
			t.Errorf("the baseline was taken while power fell: %s", msg)
		}
		near(t, "baseline_w", r.Energy.BaselineW.Value, idleW, 0.5)
		if s := r.Timing.BaselineS; s < 0.8 {
			t.Errorf("the baseline took %.2f s: it was measured once", s)
		}
	})
}

// TestOppositeErrors: a GPU that reads 9 % high and one that reads 9 % low agree in
// sum, and both are in doubt.
func TestOppositeErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.loaded.DeviceUUIDs = []string{gpu0.UUID, gpu1.UUID}
		m := l.newMeter(gpu0, gpu1)
		m.poll = func(samples []power.Sample) ([]power.Sample, error) {
			for i := range samples {
				if samples[i].Device == "gpu0" {
					samples[i].Power *= 1.09
				} else {
					samples[i].Power *= 0.91
				}
			}
			return samples, nil
		}
		l.options.Meters = []power.Meter{m}
		r := l.measure(t, result.OK)
		a := r.Energy.Agreement
		if a == nil || a.DifferencePct == nil || math.Abs(*a.DifferencePct) > 3 {
			t.Fatalf("agreement of the sum %+v, want less than 3 %%", a)
		}
		if a.Verdict != "warn" && a.Verdict != "fail" {
			t.Errorf("verdict %q, want the worst device's", a.Verdict)
		}
		for _, d := range r.Energy.Devices {
			found := false
			for _, w := range r.Warnings {
				found = found || w.Code == codes.Agreement && strings.HasPrefix(w.Message, d.Device+": ")
			}
			if !found {
				t.Errorf("no warning about %s in %+v", d.Device, r.Warnings)
			}
		}
	})
}
